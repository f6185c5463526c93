// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IHaircutRegistry, Kind, Parameter} from "../interfaces/IHaircutRegistry.sol";
import {IParameterRules} from "../interfaces/IParameterRules.sol";
import {SourceKind} from "../interfaces/IOracleAdapter.sol";
import {PriceStatus} from "../interfaces/Types.sol";
import {OracleAdapter} from "./OracleAdapter.sol";
import {ParameterRules} from "./ParameterRules.sol";
import {BPS, UNITS_LIMIT, WAD} from "./libraries/Constants.sol";
import {Haircuts} from "./libraries/Haircuts.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params, RAMP} from "./libraries/Params.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {RateObservations} from "./libraries/RateObservations.sol";
import {Sources} from "./libraries/Sources.sol";

/// @title Every risk parameter: bounds, delays, steps and ramps by one check over packed words
abstract contract HaircutRegistry is IHaircutRegistry, OracleAdapter, AccessManaged {
    using Observations for uint256;

    /// @inheritdoc IHaircutRegistry
    uint256 public constant DELAY = 2 days;
    /// @inheritdoc IHaircutRegistry
    uint256 public constant EXPIRY = 7 days;

    /// @dev Funding an hour is at most this share of the price, bps.
    uint256 private constant MAX_FUNDING = 100;
    /// @dev The crowd rate moves by one basis point in two units of its clock, at most for an hour at once.
    uint256 private constant CROWD_UNIT = 16;
    uint256 private constant MAX_CROWD_STEP = 112;

    /// @dev Asset ids are below this; 0 is the settlement token.
    uint256 internal constant ASSETS = 96;

    // An asset's hot word: ASSET 198 | underlying 8 | decimals 5 | rate kind 2 | crowd 14 | crowd time 28 | ramp 1.
    uint256 private constant UNDERLYING_BIT = 198;
    uint256 private constant DECIMALS_BIT = 206;
    uint256 private constant RATE_KIND_BIT = 211;
    uint256 private constant CROWD_BIT = 213;
    uint256 private constant CROWD_TIME_BIT = 227;
    uint256 private constant ASSET_RAMPING = 1 << 255;
    uint256 private constant ASSET_MASK = (1 << Params.ASSET_BITS) - 1;
    uint256 private constant SOURCE_MASK = (1 << Params.SOURCE_BITS) - 1;

    // The global word: GLOBAL 140 | band ceiling at the start of its ramp 14 | that start 32 | sequencer feed 1.
    uint256 private constant GLOBAL_MASK = (1 << Params.GLOBAL_BITS) - 1;
    uint256 private constant CEILING_BIT = 140;
    uint256 private constant CEILING_START_BIT = 154;
    uint256 private constant SEQUENCED = 1 << 186;

    struct Submission {
        uint256 value;
        /// When it may be accepted, seconds; zero when nothing waits.
        uint256 readyAt;
    }

    IParameterRules private immutable _RULES;

    uint256 internal _global;
    uint256[ASSETS] internal _assets;
    /// @dev By `_key`: the word at the start of a ramp (198 bits at most) | its start (58 bits), seconds.
    mapping(uint256 key => uint256) private _ramps;
    mapping(uint256 key => Submission) private _submissions;
    /// @dev Per underlying, lowest first: time of the checkpoint 32 | rate from then on 96 | index up to then 128;
    /// index and rate signed, dollars per unit (and hour) with 18 decimals.
    uint256[256] private _fundings;
    address private _clearingHouse;
    bool private _isSealed;

    modifier onlyClearingHouse() {
        if (msg.sender != _clearingHouse) revert OnlyClearingHouse(msg.sender);
        _;
    }

    constructor(address manager) AccessManaged(manager) {
        _RULES = new ParameterRules();
    }

    /// @inheritdoc IHaircutRegistry
    function setUp(Kind kind, uint16 id, uint256 value) external restricted {
        if (_isSealed) revert AlreadySealed();
        _requireValid(kind, id, value);
        uint256 old = _target(kind, id);
        _write(kind, id, value, false);
        emit ParameterAccepted(kind, id, old, value);
    }

    /// @inheritdoc IHaircutRegistry
    function wire(address clearingHouse) external restricted {
        if (_clearingHouse != address(0)) revert AlreadyWired(_clearingHouse);
        _clearingHouse = clearingHouse;
        emit Wired(clearingHouse);
    }

    /// @inheritdoc IHaircutRegistry
    function seal() external restricted {
        if (_isSealed) revert AlreadySealed();
        if (_clearingHouse == address(0)) revert NotWired();
        // Without its factors every margin would be free.
        _requireValid(Kind.GLOBAL, 0, _global & GLOBAL_MASK);
        _isSealed = true;
        emit Sealed();
    }

    /// @inheritdoc IHaircutRegistry
    function isSealed() external view returns (bool) {
        return _isSealed;
    }

    /// @inheritdoc IHaircutRegistry
    function submit(Kind kind, uint16 id, uint256 value) external restricted {
        if (!_isSealed) revert NotSealed();
        _requireValid(kind, id, value);
        uint256 old = _target(kind, id);
        if (_RULES.isTightening(kind, old, value)) {
            _enforce(kind, id, old, value);
            return;
        }
        uint256 readyAt = block.timestamp + DELAY;
        _submissions[_key(kind, id)] = Submission({value: value, readyAt: readyAt});
        emit ParameterSubmitted(kind, id, value, readyAt);
    }

    /// @inheritdoc IHaircutRegistry
    function accept(Kind kind, uint16 id) external {
        Submission memory submission = _submissions[_key(kind, id)];
        (uint256 readyAt, uint256 value) = (submission.readyAt, submission.value);
        if (readyAt == 0) revert NothingSubmitted(kind, id);
        if (block.timestamp < readyAt) revert TooEarly(kind, id, readyAt);
        if (block.timestamp > readyAt + EXPIRY) revert SubmissionExpired(kind, id, readyAt + EXPIRY);
        _requireValid(kind, id, value);
        uint256 old = _target(kind, id);
        _RULES.requireSteps(kind, id, old, value);
        _enforce(kind, id, old, value);
    }

    /// @inheritdoc IHaircutRegistry
    function revoke(Kind kind, uint16 id) external restricted {
        Submission memory submission = _submissions[_key(kind, id)];
        if (submission.readyAt == 0) revert NothingSubmitted(kind, id);
        delete _submissions[_key(kind, id)];
        emit ParameterRevoked(kind, id, submission.value);
    }

    /// @inheritdoc IHaircutRegistry
    function parameter(Kind kind, uint16 id) external view returns (Parameter memory result) {
        Submission memory submission = _submissions[_key(kind, id)];
        result.target = _target(kind, id);
        (result.current, result.rampEnd) = _current(kind, id, result.target);
        (result.submitted, result.readyAt) = (submission.value, submission.readyAt);
    }

    /// @inheritdoc IHaircutRegistry
    function admit(uint16 asset, uint256 total, uint256 grown, uint256 holding) external onlyClearingHouse {
        uint256 word = _listedWord(asset);
        uint256 units = _storedUnitsDown(asset, word, holding);
        if (units >= UNITS_LIMIT) revert HoldingTooLarge(asset, units);
        (uint256 cap, uint256 growth) = Params.caps(word);
        uint256 value = _storedValueUp(asset, word, total);
        // Caps have 40 bits.
        if (value > cap * WAD) revert CapExceeded(asset, value, cap * WAD);
        uint256 grownValue = _storedValueUp(asset, word, grown);
        if (grownValue > growth * WAD) revert GrowthExceeded(asset, grownValue, growth * WAD);
        _moveCrowd(asset, word, value);
    }

    /// @inheritdoc IHaircutRegistry
    function noteTotal(uint16 asset, uint256 total) external onlyClearingHouse {
        uint256 word = _assetWord(asset);
        _moveCrowd(asset, word, _storedValueUp(asset, word, total));
    }

    /// @inheritdoc IHaircutRegistry
    function tokenOf(uint16 asset) external view returns (address) {
        _listedWord(asset);
        return address(uint160(_words[_key(Kind.TOKEN, asset)]));
    }

    /// @dev Reverts unless the word is well formed and everything it refers to exists.
    function _requireValid(Kind kind, uint16 id, uint256 value) private view {
        _RULES.requireValid(kind, id, value);
        if (kind == Kind.FUNDING) _requireFunding(id, int256(value));
        else if (kind == Kind.TOKEN) _requireToken(id, value);
        else if (kind == Kind.RATE_SOURCE || kind == Kind.RATE_MARKET) _assetWord(id);
    }

    function _requireToken(uint16 id, uint256 word) private view {
        // Asset 0 is the settlement token, which the ledger counts as cash.
        if (id == 0) revert UnknownAsset(id);
        if (_words[_key(Kind.TOKEN, id)] != 0) revert AlreadySet(Kind.TOKEN, id);
        // The field has passed its bound, 255.
        uint16 underlying = uint16(word >> 160);
        _requireMargined(underlying);
        uint256 reported = Sources.decimalsOf(address(uint160(word)));
        if (reported != word >> 176) revert DecimalsMismatch(address(uint160(word)), word >> 176, reported);
    }

    function _requireFunding(uint16 id, int256 rate) private view {
        uint256 last = _observed[_requireKnown(id)].last();
        // Prices have 94 bits; a rate within the bound has 88 and fits its place of 96.
        if (PriceMath.abs(rate) > last * MAX_FUNDING / BPS) {
            revert ParameterOutOfBounds(Kind.FUNDING, id, 0, PriceMath.abs(rate));
        }
    }

    function _enforce(Kind kind, uint16 id, uint256 old, uint256 value) private {
        // Also when a tightening overtakes what waits: an emergency is not undone by an older proposal.
        delete _submissions[_key(kind, id)];
        _write(kind, id, value, true);
        emit ParameterAccepted(kind, id, old, value);
    }

    function _target(Kind kind, uint16 id) private view returns (uint256) {
        if (kind == Kind.GLOBAL) return _global & GLOBAL_MASK;
        if (kind == Kind.UNDERLYING) return _governed[id] >> Params.SOURCE_BITS;
        if (kind == Kind.SOURCE) return _governed[id] & SOURCE_MASK;
        if (kind == Kind.ASSET) return _assets[id] & ASSET_MASK;
        if (kind == Kind.FUNDING) return uint256(_fundingRate(_fundings[id]));
        return _words[_key(kind, id)];
    }

    function _current(Kind kind, uint16 id, uint256 target) private view returns (uint256 word, uint256 rampEnd) {
        if (kind == Kind.GLOBAL) {
            word = (target & ~(uint256(0x3fff) << 16)) | (_bandCeiling(_global) << 16);
            return (word, _ceilingStart(_global) + RAMP);
        }
        if (kind != Kind.UNDERLYING && kind != Kind.ASSET) return (target, 0);
        uint256 ramp = _ramps[_key(kind, id)];
        if (ramp == 0) return (target, 0);
        word = kind == Kind.UNDERLYING ? _riskAt(id, target) : _assetAt(id, target);
        rampEnd = (ramp >> Params.ASSET_BITS) + RAMP;
    }

    /// @dev The UNDERLYING word for maintenance while its ramp flag is set.
    function _riskAt(uint256 underlying, uint256 target) internal view returns (uint256) {
        uint256 ramp = _ramps[_key(Kind.UNDERLYING, underlying)];
        return Params.interpolateUnderlying(ramp & ASSET_MASK, target, block.timestamp - (ramp >> Params.ASSET_BITS));
    }

    /// @dev The ASSET word for maintenance while its ramp flag is set.
    function _assetAt(uint256 asset, uint256 target) internal view returns (uint256) {
        uint256 ramp = _ramps[_key(Kind.ASSET, asset)];
        return Params.interpolateAsset(ramp & ASSET_MASK, target, block.timestamp - (ramp >> Params.ASSET_BITS));
    }

    function _ceilingStart(uint256 global) private pure returns (uint256) {
        return (global >> CEILING_START_BIT) & 0xffffffff;
    }

    /// @dev The band ceiling for maintenance now: the same rule as every ramp.
    function _bandCeiling(uint256 global) internal view returns (uint256) {
        uint256 to = Params.bandCeiling(global);
        uint256 elapsed = block.timestamp - _ceilingStart(global);
        if (elapsed >= RAMP) return to;
        uint256 from = (global >> CEILING_BIT) & 0x3fff;
        return (from * (RAMP - elapsed) + to * elapsed) / RAMP;
    }

    function _hasSequencer(uint256 global) internal pure returns (bool) {
        return global & SEQUENCED != 0;
    }

    function _write(Kind kind, uint16 id, uint256 value, bool ramps) private {
        if (kind == Kind.GLOBAL) return _writeGlobal(value, ramps);
        if (kind == Kind.UNDERLYING) return _writeUnderlying(id, value, ramps);
        if (kind == Kind.ASSET) return _writeAsset(id, value, ramps);
        if (kind == Kind.FUNDING) return _writeFunding(id, int256(value));
        if (kind == Kind.SOURCE) return _writeSource(id, value);
        if (kind == Kind.FROZEN_PRICE) return _writeFrozen(id, value);
        uint256 key = _key(kind, id);
        // A Pyth id is a source as much as its address is: it is checked as it will be read.
        uint256 old = _words[key];
        _words[key] = value;
        if (kind == Kind.MARKET) _requireMargined(id);
        else if (kind == Kind.SECOND_SOURCE && value != 0) _requireSource(id, value, Kind.SECOND_PYTH_ID);
        else if (kind == Kind.PYTH_ID) _requirePyth(id, _governed[id], kind);
        else if (kind == Kind.SECOND_PYTH_ID) _requirePyth(id, _words[_key(Kind.SECOND_SOURCE, id)], kind);
        else if (kind == Kind.TOKEN) _writeToken(id, value);
        else if (kind == Kind.RATE_SOURCE) _writeRateSource(id, value, old);
        else if (kind == Kind.RATE_MARKET) _writeRateMarket(id, value, old);
        else if (kind == Kind.SEQUENCER) _writeSequencer(value);
    }

    function _writeGlobal(uint256 value, bool ramps) private {
        uint256 global = _global;
        uint256 from = ramps ? _bandCeiling(global) : Params.bandCeiling(value);
        // A time in seconds below 2^32 (the year 2106) keeps to its field.
        uint256 start = ramps ? block.timestamp : 0;
        _global = value | (from << CEILING_BIT) | (start << CEILING_START_BIT) | (global & SEQUENCED);
    }

    function _writeUnderlying(uint16 id, uint256 value, bool ramps) private {
        uint256 governed = _governed[id];
        uint256 old = governed >> Params.SOURCE_BITS;
        ramps = ramps && old != 0;
        if (ramps) {
            uint256 from = _observed[id].ramping() ? _riskAt(id, old) : old;
            _RULES.requireScanBound(id, from, value);
            _ramps[_key(Kind.UNDERLYING, id)] = from | (block.timestamp << Params.ASSET_BITS);
        }
        _observed[id] = _observed[id].withRamp(ramps);
        _governed[id] = (governed & SOURCE_MASK) | (value << Params.SOURCE_BITS);
    }

    function _writeAsset(uint16 id, uint256 value, bool ramps) private {
        uint256 word = _assetWord(id);
        uint256 old = word & ASSET_MASK;
        if (old == 0) _requireRatesAccepted(id);
        ramps = ramps && old != 0;
        if (ramps) {
            uint256 from = word & ASSET_RAMPING != 0 ? _assetAt(id, old) : old;
            _ramps[_key(Kind.ASSET, id)] = from | (block.timestamp << Params.ASSET_BITS);
        }
        _assets[id] = (word & ~ASSET_MASK & ~ASSET_RAMPING) | value | (ramps ? ASSET_RAMPING : 0);
    }

    /// @dev Anyone accepts, in any order: a yield token is listed only with the rates that were submitted for it.
    function _requireRatesAccepted(uint16 id) private view {
        bool waits = _submissions[_key(Kind.RATE_SOURCE, id)].readyAt != 0
            || _submissions[_key(Kind.RATE_MARKET, id)].readyAt != 0;
        if (waits) revert RateSourceMissing(id);
    }

    function _writeFunding(uint16 id, int256 rate) private {
        // A rate has 88 bits: at 2^88 dollars an hour an index needs 2^39 hours to leave its 128. A time has 32.
        uint256 rateBits = (uint256(rate) & ((1 << 96) - 1)) << 32;
        _fundings[id] = (uint256(_fundingIndex(id)) << 128) | rateBits | block.timestamp;
    }

    function _writeSource(uint16 id, uint256 value) private {
        uint256 index = _requireSource(id, value, Kind.PYTH_ID);
        _governed[id] = (_governed[id] & ~SOURCE_MASK) | value;
        if (!_isSealed || _observed[id].last() == 0) _record(id, index, index, PriceStatus.OK);
    }

    /// @dev Zero lifts a freeze: the price stays doubtful until both sources are observed again.
    function _writeFrozen(uint16 id, uint256 value) private {
        uint256 observed = _observed[_requireKnown(id)];
        _words[_key(Kind.FROZEN_PRICE, id)] = value;
        if (value == 0) {
            if (observed.status() == PriceStatus.FROZEN) _storeStatus(id, PriceStatus.UNCONFIRMED);
            return;
        }
        uint256 since = observed.time();
        (, uint256 status) = _read(_governed[id], Kind.PYTH_ID, id);
        bool broken = observed.statusCode() != OK || status != OK;
        bool refrozen = observed.status() == PriceStatus.FROZEN;
        if (!refrozen && !(broken && block.timestamp - since >= FREEZE_AFTER)) revert NotBrokenLongEnough(id, since);
        _record(id, value, value, PriceStatus.FROZEN);
    }

    /// @dev Before the seal nobody depends on the price, and a wrong feed must be replaceable by a right one.
    function _requireSource(uint16 id, uint256 source, Kind idKind) private view returns (uint256 value) {
        value = _tried(id, source, idKind);
        if (_isSealed) _requireAgreement(id, value);
    }

    function _requirePyth(uint16 id, uint256 source, Kind idKind) private view {
        if ((source >> 160) & 3 == uint256(SourceKind.PYTH)) _requireSource(id, source, idKind);
    }

    /// @dev Without risk parameters a position would need no margin.
    function _requireMargined(uint16 id) private view {
        if (_governed[_requireKnown(id)] >> Params.SOURCE_BITS == 0) revert UnknownUnderlying(id);
    }

    function _writeToken(uint16 id, uint256 value) private {
        // Bounded before: underlying below 2^8, decimals below 2^5.
        _assets[id] |= (((value >> 160) & 0xff) << UNDERLYING_BIT) | ((value >> 176) << DECIMALS_BIT);
    }

    /// @dev A new rate source must work, and agree with the rate so far once the asset is listed.
    function _writeRateSource(uint16 id, uint256 value, uint256 old) private {
        uint256 word = _assets[id];
        (uint256 decimals,) = _decimalsAndRateKind(word);
        (uint256 rate, bool usable) = _readRate(value, decimals);
        address target = address(uint160(value));
        if (!usable) revert SourceUnusable(id, target, PriceStatus.INVALID);
        uint256 before = old == 0 ? WAD : RateObservations.rate(_rateObserved[id]);
        if (word & ASSET_MASK != 0 && !PriceMath.agree(before, rate, REPLACEMENT_BOUND)) {
            revert SourceDisagrees(id, rate, before, REPLACEMENT_BOUND);
        }
        _assets[id] = (word & ~(uint256(3) << RATE_KIND_BIT)) | (((value >> 160) & 3) << RATE_KIND_BIT);
        if (old == 0) _rateObserved[id] = RateObservations.pack(rate, rate, rate, 0, block.timestamp, false);
        else _observeRate(id);
    }

    /// @dev A new market feed must work, and agree with the one that it replaces.
    function _writeRateMarket(uint16 id, uint256 value, uint256 old) private {
        (uint256 rate, bool usable) = _readMarket(value);
        if (!usable) revert SourceUnusable(id, address(uint160(value)), PriceStatus.INVALID);
        (, uint256 rateKind) = _decimalsAndRateKind(_assets[id]);
        if (rateKind == 0) revert RateSourceMissing(id);
        uint256 before = RateObservations.market(_rateObserved[id]);
        if (_isSealed && old != 0 && !PriceMath.agree(before, rate, REPLACEMENT_BOUND)) {
            revert SourceDisagrees(id, rate, before, REPLACEMENT_BOUND);
        }
        _observeRate(id);
    }

    function _writeSequencer(uint256 value) private {
        address feed = address(uint160(value));
        if (value != 0 && Sources.upSince(feed) == type(uint256).max) {
            revert SourceUnusable(0, feed, PriceStatus.SEQUENCER_DOWN);
        }
        _global = value == 0 ? _global & ~SEQUENCED : _global | SEQUENCED;
    }

    /// @dev The cumulative funding of an underlying below 256 now, rounded down.
    function _fundingIndex(uint256 underlying) internal view returns (int256) {
        uint256 word;
        // A place of the array.
        assembly ("memory-safe") {
            word := sload(add(_fundings.slot, underlying))
        }
        // 96 bits of rate times 32 of time, beside an index of 128: no overflow.
        unchecked {
            int256 elapsed = int256(block.timestamp - (word & 0xffffffff));
            return (int256(word) >> 128) + PriceMath.floorDiv(_fundingRate(word) * elapsed, 3_600);
        }
    }

    function _fundingRate(uint256 word) private pure returns (int256) {
        // Bits 32 to 127, sign-extended by the arithmetic shift.
        return int256(word << 128) >> 160;
    }

    /// @inheritdoc OracleAdapter
    function _endRamp(uint256 underlying, uint256 observed) internal override {
        if (!observed.ramping()) return;
        uint256 start = _ramps[_key(Kind.UNDERLYING, underlying)] >> Params.ASSET_BITS;
        if (block.timestamp >= start + RAMP) _observed[underlying] = observed.withRamp(false);
    }

    /// @inheritdoc OracleAdapter
    function _assetWord(uint16 asset) internal view override returns (uint256 word) {
        // Ids below `ASSETS` are places of the array; others and unused ones have no underlying.
        assembly ("memory-safe") {
            if lt(asset, ASSETS) { word := sload(add(_assets.slot, asset)) }
        }
        if (_underlyingOf(word) == 0) revert UnknownAsset(asset);
    }

    /// @dev The word of an asset that is ready for deposits: with a token and with risk parameters.
    function _listedWord(uint16 asset) private view returns (uint256 word) {
        word = _assetWord(asset);
        if (word & ASSET_MASK == 0) revert UnknownAsset(asset);
    }

    function _underlyingOf(uint256 word) internal pure returns (uint256) {
        return (word >> UNDERLYING_BIT) & 0xff;
    }

    /// @inheritdoc OracleAdapter
    function _decimalsAndRateKind(uint256 word) internal pure override returns (uint256, uint256) {
        return ((word >> DECIMALS_BIT) & 0x1f, (word >> RATE_KIND_BIT) & 3);
    }

    /// @dev Whether units are the token's own: 18 decimals and no rate.
    function _isPlain(uint256 word) internal pure returns (bool) {
        return (word >> DECIMALS_BIT) & 0x7f == 18;
    }

    function _crowdOf(uint256 word) internal pure returns (uint256) {
        return (word >> CROWD_BIT) & 0x3fff;
    }

    function _isRamping(uint256 word) internal pure returns (bool) {
        return word & ASSET_RAMPING != 0;
    }

    /// @dev Units of the underlying at the last stored rate, cut at 2^128.
    function _storedUnitsDown(uint16 asset, uint256 word, uint256 amount) private view returns (uint256) {
        (uint256 decimals, uint256 rateKind) = _decimalsAndRateKind(word);
        uint256 rate = rateKind == 0 ? WAD : RateObservations.rate(_rateObserved[asset]);
        // 128 bits of amount times 68 of rate.
        uint256 cut = PriceMath.min(amount, type(uint128).max);
        return PriceMath.min(cut * rate / 10 ** decimals, type(uint128).max);
    }

    /// @dev Dollars with 18 decimals at the last stored price and rate: 128 + 94 bits.
    function _storedValueUp(uint16 asset, uint256 word, uint256 amount) private view returns (uint256) {
        uint256 last = _observed[_underlyingOf(word)].last();
        return PriceMath.ceilDiv(_storedUnitsDown(asset, word, amount) * last, WAD);
    }

    /// @dev Moves the crowd rate by the time since it last moved, and ends a ramp that is over.
    function _moveCrowd(uint16 asset, uint256 word, uint256 value) private {
        uint256 crowd = _crowdOf(word);
        uint256 aim = value == 0 ? 0 : PriceMath.ceilDiv(Haircuts.tiered(word, value), value);
        // 28 bits of 16 s reach the year 2106.
        uint256 now_ = block.timestamp / CROWD_UNIT;
        uint256 time = (word >> CROWD_TIME_BIT) & 0xfffffff;
        uint256 step = PriceMath.min((now_ - time) / 2, MAX_CROWD_STEP);
        uint256 next = aim > crowd ? crowd + PriceMath.min(step, aim - crowd) : crowd - PriceMath.min(step, crowd - aim);
        uint256 changed = word;
        if (next != crowd) {
            uint256 cleared = word & ~((uint256(1) << 255) - (uint256(1) << CROWD_BIT));
            changed = cleared | (next << CROWD_BIT) | (now_ << CROWD_TIME_BIT);
            emit CrowdMoved(asset, crowd, next);
        }
        if (_isRamping(word) && block.timestamp >= (_ramps[_key(Kind.ASSET, asset)] >> Params.ASSET_BITS) + RAMP) {
            changed &= ~ASSET_RAMPING;
        }
        if (changed != word) _assets[asset] = changed;
    }
}
