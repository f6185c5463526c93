// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ICollateralVault} from "../interfaces/ICollateralVault.sol";
import {Account} from "../interfaces/Types.sol";
import {AccountWord} from "./libraries/AccountWords.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {CashLimits} from "./libraries/CashLimits.sol";
import {CashPool} from "./libraries/CashPool.sol";
import {LossGuard} from "./libraries/LossGuard.sol";
import {Provisions} from "./libraries/Provisions.sol";
import {Scope} from "./libraries/Scope.sol";
import {Gate, SHUT} from "./Gate.sol";
import {CASH} from "./Ledger.sol";

/// @dev How long the house has been shut when positions begin to become cash.
uint256 constant CLOSING_DELAY = 7 days;

/// @title What must hold before anything leaves
abstract contract Exits is Gate {
    using Accounts for Account;
    using CashLimits for CashLimits.State;
    using CashPool for CashPool.State;

    /// @dev What left must leave initial margin behind, at prices beyond doubt.
    function _closeOutgoing(Edit memory edit) internal {
        _requireJudgeable(edit.account, edit.word);
        edit.word = edit.word.withNextVersion();
        _close(edit);
        Scope.touch(edit.account, Scope.STRICT | Scope.CERTAIN);
    }

    /// @dev The vault holds so many settlement tokens, no loss is booked beside, and winners have not run ahead.
    /// @return available How many it holds.
    function _requireCashFree(ICollateralVault vault, address token, uint256 units)
        internal
        returns (uint256 available)
    {
        LossGuard.noteCashOut();
        available = IERC20(token).balanceOf(address(vault));
        if (units > available) revert InsufficientLiquidity(available, units);
        _requireWinnersPaid();
    }

    /// @dev Counts a withdrawal of cash against its limit.
    /// @param held What the vault holds before it, dollars.
    /// @return charge What it leaves to the reserves for losses that are known and not yet booked, dollars.
    function _countCashOut(Account account, uint256 dollars, uint256 held) internal returns (uint256 charge) {
        uint256 expected = _limits.total();
        _limits.count(CASH, dollars, held);
        if (expected == 0) return 0;
        uint256 terms = _control.lending;
        _pool.accrue(terms);
        charge = Provisions.chargeUp(dollars, expected, _pool.reserves(), _pool.supply());
        if (charge == 0) return 0;
        _pool.addCapital(terms, charge);
        emit ProvisionCharged(account, account.owner(), charge);
    }

    /// @dev Margins know no market that was fixed: once any may be, an account is closed out before it is judged.
    function _requireJudgeable(Account account, AccountWord word) internal view {
        if (word.count() != 0 && _hasEnded()) revert PositionsOpen(account);
    }

    /// @dev Whether positions only become cash.
    function _hasEnded() internal view returns (bool) {
        return _isPaused(SHUT) && _isClosing();
    }

    function _isClosing() internal view returns (bool) {
        return block.timestamp >= _windDown.shutAt + CLOSING_DELAY;
    }

    function _requireWinnersPaid() private view {
        uint256 unpaid = _pool.unpaidWinnings();
        if (unpaid == 0) return;
        uint256 cap = engine().factors().winnersCap;
        if (unpaid > cap) revert WinnersCapExceeded(unpaid, cap);
    }
}
