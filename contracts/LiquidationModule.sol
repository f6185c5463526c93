// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IClearingHouse} from "../interfaces/IClearingHouse.sol";
import {ICollateralVault} from "../interfaces/ICollateralVault.sol";
import {IHaircutRegistry, Kind} from "../interfaces/IHaircutRegistry.sol";
import {AuctionState, Bid, ILiquidationModule} from "../interfaces/ILiquidationModule.sol";
import {Factors, IMarginEngine} from "../interfaces/IMarginEngine.sol";
import {Account, Holding, Instrument, Margin, Portfolio, Position} from "../interfaces/Types.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {Auctions, LOOK_INTERVAL} from "./libraries/Auctions.sol";
import {CashLimits, MICRO} from "./libraries/CashLimits.sol";
import {CashPool} from "./libraries/CashPool.sol";
import {BPS, WAD} from "./libraries/Constants.sol";
import {Custody} from "./libraries/Custody.sol";
import {Limits} from "./libraries/Delegations.sol";
import {Holdings} from "./libraries/Holdings.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Moment, Recall} from "./libraries/Journal.sol";
import {Lending} from "./libraries/Lending.sol";
import {LossGuard} from "./libraries/LossGuard.sol";
import {Positions} from "./libraries/Positions.sol";
import {Provisions} from "./libraries/Provisions.sol";
import {Rounding} from "./libraries/Rounding.sol";
import {Scope} from "./libraries/Scope.sol";
import {AuctionBook} from "./AuctionBook.sol";
import {HALTED, SHUT, WITHDRAWALS} from "./Gate.sol";
import {ASSET_LIMIT, CASH, CASH_DECIMALS, MAX_BIDDER_POSITIONS} from "./Ledger.sol";

/// @dev How long what governance submits about a halt or the shutdown waits.
uint256 constant WIND_DOWN_DELAY = 2 days;

