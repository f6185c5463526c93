// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {IMarginEngine} from "../interfaces/IMarginEngine.sol";
import {Account, Instrument, Margin, Portfolio, Position} from "../interfaces/Types.sol";
import {AccountWord} from "./libraries/AccountWords.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {CashPool} from "./libraries/CashPool.sol";
import {WAD} from "./libraries/Constants.sol";
import {Delegations, Limits} from "./libraries/Delegations.sol";
import {EngineCalls} from "./libraries/EngineCalls.sol";
import {EtherBudget} from "./libraries/EtherBudget.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Journal, Moment} from "./libraries/Journal.sol";
import {Notionals} from "./libraries/Notionals.sol";
import {Positions} from "./libraries/Positions.sol";
import {Ratio} from "./libraries/Ratio.sol";
import {Scope} from "./libraries/Scope.sol";
import {CASH, Ledger} from "./Ledger.sol";

/// @dev What a pause can stop: bits of the first argument of `setPause`.
uint256 constant DEPOSITS = 0;
uint256 constant WITHDRAWALS = 1;
uint256 constant RISK = 2;
uint256 constant LIQUIDATION = 3;
/// @dev Further bits of what is paused, which no `setPause` reaches: after a loss beyond the reserves, and for good.
uint256 constant HALTED = 6;
uint256 constant SHUT = 7;

/// @title Who may enter, and what every touched account must pass on the way out
abstract contract Gate is Ledger {
    using Accounts for Account;
    using CashPool for CashPool.State;
    using Delegations for Delegations.Grant;
    using Instruments for Instrument;
    using Journal for bytes32;
    using Notionals for Instrument;
    using Positions for Position;
    using SignedMath for int256;

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
        (bool covered, Margin memory after_) =
            EngineCalls.assess(engine_, base, word, _pool.valueOf(_control.lending, word.principal()));
        if (covered) return;
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

    /// @return limits What binds him: the owner nothing, a delegate what he was granted.
    function _requireTrader(Account account, address who) internal view returns (Limits limits) {
        if (who == account.owner()) return Delegations.NONE;
        bool isLive;
        (isLive, limits) = _grants[account][who].read();
        if (!isLive) revert NotAuthorised(account, who);
    }

    /// @param limits What `_requireTrader` returned for him.
    function _requireMarket(Account account, address who, Limits limits, Instrument instrument) internal view {
        bool covered = !limits.keepsToMarkets() || _grants[account][who].covers(instrument.underlying());
        if (!covered) revert DelegateMarket(account, who, instrument);
    }

    /// @dev At the prices of this transaction, for what a delegate has just done.
    /// @param maxLeverage Hundredths; zero for no maximum.
    function _requireLeverage(Account account, uint256 maxLeverage) internal {
        if (maxLeverage == 0) return;
        IMarginEngine engine_ = engine();
        Portfolio memory held = _portfolio(account, Moment.NOW);
        uint256 marked = 0;
        for (uint256 i = 0; i < held.positions.length; ++i) {
            Position position = held.positions[i];
            Instrument instrument = position.instrument();
            marked += position.size().abs() * instrument.priceOf(engine_.market(instrument));
        }
        uint256 value = Math.ceilDiv(marked, WAD);
        int256 equity = engine_.assess(held).equity;
        // 255 sizes of 103 bits at prices of 94; a leverage of 64 bits times an equity below 2^170.
        if (int256(value * 100) > int256(maxLeverage) * equity) {
            revert LeverageExceeded(account, value, equity, maxLeverage);
        }
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
