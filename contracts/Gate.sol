// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IMarginEngine} from "../interfaces/IMarginEngine.sol";
import {Account, Margin} from "../interfaces/Types.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {AccountWord} from "./libraries/AccountWords.sol";
import {EtherBudget} from "./libraries/EtherBudget.sol";
import {Journal, Moment} from "./libraries/Journal.sol";
import {Ratio} from "./libraries/Ratio.sol";
import {Scope} from "./libraries/Scope.sol";
import {CASH, Ledger} from "./Ledger.sol";

/// @dev What a pause can stop: bits of the first argument of `setPause`.
uint256 constant DEPOSITS = 0;
uint256 constant WITHDRAWALS = 1;
uint256 constant RISK = 2;
uint256 constant LIQUIDATION = 3;

/// @title Who may enter, and what every touched account must pass on the way out
abstract contract Gate is Ledger {
    using Accounts for Account;
    using Journal for bytes32;

    /// @dev One entry at a time, and the pending checks once nothing is left to run.
    modifier scoped() {
        _refuseValue();
        Scope.enter();
        _;
        _checkUnlessDeferred();
        Scope.leave();
    }

    /// @dev A part of a batch sees the value of the whole: only outside is it a mistake.
    function _refuseValue() internal view {
        if (msg.value != 0 && !EtherBudget.isBatched()) revert ValueNotAccepted(msg.value);
    }

    /// @dev For entries that pay out: the checks come before the last step, and find nothing more to do after it.
    function _checkUnlessDeferred() internal {
        if (!Scope.isDeferred()) _checkTouched();
    }

    function _checkTouched() internal {
        uint256 count = Scope.takeTouched();
        for (uint256 i = 0; i < count; ++i) {
            Account account = Scope.touchedAt(i);
            _check(account, Scope.flagsOf(account));
        }
    }

    /// @dev The one check. An account without positions or debt needs no price: its exits always work.
    function _check(Account account, uint256 requirements) private {
        bytes32 base = _baseOf(account);
        AccountWord word = AccountWord.wrap(base.read());
        if (word.count() == 0 && word.principal() >= 0) return;
        IMarginEngine engine_ = engine();
        Margin memory after_ = engine_.assess(_readPortfolio(base, word, Moment.NOW));
        if (requirements & Scope.CERTAIN != 0 && after_.doubtful) revert DoubtfulPrice(account);
        // A margin is below 2^170: docs/margin.md, section 8.
        if (after_.initialEquity >= int256(after_.initialMargin)) return;
        if (requirements & Scope.STRICT != 0) {
            revert BelowInitialMargin(account, after_.initialEquity, after_.initialMargin);
        }
        Margin memory before_ = engine_.assess(_portfolio(account, Moment.BEFORE));
        if (!Ratio.isKept(before_, after_)) revert RatioWorsened(account, before_, after_);
    }

    function _requireOwner(Account account) internal view {
        if (msg.sender != account.owner()) revert NotAuthorised(account, msg.sender);
    }

    function _requireTrader(Account account, address who) internal view {
        if (!_mayTrade(account, who)) revert NotAuthorised(account, who);
    }

    function _mayTrade(Account account, address who) internal view returns (bool) {
        return who == account.owner() || _delegateExpiry[account][who] >= block.timestamp;
    }

    function _requireNotPaused(uint256 action, uint16 asset) internal view {
        bool isAssetPaused = _control.someAssetPaused && (_pausedAssets >> asset) & 1 == 1;
        if (isAssetPaused || _isPaused(action)) revert Paused(action, asset);
    }

    function _isPaused(uint256 action) internal view returns (bool) {
        return (_control.pausedActions >> action) & 1 == 1;
    }

    function _requireLiquidationNotPaused() internal view {
        if (block.timestamp < _control.liquidationResumesAt) revert Paused(LIQUIDATION, CASH);
    }
}
