// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {ILedger} from "../../interfaces/ILedger.sol";
import {TransientPlaces} from "./TransientPlaces.sol";

/// @title No cash leaves in a transaction that books a loss, in whichever order
library LossGuard {
    using TransientSlot for bytes32;
    using TransientSlot for TransientSlot.Uint256Slot;

    bytes32 private constant SEEN = bytes32(TransientPlaces.LOSS_SEEN);
    uint256 private constant LOSS = 1;
    uint256 private constant CASH_OUT = 2;

    function noteLoss() internal {
        if (SEEN.asUint256().tload() == CASH_OUT) revert ILedger.CashOutWithLoss();
        SEEN.asUint256().tstore(LOSS);
    }

    function noteCashOut() internal {
        if (SEEN.asUint256().tload() == LOSS) revert ILedger.CashOutWithLoss();
        SEEN.asUint256().tstore(CASH_OUT);
    }
}
