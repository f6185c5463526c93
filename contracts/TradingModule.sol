// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {Factors, IMarginEngine, Market} from "../interfaces/IMarginEngine.sol";
import {Delegation, ITradingModule, Leg, Order} from "../interfaces/ITradingModule.sol";
import {Account, Instrument, Position, PriceStatus} from "../interfaces/Types.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {CashPool} from "./libraries/CashPool.sol";
import {WAD} from "./libraries/Constants.sol";
import {Delegations, Limits} from "./libraries/Delegations.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Recall} from "./libraries/Journal.sol";
import {Notionals} from "./libraries/Notionals.sol";
import {OrderHash} from "./libraries/OrderHash.sol";
import {Positions} from "./libraries/Positions.sol";
import {Rounding} from "./libraries/Rounding.sol";
import {Scope} from "./libraries/Scope.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {CLOSING_DELAY, Exits} from "./Exits.sol";
import {HALTED, RISK, SHUT} from "./Gate.sol";
import {CASH, MAX_POSITIONS} from "./Ledger.sol";
import {OrderBook} from "./OrderBook.sol";

/// @dev Legs of an order.
uint256 constant MAX_LEGS = 8;
/// @dev Scale of a fee: millionths.
uint256 constant MILLION = 1e6;

/// @title Orders, fills and settlement
/// @dev Runs by delegatecall on the storage of the ClearingHouse.
contract TradingModule is OrderBook, Exits {
    using Accounts for Account;
    using CashPool for CashPool.State;
    using Delegations for Delegations.Grant;
    using Instruments for Instrument;
    using Notionals for Instrument;
    using Positions for Position;
    using SafeCast for int256;
    using SafeCast for uint256;
    using SignedMath for int256;

    /// @dev One side of a fill.
    struct Side {
        Edit edit;
        bytes32 orderHash;
        /// The order's and its delegate's.
        Limits limits;
        /// Dollars with 18 decimals.
        uint256 fee;
    }

    /// @dev A package changing hands. Amounts are the maker's; the taker's are the opposite.
    struct Fill {
        Side maker;
        Side taker;
        /// Units of the package, 18 decimals.
        int256 units;
        /// Sum of size times mark over the legs, 36 decimals.
        int256 marked;
        /// Quote of positions that reached zero, on both sides.
        int256 quoteFreed;
        /// Read once a leg adds risk; without an initial factor until then.
        Factors factors;
    }

    /// @inheritdoc ITradingModule
    function trade(
        Order calldata maker,
        bytes calldata makerSignature,
        Order calldata taker,
        bytes calldata takerSignature,
        uint256 quantity
    ) external payable scoped returns (uint256 filled) {
        bytes32 domain = _domainSeparatorV4();
        (Side memory making, bytes32 makerLegs) = _requireSigned(maker, makerSignature, domain);
        (Side memory taking, bytes32 takerLegs) = _requireSigned(taker, takerSignature, domain);
        _requireTakenBy(maker, making.orderHash, taker.account);
        _requireTakenBy(taker, taking.orderHash, maker.account);
        bool opposite = maker.quantity > 0 != taker.quantity > 0;
        if (!opposite || makerLegs != takerLegs) revert OrdersDoNotMatch(making.orderHash, taking.orderHash);
        _requireCrossing(maker, taker);
        uint256 makerLeft = _leftOf(maker, making.orderHash);
        uint256 takerLeft = _leftOf(taker, taking.orderHash);
        filled = Math.min(quantity, Math.min(makerLeft, takerLeft));
        _consume(maker, making.orderHash, makerLeft, filled);
        _consume(taker, taking.orderHash, takerLeft, filled);
        _fill(maker, making, taking, filled);
    }

    /// @inheritdoc ITradingModule
    function take(Order calldata maker, bytes calldata makerSignature, Account account, uint256 quantity)
        external
        payable
        scoped
        returns (uint256 filled)
    {
        Side memory taking = _sideOf(account, 0, Delegations.NONE);
        _bind(taking, msg.sender, maker.legs);
        (Side memory making,) = _requireSigned(maker, makerSignature, _domainSeparatorV4());
        _requireTakenBy(maker, making.orderHash, account);
        uint256 makerLeft = _leftOf(maker, making.orderHash);
        filled = Math.min(quantity, makerLeft);
        _consume(maker, making.orderHash, makerLeft, filled);
        _fill(maker, making, taking, filled);
    }

    /// @inheritdoc ITradingModule
    function cancel(Order calldata order) external payable scoped {
        if (msg.sender != order.signer) _requireOwner(order.account);
        bytes32 orderHash = hashOrder(order);
        _filled[orderHash] = type(uint256).max;
        emit OrderCancelled(orderHash, order.account);
    }

    /// @inheritdoc ITradingModule
    function raiseEpoch(Account account) external payable scoped {
        _requireTrader(account, msg.sender);
        _raiseEpoch(account);
    }

    /// @inheritdoc ITradingModule
    function setDelegate(Account account, address delegate, Delegation calldata terms) external payable scoped {
        _requireOwner(account);
        _grant(account, delegate, terms);
    }

    /// @inheritdoc ITradingModule
    function setDelegateBySig(
        Account account,
        address delegate,
        Delegation calldata terms,
        uint256 deadline,
        bytes calldata signature
    ) external payable scoped {
        bytes32 digest = hashDelegate(account, delegate, terms, _grantNonce[account], deadline);
        if (block.timestamp > deadline) revert GrantExpired(digest, deadline);
        address owner = account.owner();
        if (!Signatures.isValid(owner, digest, signature)) revert InvalidSignature(digest, owner);
        _grant(account, delegate, terms);
    }

    /// @inheritdoc ITradingModule
    function settle(Account account, Instrument instrument) external payable scoped returns (int256 amount) {
        Scope.requireUntouched(account);
        if (_isPaused(SHUT) && _fixings[instrument].isFixed) revert MarketEnded(instrument);
        Market memory market = engine().market(instrument);
        if (!market.isFinal) _requireCertain(instrument, market);
        Edit memory edit = _open(account, Recall.KEPT);
        (bool found, uint256 index, Position held) = _find(edit, instrument);
        if (!found) return 0;
        int256 size = held.size();
        int256 marked = Rounding.divDown(size * _basisOf(market), WAD);
        amount = marked + held.quote();
        if (market.isFinal) _endPosition(edit, index, instrument, size);
        else if (amount == 0) return 0;
        else _putPosition(edit, index, instrument, size, -marked);
        _pool.moveQuote(_control.lending, -amount);
        edit.cash = amount;
        _closeAndAnnounce(edit);
        emit VariationSettled(account, account.owner(), instrument, amount);
    }

    /// @dev All of it has become cash.
    function _endPosition(Edit memory edit, uint256 index, Instrument instrument, int256 size) private {
        _putPosition(edit, index, instrument, 0, 0);
        _moveOpenInterest(instrument, _longGrowth(size, -size));
    }

    /// @dev What a delegate signed under a grant that has ended must not come back to life with a new one.
    function _grant(Account account, address delegate, Delegation calldata terms) private {
        Delegations.Grant storage grant = _grants[account][delegate];
        if (terms.expiry >= block.timestamp && grant.hasEnded()) _raiseEpoch(account);
        ++_grantNonce[account];
        grant.write(terms);
        emit DelegateSet(account, account.owner(), delegate, terms);
    }

    function _raiseEpoch(Account account) private {
        Edit memory edit = _open(account, Recall.KEPT);
        edit.word = edit.word.withNextEpoch();
        _close(edit);
        emit EpochRaised(account, account.owner(), edit.word.epoch());
    }

    /// @inheritdoc ITradingModule
    function closeOut(Account account, Instrument instrument) external payable scoped returns (int256 amount) {
        if (!_isPaused(SHUT)) revert NotShut();
        if (!_isClosing()) revert TooEarlyToClose(_windDown.shutAt + CLOSING_DELAY);
        Scope.requireUntouched(account);
        Edit memory edit = _open(account, Recall.KEPT);
        (bool found, uint256 index, Position held) = _find(edit, instrument);
        if (!found) return 0;
        int256 size = held.size();
        amount = Rounding.divDown(size * _fixedBasis(instrument), WAD) + held.quote();
        _endPosition(edit, index, instrument, size);
        _pool.moveQuote(_control.lending, -amount);
        edit.cash = amount;
        edit.word = edit.word.withNextVersion();
        _closeAndAnnounce(edit);
        emit ClosedOut(account, account.owner(), instrument, amount);
    }

    /// @dev What a unit is worth beyond its quote, for everybody: fixed by who comes first.
    function _fixedBasis(Instrument instrument) private returns (int256 basis) {
        Fixing memory fixing = _fixings[instrument];
        if (fixing.isFixed) return fixing.basis;
        Market memory market = engine().market(instrument);
        if (!market.isFinal) _requireClosable(instrument, market);
        basis = _basisOf(market);
        _fixings[instrument] = Fixing({isFixed: true, basis: basis.toInt248()});
        emit MarketFixed(instrument, basis);
    }

    /// @dev What has expired is worth what its fixing says, not the index of whoever comes first.
    function _requireClosable(Instrument instrument, Market memory market) private view {
        if (instrument.isDated() && block.timestamp >= instrument.expiry()) revert FixingIncomplete(instrument);
        bool isGood = market.status == PriceStatus.OK || market.status == PriceStatus.FROZEN;
        if (!isGood) revert PriceNotOk(instrument, uint256(market.status));
    }

    /// @dev The order is well-formed, alive and signed by who may.
    /// @return side Its account, opened, and its EIP-712 digest.
    /// @return legsHash What the digest says of its legs.
    function _requireSigned(Order calldata order, bytes calldata signature, bytes32 domain)
        private
        view
        returns (Side memory side, bytes32 legsHash)
    {
        legsHash = OrderHash.hash(order.legs);
        bytes32 orderHash = MessageHashUtils.toTypedDataHash(domain, OrderHash.hash(order, legsHash));
        side = _sideOf(order.account, orderHash, order.reduceOnly ? Delegations.REDUCES_ONLY : Delegations.NONE);
        if (block.timestamp > order.expiry) revert OrderExpired(orderHash, order.expiry);
        uint256 epoch = side.edit.word.epoch();
        if (order.epoch != epoch) revert OrderEpochPassed(orderHash, order.epoch, epoch);
        _requireLegs(order.legs, orderHash);
        _bind(side, order.signer, order.legs);
        if (!Signatures.isValid(order.signer, orderHash, signature)) revert InvalidSignature(orderHash, order.signer);
    }

    /// @dev Lets a side be traded by its owner, or by a delegate within his markets and limits.
    function _bind(Side memory side, address who, Leg[] calldata legs) private view {
        Account account = side.edit.account;
        Limits limits = _requireTrader(account, who);
        if (limits.isNone()) return;
        for (uint256 i = 0; i < legs.length; ++i) {
            _requireMarket(account, who, limits, legs[i].instrument);
        }
        side.limits = side.limits.and(limits);
    }

    function _requireLegs(Leg[] calldata legs, bytes32 orderHash) private pure {
        if (legs.length == 0 || legs.length > MAX_LEGS) revert LegsInvalid(orderHash);
        uint256 last = 0;
        for (uint256 i = 0; i < legs.length; ++i) {
            uint256 id = Instrument.unwrap(legs[i].instrument);
            if (id <= last || legs[i].ratio == 0) revert LegsInvalid(orderHash);
            last = id;
        }
    }

    function _requireTakenBy(Order calldata order, bytes32 orderHash, Account other) private pure {
        if (order.account.equals(other)) revert SelfTrade(other);
        address taker = other.owner();
        if (order.taker != address(0) && order.taker != taker) revert WrongTaker(orderHash, taker);
    }

    function _requireCrossing(Order calldata maker, Order calldata taker) private pure {
        (int256 buy, int256 sell) = maker.quantity > 0 ? (maker.price, taker.price) : (taker.price, maker.price);
        if (buy < sell) revert PricesDoNotCross(buy, sell);
    }

    function _leftOf(Order calldata order, bytes32 orderHash) private view returns (uint256) {
        uint256 filled = _filled[orderHash];
        uint256 quantity = order.quantity.abs();
        if (filled >= quantity) revert OrderSpent(orderHash, filled);
        return quantity - filled;
    }

    function _consume(Order calldata order, bytes32 orderHash, uint256 left, uint256 filled) private {
        uint256 minimum = Math.min(order.minimumFill, left);
        if (filled == 0 || filled < minimum) revert BelowMinimumFill(orderHash, filled, minimum);
        _filled[orderHash] = order.quantity.abs() - left + filled;
    }

    function _sideOf(Account account, bytes32 orderHash, Limits limits) private view returns (Side memory) {
        return Side({edit: _open(account, Recall.KEPT), orderHash: orderHash, limits: limits, fee: 0});
    }

    /// @dev Moves the package to the maker's price, leg by leg at the mark and the difference in cash.
    function _fill(Order calldata order, Side memory maker, Side memory taker, uint256 filled) private {
        // Nobody's margin could say whether it is left behind.
        if (_hasEnded()) revert Shut();
        Factors memory unread;
        Fill memory fill = Fill({
            maker: maker,
            taker: taker,
            units: order.quantity > 0 ? filled.toInt256() : -filled.toInt256(),
            marked: 0,
            quoteFreed: 0,
            factors: unread
        });
        // The reserves carry open interest with what they have earned up to now.
        _pool.accrue(_control.lending);
        Leg[] calldata legs = order.legs;
        for (uint256 i = 0; i < legs.length; ++i) {
            _fillLeg(fill, legs[i]);
        }
        int256 paid = Rounding.divUp(fill.units * order.price - fill.marked, WAD);
        _pool.moveQuote(_control.lending, -fill.quoteFreed);
        _pool.addCapital(_control.lending, fill.maker.fee + fill.taker.fee);
        _closeSide(fill.maker, -paid);
        _closeSide(fill.taker, paid);
        _announce(fill.maker, fill.taker, fill.units, order.price);
        _announce(fill.taker, fill.maker, -fill.units, order.price);
        if (fill.maker.limits.grew()) _requireLeverage(fill.maker.edit.account, fill.maker.limits.maxLeverage());
        if (fill.taker.limits.grew()) _requireLeverage(fill.taker.edit.account, fill.taker.limits.maxLeverage());
    }

    function _fillLeg(Fill memory fill, Leg calldata leg) private {
        IMarginEngine engine_ = engine();
        Market memory market = engine_.market(leg.instrument);
        // What it settles at is known, or known in part: an order that rests is not to be hit with that.
        if (leg.instrument.hasExpired()) revert MarketClosed(leg.instrument);
        // Toward zero, so that the fills of an order never add up to more than it says.
        int256 change = fill.units * leg.ratio / int256(WAD);
        if (change == 0) revert ZeroAmount();
        int256 quote = Rounding.divUp(change * _basisOf(market), WAD);
        int256 makerHeld = _move(fill, fill.maker, leg.instrument, change, -quote);
        int256 takerHeld = _move(fill, fill.taker, leg.instrument, -change, quote);
        fill.marked += change * market.mark.toInt256();
        _charge(fill, change.abs() * leg.instrument.feePriceOf(market), market);

        int256 growth = _longGrowth(makerHeld, change) + _longGrowth(takerHeld, -change);
        _moveOpenInterest(leg.instrument, growth);
        if (_reduces(makerHeld, change) && _reduces(takerHeld, -change)) return;
        if (fill.factors.initialFactor == 0) fill.factors = engine_.factors();
        _requireOpenForRisk(leg.instrument, market, fill.factors);
        if (growth > 0) _requireBelowCap(leg.instrument, market, fill.factors);
    }

    /// @return held What the side held before.
    function _move(Fill memory fill, Side memory side, Instrument instrument, int256 change, int256 quote)
        private
        returns (int256 held)
    {
        int256 freed;
        (held, freed) = _changePosition(side.edit, instrument, change, quote, MAX_POSITIONS);
        // A quote has 104 bits and an order 8 legs.
        unchecked {
            side.edit.cash += freed;
            fill.quoteFreed += freed;
        }
        if (!side.limits.isNone() && !_reduces(held, change)) _noteGrowth(side, instrument, held, change);
    }

    function _noteGrowth(Side memory side, Instrument instrument, int256 held, int256 change) private pure {
        if (side.limits.reducesOnly()) revert NotReducing(side.orderHash, instrument, held, change);
        side.limits = side.limits.withGrowth();
    }

    /// @param notional What fees are a share of, 36 decimals.
    function _charge(Fill memory fill, uint256 notional, Market memory market) private pure {
        fill.maker.fee += Math.ceilDiv(notional * market.makerFee, WAD * MILLION);
        fill.taker.fee += Math.ceilDiv(notional * market.takerFee, WAD * MILLION);
    }

    function _closeSide(Side memory side, int256 received) private {
        side.edit.cash += received - side.fee.toInt256();
        side.edit.word = side.edit.word.withNextVersion();
        _closeAndAnnounce(side.edit);
        Scope.touch(side.edit.account, 0);
    }

    function _announce(Side memory side, Side memory other, int256 units, int256 price) private {
        emit OrderFilled(side.orderHash, side.edit.account, other.edit.account, units, price, side.fee);
    }

    function _requireOpenForRisk(Instrument instrument, Market memory market, Factors memory factors) private view {
        if (_isPaused(RISK)) revert Paused(RISK, CASH);
        if (_isPaused(SHUT)) revert Shut();
        if (_isPaused(HALTED)) revert RiskHalted();
        _requireCertain(instrument, market);
        if (market.closed) revert MarketClosed(instrument);
        if (factors.depegged) revert SettlementTokenDepegged();
    }

    function _requireCertain(Instrument instrument, Market memory market) private pure {
        if (market.status != PriceStatus.OK) revert PriceNotOk(instrument, uint256(market.status));
        if (market.stale) revert SurfaceStale(instrument);
    }

    function _requireBelowCap(Instrument instrument, Market memory market, Factors memory factors) private view {
        uint256 value = Math.ceilDiv(openInterest(instrument) * market.index, WAD);
        uint256 cap = Math.min(market.openInterestCap, _carriedByReserves(market, factors));
        if (value > cap) revert OpenInterestCapExceeded(instrument, value, cap);
    }

    /// @dev The open interest whose stress jump costs the share of the reserves that one underlying may take.
    function _carriedByReserves(Market memory market, Factors memory factors) private view returns (uint256) {
        if (market.stressJump == 0) return type(uint256).max;
        return _pool.reserves() * factors.stressShare / market.stressJump;
    }

    /// @dev What a unit of a position is worth beyond its quote.
    function _basisOf(Market memory market) private pure returns (int256) {
        return market.mark.toInt256() - market.fundingIndex;
    }

    /// @dev Whether a change brings a position closer to zero without crossing it.
    function _reduces(int256 held, int256 change) private pure returns (bool) {
        return held > 0 != change > 0 && change.abs() <= held.abs();
    }
}
