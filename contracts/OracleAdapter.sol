// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {IPyth} from "@pythnetwork/pyth-sdk-solidity/IPyth.sol";
import {Kind} from "../interfaces/IHaircutRegistry.sol";
import {IOracleAdapter, SourceKind, Volatility} from "../interfaces/IOracleAdapter.sol";
import {IStEthPerToken} from "../interfaces/external/IStEthPerToken.sol";
import {Price, PriceStatus} from "../interfaces/Types.sol";
import {BPS, RATE_LIMIT} from "./libraries/Constants.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params} from "./libraries/Params.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {Quote, Quotes} from "./libraries/Quotes.sol";
import {PAR, RatePairs, Rates} from "./libraries/RatePairs.sol";
import {RateObservations, RateReading, RateState} from "./libraries/RateObservations.sol";
import {Sources} from "./libraries/Sources.sol";
import {Volatilities} from "./libraries/Volatilities.sol";

/// @title Prices and rates: sources in, one checked number out
abstract contract OracleAdapter is IOracleAdapter {
    using Observations for uint256;
    using Quotes for Quote;

    /// @dev A new source may differ by this from what it replaces, bps.
    uint256 internal constant REPLACEMENT_BOUND = 200;
    /// @inheritdoc IOracleAdapter
    uint256 public constant FREEZE_AFTER = 7 days;

    uint256 internal constant SOURCE_MASK = (1 << Params.SOURCE_BITS) - 1;
    uint256 private constant ERC4626_RATE = 1;
    uint256 internal constant OK = uint256(PriceStatus.OK);
    uint256 private constant FROZEN = uint256(PriceStatus.FROZEN);
    uint256 private constant SEQUENCER_DOWN = uint256(PriceStatus.SEQUENCER_DOWN);

    // Transient places of fixed prices and rates: ids of underlyings (8 bits) and of assets (16) above these.
    uint256 private constant FIXED_PRICES = 1 << 32;
    uint256 private constant FIXED_RATES = 2 << 32;
    // Whether any price is fixed: without one a check need not look for each.
    uint256 private constant FIXED_ANY = 3 << 32;
    // Bits of a moment.
    uint256 private constant DOWN = 1;
    uint256 private constant SOME_FIXED = 2;

    /// @dev Per underlying: the primary source 198 | UNDERLYING risk word 58.
    uint256[256] internal _governed;
    /// @dev Per underlying: `Observations`.
    uint256[256] internal _observed;
    /// @dev Words that a plain check does not read, by `_key`.
    mapping(uint256 key => uint256) internal _words;
    /// @dev Per asset: `RateObservations`.
    mapping(uint256 asset => uint256) internal _rateObserved;
    /// @dev Per underlying: `Volatilities`.
    uint256[256] internal _volatility;

    /// @inheritdoc IOracleAdapter
    function observe(uint16[] calldata underlyings) external virtual {
        if (_sequencerDown()) return;
        for (uint256 i; i < underlyings.length; ++i) {
            _observe(underlyings[i]);
        }
    }

    /// @inheritdoc IOracleAdapter
    function observeRates(uint16[] calldata assets) external virtual {
        for (uint256 i; i < assets.length; ++i) {
            _observeRate(assets[i]);
        }
    }

    /// @inheritdoc IOracleAdapter
    function updatePyth(address pyth, bytes[] calldata updates) external payable virtual {
        uint256 fee = IPyth(pyth).getUpdateFee(updates);
        if (msg.value < fee) revert UpdateFeeMissing(fee, msg.value);
        IPyth(pyth).updatePriceFeeds{value: fee}(updates);
        // msg.value >= fee. The contract holds nothing of its own, so only this call's remainder can leave.
        if (msg.value > fee) Address.sendValue(payable(msg.sender), msg.value - fee);
    }

    /// @inheritdoc IOracleAdapter
    function price(uint16 underlying) external view returns (Price memory) {
        Quote quote = _quote(_requireKnown(underlying));
        return Price({index: quote.index(), stable: quote.stable(), band: quote.band(), status: quote.status()});
    }

    /// @inheritdoc IOracleAdapter
    function observedAt(uint16 underlying) external view returns (uint256) {
        return _observed[_requireKnown(underlying)].time();
    }

    /// @inheritdoc IOracleAdapter
    function volatility(uint16 underlying) external view virtual returns (Volatility memory) {
        uint256 observed = _observed[_requireKnown(underlying)];
        uint256 word = _volatility[underlying];
        return Volatility({
            price: Volatilities.price(word),
            hour: Volatilities.hour(word),
            variance: Volatilities.variance(word),
            gauge: observed.gauge(),
            maintenanceGauge: _gaugeNow(underlying, observed)
        });
    }

    /// @inheritdoc IOracleAdapter
    function liveSince() public view returns (uint256) {
        uint256 word = _words[_key(Kind.SEQUENCER, 0)];
        if (word == 0) return 0;
        uint256 upSince = Sources.upSince(address(uint160(word)));
        // A back-up time is in the past and grace has 32 bits, so the sum does not overflow.
        return upSince == type(uint256).max ? upSince : upSince + (word >> 160);
    }

    function _sequencerDown() internal view returns (bool) {
        return block.timestamp < liveSince();
    }

    function _key(Kind kind, uint256 id) internal pure returns (uint256) {
        // Ids have 16 bits.
        return (uint256(kind) << 16) | id;
    }

    function _requireKnown(uint16 underlying) internal view returns (uint256) {
        if (underlying > 255 || _governed[underlying] & SOURCE_MASK == 0) revert UnknownUnderlying(underlying);
        return underlying;
    }

    /// @dev The price of this moment, or the one fixed earlier in this transaction.
    function _quote(uint256 underlying) internal view returns (Quote) {
        (uint256 governed, uint256 observed) = _wordsOf(underlying);
        return _quoteOf(underlying, governed, observed, _moment(true));
    }

    /// @dev Both words of an underlying below 256.
    function _wordsOf(uint256 underlying) internal view returns (uint256 governed, uint256 observed) {
        // Callers have taken the id from eight bits or checked it: it is a place of both arrays.
        assembly ("memory-safe") {
            governed := sload(add(_governed.slot, underlying))
            observed := sload(add(_observed.slot, underlying))
        }
    }

    /// @dev The same for a caller who has read both words, at a `_moment`.
    function _quoteOf(uint256 underlying, uint256 governed, uint256 observed, uint256 moment)
        internal
        view
        returns (Quote quote)
    {
        if (moment & SOME_FIXED != 0) {
            // Reads a place that only `_fix` writes.
            assembly ("memory-safe") {
                quote := tload(or(FIXED_PRICES, underlying))
            }
            if (Quote.unwrap(quote) != 0) return quote;
        }
        uint256 risk = governed >> Params.SOURCE_BITS;
        uint256 stable = observed.stableAt(Params.range(risk), block.timestamp);
        uint256 status = observed.statusCode();
        if ((moment & DOWN) | status == OK) {
            uint256 live;
            (live, status) = _read(governed, Kind.PYTH_ID, underlying);
            if (status == OK) return Quotes.pack(live, stable, Params.band(risk), OK);
        } else if (moment & DOWN != 0 && status != FROZEN) {
            status = SEQUENCER_DOWN;
        }
        uint256 band = status == FROZEN ? 0 : PriceMath.doubtfulBand(risk, observed.age(block.timestamp));
        return Quotes.pack(observed.last(), stable, band, status);
    }

    /// @dev Fixes a price for the rest of the transaction.
    function _fix(uint256 underlying, Quote quote) internal {
        // A quote is never zero, and its place is its own: underlyings have 8 bits.
        assembly ("memory-safe") {
            tstore(or(FIXED_PRICES, underlying), quote)
            tstore(FIXED_ANY, SOME_FIXED)
        }
    }

    /// @dev What every price of a call depends on: whether the sequencer is down, and whether any price is fixed.
    function _moment(bool hasSequencer) internal view returns (uint256 moment) {
        // Only `_fix` writes this place, and only `SOME_FIXED`.
        assembly ("memory-safe") {
            moment := tload(FIXED_ANY)
        }
        if (hasSequencer && _sequencerDown()) moment |= DOWN;
    }

    function _read(uint256 source, Kind idKind, uint256 underlying) internal view returns (uint256, uint256) {
        bool isPyth = (source >> 160) & 3 == uint256(SourceKind.PYTH);
        return Sources.price(source, isPyth ? _words[_key(idKind, underlying)] : 0);
    }

    /// @dev A reading for the books: the source must also report the decimals that were pinned.
    function _readPinned(uint256 source, Kind idKind, uint256 underlying)
        internal
        view
        returns (uint256 value, bool usable)
    {
        uint256 status;
        (value, status) = _read(source, idKind, underlying);
        bool isChainlink = (source >> 160) & 3 == uint256(SourceKind.CHAINLINK);
        usable =
            status == OK && (!isChainlink || Sources.decimalsOf(address(uint160(source))) == (source >> 162) & 0x1f);
    }

    /// @dev Only a Chainlink source can tell what a price was at the turn of an hour.
    /// @return source The source whose rounds are sampled: the primary one, or else the second.
    function _requireRounds(uint16 id) internal view returns (uint256 source) {
        source = _ofRounds(_governed[_requireKnown(id)], _words[_key(Kind.SECOND_SOURCE, id)]);
        if (source == 0) revert RoundsMissing(id);
    }

    /// @dev Which of two sources is sampled, zero when neither has rounds.
    function _ofRounds(uint256 primary, uint256 second) internal pure returns (uint256) {
        if (_isChainlink(primary)) return primary;
        return _isChainlink(second) ? second : 0;
    }

    function _isChainlink(uint256 source) internal pure returns (bool) {
        return (source >> 160) & 3 == uint256(SourceKind.CHAINLINK);
    }

    function _observe(uint16 id) private {
        uint256 underlying = _requireKnown(id);
        uint256 observed = _observed[underlying];
        _endRamp(underlying, observed);
        if (observed.status() == PriceStatus.FROZEN) return;
        (uint256 first, bool good) = _readPinned(_governed[underlying], Kind.PYTH_ID, underlying);
        uint256 source = _words[_key(Kind.SECOND_SOURCE, underlying)];
        if (source == 0) {
            if (good) _store(id, first, PriceStatus.OK);
            return;
        }
        (uint256 second, bool secondGood) = _readPinned(source, Kind.SECOND_PYTH_ID, underlying);
        if (good && secondGood) {
            bool agreed = PriceMath.agree(first, second, source >> Params.SOURCE_BITS);
            if (agreed) _store(id, first, PriceStatus.OK);
            else _storeStatus(id, PriceStatus.DEVIATING);
        } else if (good || secondGood) {
            _requireUnfixed(id, PriceStatus.UNCONFIRMED);
            _store(id, good ? first : second, PriceStatus.UNCONFIRMED);
        }
    }

    function _requireUnfixed(uint16 underlying, PriceStatus status) private view {
        Quote quote;
        // Reads a place that only `_fix` writes.
        assembly ("memory-safe") {
            quote := tload(or(FIXED_PRICES, underlying))
        }
        if (Quote.unwrap(quote) != 0 && quote.isOk()) revert PriceAlreadyFixed(underlying, status);
    }

    /// @dev Credits the interval since the last observation to that observation, then stores the new one.
    function _store(uint16 underlying, uint256 index, PriceStatus status) internal {
        uint256 observed = _observed[underlying];
        uint256 range = Params.range(_governed[underlying] >> Params.SOURCE_BITS);
        uint256 stable = observed.stableAt(range, block.timestamp);
        _record(underlying, stable, index, status);
    }

    /// @dev A transaction that has acted on a price cannot be the one that finds it doubtful.
    function _storeStatus(uint16 underlying, PriceStatus status) internal {
        _requireUnfixed(underlying, status);
        uint256 observed = _observed[underlying].withStatus(status);
        _observed[underlying] = observed;
        emit Observed(underlying, observed.last(), observed.stable(), status);
    }

    function _record(uint16 underlying, uint256 stable, uint256 index, PriceStatus status) internal {
        uint256 observed = _observed[underlying];
        if (observed.gauge() == 0) observed = observed.withGauge(BPS, false);
        _observed[underlying] = observed.next(stable, index, block.timestamp, status);
        emit Observed(underlying, index, stable, status);
    }

    /// @dev The volatility gauge of maintenance, bps.
    function _gaugeNow(uint256 underlying, uint256 observed) internal view returns (uint256) {
        if (!observed.following()) return observed.gauge();
        return Volatilities.followed(_volatility[underlying], observed.gauge(), block.timestamp);
    }

    /// @dev Takes the flag off a ramp that is over, so that checks need not look it up.
    function _endRamp(uint256 underlying, uint256 observed) internal virtual;

    /// @dev The packed asset word; reverts when the asset has no token.
    function _assetWord(uint16 asset) internal view virtual returns (uint256);
    function _decimalsAndRateKind(uint256 assetWord) internal pure virtual returns (uint256, uint256);

    /// @dev Rates of an asset now, or as fixed earlier in this transaction.
    function _rates(uint16 asset, uint256 decimals, uint256 rateKind) internal view returns (Rates rates) {
        if (rateKind == 0) return PAR;
        // Reads a place that only `_fixRates` writes.
        assembly ("memory-safe") {
            rates := tload(or(FIXED_RATES, asset))
        }
        if (Rates.unwrap(rates) != 0) return rates;
        (, RateState memory state,,) = _rateState(asset, decimals);
        return RatePairs.pack(state.maintenanceRate, state.initialRate, state.doubtful);
    }

    /// @dev Fixes the rates of an asset for the rest of the transaction.
    function _fixRates(uint16 asset, Rates rates) internal {
        // Rates are never zero, and their place is their own: assets have 16 bits.
        assembly ("memory-safe") {
            tstore(or(FIXED_RATES, asset), rates)
        }
    }

    function _rateState(uint16 asset, uint256 decimals)
        private
        view
        returns (RateReading memory reading, RateState memory state, uint256 growth, uint256 age)
    {
        uint256 source = _words[_key(Kind.RATE_SOURCE, asset)];
        uint256 market = _words[_key(Kind.RATE_MARKET, asset)];
        uint256 observed = _rateObserved[asset];
        growth = source >> 170;
        age = block.timestamp - RateObservations.time(observed);
        (reading.redemption, reading.redeems) = _readRate(source, decimals);
        if (market != 0) {
            reading.hasMarket = true;
            (reading.market, reading.trades) = _readMarket(market);
        }
        state = RateObservations.state(observed, reading, growth, market >> 182, age);
    }

    /// @dev The redemption rate with 18 decimals, rounded down, and whether it is usable.
    function _readRate(uint256 source, uint256 decimals) internal view returns (uint256 rate, bool usable) {
        bool isVault = (source >> 160) & 3 == ERC4626_RATE;
        bytes4 selector = isVault ? IERC4626.convertToAssets.selector : IStEthPerToken.stEthPerToken.selector;
        // `stEthPerToken` ignores the argument.
        (bool ok, uint256 answer,,) = Sources.read(source, selector, 10 ** decimals, 0x20);
        // 2^128 of any asset is beyond every rate that can be stored.
        if (!ok || answer >= 1 << 128) return (0, false);
        rate = isVault ? PriceMath.toWadDown(answer, (source >> 162) & 0xff) : answer;
        usable = rate != 0 && rate < RATE_LIMIT;
    }

    /// @dev What the token fetches in units of its underlying, 18 decimals, and whether it is usable.
    function _readMarket(uint256 market) internal view returns (uint256 rate, bool usable) {
        // A source word of the same feed: its age, and 2^68 for a ceiling.
        uint256 feed = (market & type(uint160).max) | (uint256(SourceKind.CHAINLINK) << 160);
        uint256 terms = (((market >> 160) & 0x1f) << 162) | (((market >> 165) & 0x1ffff) << 167) | (uint256(68) << 191);
        uint256 status;
        (rate, status) = Sources.price(feed | terms, 0);
        usable = status == OK;
    }

    function _observeRate(uint16 asset) internal {
        (uint256 decimals, uint256 rateKind) = _decimalsAndRateKind(_assetWord(asset));
        if (rateKind == 0) return;
        (RateReading memory reading, RateState memory state, uint256 growth, uint256 age) = _rateState(asset, decimals);
        uint256 observed = _rateObserved[asset];
        _rateObserved[asset] = RateObservations.successor(observed, reading, state, growth, age, block.timestamp);
        emit RateObserved(asset, state.rate, state.market, state.credit);
    }

    /// @dev The price of a source that governance puts in force: it must work and report its decimals.
    function _tried(uint16 underlying, uint256 source, Kind idKind) internal view returns (uint256) {
        address target = address(uint160(source));
        uint256 pinned = (source >> 162) & 0x1f;
        bool isChainlink = (source >> 160) & 3 == uint256(SourceKind.CHAINLINK);
        uint256 reported = isChainlink ? Sources.decimalsOf(target) : pinned;
        if (reported != pinned) revert DecimalsMismatch(target, pinned, reported);
        (uint256 value, uint256 status) = _read(source, idKind, underlying);
        if (status != OK) revert SourceUnusable(underlying, target, PriceStatus(status));
        return value;
    }

    /// @dev Whoever accepts can observe first, so that the last price is fresh.
    function _requireAgreement(uint16 underlying, uint256 value) internal view {
        uint256 last = _observed[underlying].last();
        if (last != 0 && !PriceMath.agree(last, value, REPLACEMENT_BOUND)) {
            revert SourceDisagrees(underlying, value, last, REPLACEMENT_BOUND);
        }
    }
}
