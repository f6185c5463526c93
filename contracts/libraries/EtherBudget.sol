// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {TransientPlaces} from "./TransientPlaces.sol";

/// @title The ether that the running batch may spend
/// @dev The parts of a batch all see its whole `msg.value`. So none spends by `msg.value`: a batch notes the balance
/// that was there before it, in transient storage and plus one, and spends only what is above.
library EtherBudget {
    using TransientSlot for bytes32;
    using TransientSlot for TransientSlot.Uint256Slot;

    bytes32 private constant FLOOR = bytes32(TransientPlaces.ETHER_FLOOR);

    function isBatched() internal view returns (bool) {
        return FLOOR.asUint256().tload() != 0;
    }

    /// @notice Begins a batch. The caller has just received `value`.
    function begin(uint256 value) internal {
        FLOOR.asUint256().tstore(address(this).balance - value + 1);
    }

    function end() internal {
        FLOOR.asUint256().tstore(0);
    }

    /// @notice Puts the batch aside while somebody else's code runs, which brings its own value.
    /// @return floor To be handed to `resume`.
    function suspend() internal returns (uint256 floor) {
        floor = FLOOR.asUint256().tload();
        end();
    }

    function resume(uint256 floor) internal {
        FLOOR.asUint256().tstore(floor);
    }

    /// @notice What the running batch may still spend: the balance is never below its floor, since nothing else spends.
    function available() internal view returns (uint256) {
        return address(this).balance - (FLOOR.asUint256().tload() - 1);
    }
}