/// @title The auction, slices, the waterfall and its reserves
/// @dev Runs by delegatecall on the storage of the ClearingHouse.
contract LiquidationModule is AuctionBook {
    using Accounts for Account;
    using Auctions for Auctions.Record;
    using CashLimits for CashLimits.State;
    using CashPool for CashPool.State;
    using Custody for Custody.State;
    using Holdings for Holding;
    using Instruments for Instrument;
    using Positions for Position;
    using Provisions for uint256;
    using Lending for uint256;
    using SafeCast for uint256;

    /// @inheritdoc ILiquidationModule
    function flag(Account account) external payable scoped {
        _requireLiquidationNotPaused();
        Scope.requireUntouched(account);
        _requireJudgeable(account, _wordOf(account));
        Margin memory margin_ = _look(account);
        _requireUnhealthy(account, margin_);
        Auctions.Record memory record = _auctions[account];
        if (record.isFlagged()) _resume(account, record, margin_);
        else if (record.isObserved()) _start(account, record, margin_);
        else _note(account, margin_);
    }

    /// @inheritdoc ILiquidationModule
    function bid(Bid calldata bid_) external payable scoped returns (uint256 fraction, int256 price) {
        _requireLiquidationNotPaused();
        uint256 maxLeverage = _requireBidder(bid_);
        _requireGood(bid_);
        uint256 depth = _requireBiddable(bid_.account);
        _requireJudgeable(bid_.bidder, _wordOf(bid_.bidder));
        Scope.resolve(bid_.account);
        _pool.accrue(_control.lending);

        uint256 payout;
        uint256 provision;
        {
            IMarginEngine engine_ = engine();
            Margin memory margin_ = engine_.assess(_portfolio(bid_.account, Moment.NOW));
            _requireUnhealthy(bid_.account, margin_);
            Factors memory factors = engine_.factors();
            (fraction, price) = Auctions.calculate(margin_, factors, depth, bid_.fraction);
            if (price > bid_.maxPrice) revert PriceAboveLimit(price, bid_.maxPrice);
            payout = _payoutOf(bid_.account, price, margin_, factors);
            provision = Provisions.ofEquity(margin_.maintenanceEquity).afterSlice(fraction);
        }
        if (payout != 0) _bookLoss(bid_.account, payout);
        _moveSlice(bid_.account, bid_.bidder, fraction, price);
        if (fraction == WAD) _endAuction(bid_.account);
        else _provide(bid_.account, _auctions[bid_.account], provision);
        Scope.touch(bid_.bidder, Scope.STRICT);
        emit SliceTaken(bid_.account, bid_.bidder, fraction, price, payout, depth);
        _requireLeverage(bid_.bidder, maxLeverage);
    }

    /// @inheritdoc ILiquidationModule
    function standStill(Account account) external payable scoped {
        Scope.requireUntouched(account);
        Auctions.Record memory record = _requireFlagged(account);
        Margin memory margin_ = engine().assess(_portfolio(account, Moment.NOW));
        if (margin_.doubtful) {
            // Again and again would keep every bid from the block of a tick.
            if (record.state == AuctionState.HALTED) return;
            _enter(account, record, AuctionState.HALTED, margin_);
        } else if (Auctions.isHealthy(margin_)) {
            _enter(account, record, AuctionState.STANDING, margin_);
        } else {
            revert StillUnhealthy(account, margin_.maintenanceEquity, margin_.maintenanceMargin);
        }
    }

    /// @inheritdoc ILiquidationModule
    function reset(Account account) external payable scoped {
        Scope.requireUntouched(account);
        _requireFlagged(account);
        IMarginEngine engine_ = engine();
        Margin memory margin_ = engine_.assess(_portfolio(account, Moment.NOW));
        if (margin_.doubtful) revert DoubtfulPrice(account);
        uint256 target =
            Math.mulDiv(engine_.factors().initialFactor, margin_.maintenanceMargin, BPS, Math.Rounding.Ceil);
        // A margin is below 2^170 and a factor below 2^16.
        if (margin_.equity < int256(target)) revert NotRestored(account, margin_.equity, target);
        _endAuction(account);
    }

    /// @inheritdoc ILiquidationModule
    function writeOff(Account account) external payable scoped {
        _requireLiquidationNotPaused();
        Scope.resolve(account);
        Edit memory edit = _open(account, Recall.DROPPED);
        int256 cash = _cashOf(edit);
        if (cash >= 0 || edit.word.count() != 0 || edit.word.bitmap() != 0) revert NothingToWriteOff(account);
        // Negative, so its negation is positive.
        uint256 debt = uint256(-cash);
        _bookLoss(account, debt);
        edit.cash = -cash;
        _closeAndAnnounce(edit);
        emit WrittenOff(account, account.owner(), debt);
        if (_auctions[account].isFlagged()) _endAuction(account);
    }

    /// @inheritdoc ILiquidationModule
    function submitResume() external {
        if (!_isPaused(HALTED)) revert NotHalted();
        uint256 readyAt = block.timestamp + WIND_DOWN_DELAY;
        _windDown.resumeReadyAt = readyAt.toUint40();
        emit ResumeSubmitted(readyAt);
    }

    /// @inheritdoc ILiquidationModule
    function acceptResume() external {
        uint256 readyAt = _windDown.resumeReadyAt;
        if (readyAt == 0 || block.timestamp < readyAt) revert ResumeNotReady(readyAt);
        delete _windDown.resumeReadyAt;
        // The one bit of eight.
        _control.pausedActions &= ~uint8(1 << HALTED);
        emit HaltSet(false);
    }

    /// @inheritdoc ILiquidationModule
    function revokeResume() external {
        delete _windDown.resumeReadyAt;
        emit ResumeRevoked();
    }

    /// @inheritdoc ILiquidationModule
    function submitShutdown() external {
        if (_isPaused(SHUT)) revert Shut();
        uint256 readyAt = block.timestamp + WIND_DOWN_DELAY;
        _windDown.shutReadyAt = readyAt.toUint40();
        emit ShutdownSubmitted(readyAt);
    }

    /// @inheritdoc ILiquidationModule
    function acceptShutdown() external {
        uint256 readyAt = _windDown.shutReadyAt;
        if (readyAt == 0 || block.timestamp < readyAt) revert ShutdownNotReady(readyAt);
        delete _windDown.shutReadyAt;
        _windDown.shutAt = block.timestamp.toUint40();
        _stop(SHUT);
        emit ShutdownAccepted();
    }

    /// @inheritdoc ILiquidationModule
    function revokeShutdown() external {
        delete _windDown.shutReadyAt;
        emit ShutdownRevoked();
    }

    /// @inheritdoc ILiquidationModule
    function refresh(uint16 asset) external payable scoped {
        if (asset >= ASSET_LIMIT) revert IHaircutRegistry.UnknownAsset(asset);
        IMarginEngine engine_ = engine();
        uint256 limit;
        uint40 word = engine_.parameter(Kind.OUTFLOW, asset).target.toUint40();
        if (asset == CASH) {
            _refreshLending(engine_);
            _limits.refresh(word, _heldCash());
            limit = _limits.limit();
        } else {
            Custody.State storage custody = _custody[asset];
            // Truncation is the purpose: 8 bits above the token's address and underlying, as Params.sol lays them out.
            uint8 decimals = uint8(engine_.parameter(Kind.TOKEN, asset).target >> 176);
            (custody.word, custody.decimals) = (word, decimals);
            limit = custody.limit();
        }
        emit OutflowLimitSet(asset, limit);
    }

    /// @inheritdoc ILiquidationModule
    function drawReserves(Account account, uint256 amount) external payable scoped {
        _requireBackstop();
        _requireOwner(account);
        _takeReserves(amount);
        Edit memory edit = _open(account, Recall.KEPT);
        edit.cash = amount.toInt256();
        _close(edit);
        emit ReservesDrawn(account, amount);
    }

    /// @inheritdoc ILiquidationModule
    function returnReserves(Account account, uint256 amount) external payable scoped {
        _requireOwner(account);
        if (amount == 0) revert ZeroAmount();
        Edit memory edit = _open(account, Recall.DROPPED);
        edit.cash = -amount.toInt256();
        _pool.addCapital(_control.lending, amount);
        _closeOutgoing(edit);
        emit ReservesReturned(account, amount);
    }

    /// @inheritdoc ILiquidationModule
    function payReserves(address to, uint256 units) external payable scoped {
        _requireBackstop();
        _requireNotPaused(WITHDRAWALS, CASH);
        if (_isPaused(HALTED)) revert RiskHalted();
        _pool.accrue(_control.lending);
        uint256 open = _limits.total();
        if (open.isMaterial(_pool.reserves())) revert ProvisionOpen(open);
        IClearingHouse house = IClearingHouse(address(this));
        (ICollateralVault vault, address token) = (house.VAULT(), house.SETTLEMENT_TOKEN());
        uint256 amount = units * 10 ** (CASH_DECIMALS - IERC20Metadata(token).decimals());
        _takeReserves(amount);
        _requireCashFree(vault, token, units);
        _limits.exempt(amount);
        _checkUnlessDeferred();
        emit ReservesPaid(to, amount);
        vault.release(token, to, units, 0);
    }

    function _requireBackstop() private view {
        if (msg.sender != _backstop) revert OnlyBackstop(msg.sender);
    }

    function _takeReserves(uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        uint256 available = _pool.takeReserves(_control.lending, amount);
        if (amount > available) revert InsufficientReserves(available, amount);
    }

    /// @return maxLeverage Of a delegate, hundredths; zero for none.
    function _requireBidder(Bid calldata bid_) private view returns (uint256 maxLeverage) {
        Limits limits = _requireTrader(bid_.bidder, msg.sender);
        if (limits.isNone()) return 0;
        if (!limits.mayBid()) revert NotAuthorised(bid_.bidder, msg.sender);
        Edit memory target = _open(bid_.account, Recall.DROPPED);
        for (uint256 i = 0; i < target.searched; ++i) {
            _requireMarket(bid_.bidder, msg.sender, limits, _positionAt(target, i).instrument());
        }
        return limits.maxLeverage();
    }

    /// @dev Interest up to now runs at the old terms.
    function _refreshLending(IMarginEngine engine_) private {
        _pool.accrue(_control.lending);
        uint256 terms = engine_.parameter(Kind.LENDING, CASH).target;
        _control.lending = terms.toUint40();
        emit LendingTermsSet(terms.kink(), terms.rateAtKink(), terms.rateAtFull(), terms.reserveShare());
    }

    /// @dev Has the account's prices and rates observed, then weighs it.
    function _look(Account account) private returns (Margin memory) {
        IMarginEngine engine_ = engine();
        Portfolio memory held = _portfolio(account, Moment.NOW);
        uint16[] memory assets = _assetsOf(held);
        // Most accounts hold cash and positions only.
        if (assets.length != 0) engine_.observeRates(assets);
        engine_.observe(_underlyingsOf(engine_, held, assets));
        return engine_.assess(held);
    }

    function _assetsOf(Portfolio memory held) private pure returns (uint16[] memory assets) {
        assets = new uint16[](held.collateral.length);
        for (uint256 i = 0; i < assets.length; ++i) {
            assets[i] = held.collateral[i].asset();
        }
    }

    function _underlyingsOf(IMarginEngine engine_, Portfolio memory held, uint16[] memory assets)
        private
        view
        returns (uint16[] memory underlyings)
    {
        uint256 count;
        // Bit per underlying: a book of options has many positions on each.
        uint256 seen;
        underlyings = new uint16[](assets.length + held.positions.length);
        for (uint256 i = 0; i < underlyings.length; ++i) {
            // Truncation is the purpose: 16 bits above the token's address, as Params.sol lays them out.
            uint16 underlying = i < assets.length
                ? uint16(engine_.parameter(Kind.TOKEN, assets[i]).target >> 160)
                : held.positions[i - assets.length].instrument().underlying();
            if ((seen >> underlying) & 1 == 1) continue;
            seen |= 1 << underlying;
            underlyings[count++] = underlying;
        }
        // At most as long as it was made.
        assembly ("memory-safe") {
            mstore(underlyings, count)
        }
    }

    function _note(Account account, Margin memory margin_) private {
        _auctions[account] = Auctions.Record({
            state: AuctionState.OBSERVED,
            // 40 bits of seconds last 34,000 years.
            observedAt: uint40(block.timestamp),
            elapsed: 0,
            tickedAt: 0,
            provision: 0
        });
        emit AuctionObserved(account, account.owner(), margin_.maintenanceEquity, margin_.maintenanceMargin);
    }

    function _start(Account account, Auctions.Record memory record, Margin memory margin_) private {
        uint256 readyAt = record.observedAt + LOOK_INTERVAL;
        if (block.timestamp < readyAt) revert ObservedTooRecently(account, readyAt);
        _run(account, record, margin_);
    }

    function _resume(Account account, Auctions.Record memory record, Margin memory margin_) private {
        bool isHalted = record.state == AuctionState.HALTED && margin_.doubtful;
        if (!isHalted && record.state != AuctionState.RUNNING) return _run(account, record, margin_);
        // Nothing to flag, but what it is about to leave may have grown since.
        uint256 before = record.provision;
        _provide(account, record, Provisions.ofEquity(margin_.maintenanceEquity));
        if (record.provision == before) revert AuctionAlreadyRunning(account);
    }

    /// @dev The clock runs from here, or stands where a price is doubtful.
    function _run(Account account, Auctions.Record memory record, Margin memory margin_) private {
        emit AuctionFlagged(account, account.owner(), margin_.maintenanceEquity, margin_.maintenanceMargin);
        _enter(account, record, margin_.doubtful ? AuctionState.HALTED : AuctionState.RUNNING, margin_);
    }

    function _enter(Account account, Auctions.Record memory record, AuctionState state, Margin memory margin_) private {
        // Only a running clock asks since when it could run.
        record.enter(state, record.state == AuctionState.RUNNING ? _liveSince() : 0);
        _auctions[account] = record;
        _provide(account, record, Provisions.ofEquity(margin_.maintenanceEquity));
        if (state == AuctionState.HALTED) emit AuctionHalted(account, account.owner(), record.elapsed);
        if (state == AuctionState.STANDING) emit AuctionStanding(account, account.owner(), record.elapsed);
    }

    /// @dev Notes the loss that an auction is about to leave; the sum of all keeps to its place.
    function _provide(Account account, Auctions.Record memory record, uint256 provision) private {
        uint256 old = record.provision;
        if (provision == old) return;
        uint256 others = _limits.provisions - old;
        provision = Math.min(provision, type(uint64).max - others);
        if (provision == old) return;
        // Both are at most the largest number of 64 bits.
        (record.provision, _limits.provisions) = (uint64(provision), uint64(others + provision));
        _auctions[account] = record;
        emit ProvisionSet(account, provision * MICRO);
    }

    function _endAuction(Account account) private {
        _provide(account, _auctions[account], 0);
        delete _auctions[account];
        emit AuctionReset(account, account.owner());
    }

    /// @dev In an auction, and a margin can tell how it stands.
    function _requireFlagged(Account account) private view returns (Auctions.Record memory record) {
        record = _auctions[account];
        if (!record.isFlagged()) revert NotInAuction(account, record.state);
        _requireJudgeable(account, _wordOf(account));
    }

    function _requireGood(Bid calldata bid_) private view {
        if (block.timestamp > bid_.deadline) revert BidExpired(bid_.deadline);
        if (bid_.account.equals(bid_.bidder)) revert SelfBid(bid_.account);
        if (bid_.fraction == 0 || bid_.fraction > WAD) revert FractionInvalid(bid_.fraction);
        uint256 version = _wordOf(bid_.account).version();
        if (bid_.version != 0 && bid_.version != version) revert VersionChanged(version, bid_.version);
    }

    /// @dev What the waterfall pays the bidder: nothing at a positive price.
    function _payoutOf(Account account, int256 price, Margin memory margin_, Factors memory factors)
        private
        pure
        returns (uint256 payout)
    {
        if (price >= 0) return 0;
        if (margin_.doubtful) revert NoPayoutOnDoubtfulPrice(account);
        // Negative, so its negation is positive.
        payout = uint256(-price);
        if (payout > factors.payoutCap) revert PayoutAboveCap(payout, factors.payoutCap);
    }

    function _bookLoss(Account account, uint256 loss) private {
        LossGuard.noteLoss();
        _pool.accrue(_control.lending);
        uint256 supplied = _pool.supply();
        (uint256 fromReserves, uint256 fromSuppliers, uint256 toDeficit) = _pool.bookLoss(_control.lending, loss);
        emit LossBooked(account, fromReserves, fromSuppliers, toDeficit);
        if (fromSuppliers + toDeficit != 0) _halt(fromSuppliers + toDeficit, supplied);
    }

    /// @dev No new risk, until governance has looked for as long as the delay is. Another loss begins it anew, unless
    /// it is so small that whoever pays for one loss after the other would keep the halt for ever.
    /// @param borne Beyond the reserves, by those who had `supplied` before; dollars.
    function _halt(uint256 borne, uint256 supplied) private {
        if (!_isPaused(HALTED)) {
            _stop(HALTED);
            emit HaltSet(true);
        } else if (borne.isSevere(supplied)) {
            delete _windDown.resumeReadyAt;
        }
    }

    /// @dev Sets a bit of what is paused that only a loss or a shutdown sets.
    function _stop(uint256 bit) private {
        // Two bits of eight.
        _control.pausedActions |= uint8(1 << bit);
    }

    /// @dev Moves the slice, then its price: a positive one to the account, a negative one only to the bidder.
    function _moveSlice(Account account, Account bidder, uint256 fraction, int256 price) private {
        Edit memory from = _open(account, Recall.DROPPED);
        Edit memory to = _open(bidder, Recall.DROPPED);
        _moveCash(from, to, fraction);
        _moveCollateral(from, to, fraction);
        _pool.moveQuote(_control.lending, -_movePositions(from, to, fraction));
        to.cash -= price;
        if (price > 0) from.cash += price;
        from.word = from.word.withNextVersion();
        to.word = to.word.withNextVersion();
        _closeAndAnnounce(from);
        _closeAndAnnounce(to);
    }

    function _moveCash(Edit memory from, Edit memory to, uint256 fraction) private view {
        int256 slice = _sliceDown(_cashOf(from), fraction);
        from.cash -= slice;
        to.cash += slice;
    }

    function _moveCollateral(Edit memory from, Edit memory to, uint256 fraction) private {
        Holding[] memory held = _readCollateral(from.base, from.word, Moment.NOW);
        for (uint256 i = 0; i < held.length; ++i) {
            uint16 asset = held[i].asset();
            uint256 amount = held[i].amount();
            // uint128 times at most 1e18 < 2^60; rounded down, as all that the bidder gets.
            uint256 slice = amount * fraction / WAD;
            if (slice == 0) continue;
            _setCollateral(from, asset, amount - slice);
            _setCollateral(to, asset, _collateralOf(to, asset) + slice);
        }
    }

    /// @dev From the last to the first, so that what is removed leaves no gap behind.
    /// @return freed The quote of positions that reached zero, already added to the cash of who held them.
    function _movePositions(Edit memory from, Edit memory to, uint256 fraction) private returns (int256 freed) {
        for (uint256 i = from.word.count(); i > 0; --i) {
            freed += _movePosition(from, to, i - 1, fraction);
        }
    }

    /// @dev Size and quote both round down: less of an asset, more of a debt for the bidder.
    function _movePosition(Edit memory from, Edit memory to, uint256 index, uint256 fraction)
        private
        returns (int256 freed)
    {
        Position held = _positionAt(from, index);
        Instrument instrument = held.instrument();
        int256 size = _sliceDown(held.size(), fraction);
        if (size == 0) return 0;
        int256 quote = _sliceDown(held.quote(), fraction);
        int256 freedHere = _putPosition(from, index, instrument, held.size() - size, held.quote() - quote);
        (int256 sizeBefore, int256 freedThere) = _changePosition(to, instrument, size, quote, MAX_BIDDER_POSITIONS);
        _moveOpenInterest(instrument, _longGrowth(held.size(), -size) + _longGrowth(sizeBefore, size));
        from.cash += freedHere;
        to.cash += freedThere;
        return freedHere + freedThere;
    }

    function _sliceDown(int256 whole, uint256 fraction) private pure returns (int256) {
        // Cash, size and quote are below 2^128, a fraction below 2^60.
        return Rounding.divDown(whole * int256(fraction), WAD);
    }
}
