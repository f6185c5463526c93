// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ICollateralVault} from "../interfaces/ICollateralVault.sol";
import {CashPool} from "./libraries/CashPool.sol";
import {LossGuard} from "./libraries/LossGuard.sol";
import {Scope} from "./libraries/Scope.sol";
import {Gate} from "./Gate.sol";

/// @title What must hold before anything leaves
abstract contract Exits is Gate {
    using CashPool for CashPool.State;

    /// @dev What left must leave initial margin behind, at prices beyond doubt.
    function _closeOutgoing(Edit memory edit) internal {
        edit.word = edit.word.withNextVersion();
        _close(edit);
        Scope.touch(edit.account, Scope.STRICT | Scope.CERTAIN);
    }

    /// @dev The vault holds so many settlement tokens, no loss is booked beside, and winners have not run ahead.
    function _requireCashFree(ICollateralVault vault, address token, uint256 units) internal {
        LossGuard.noteCashOut();
        uint256 available = IERC20(token).balanceOf(address(vault));
        if (units > available) revert InsufficientLiquidity(available, units);
        _requireWinnersPaid();
    }

    function _requireWinnersPaid() private view {
        uint256 unpaid = _pool.unpaidWinnings();
        if (unpaid == 0) return;
        uint256 cap = engine().factors().winnersCap;
        if (unpaid > cap) revert WinnersCapExceeded(unpaid, cap);
    }
}
