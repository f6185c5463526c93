// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {FixingState, Funding, IHaircutRegistry, Kind, Parameter, Surface} from "../interfaces/IHaircutRegistry.sol";
import {OracleAdapter} from "./OracleAdapter.sol";
import {UNITS_LIMIT, WAD} from "./libraries/Constants.sol";
import {Fixings} from "./libraries/Fixings.sol";
import {Fundings, VALIDITY} from "./libraries/Fundings.sol";
import {Haircuts} from "./libraries/Haircuts.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params, RAMP} from "./libraries/Params.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {RateObservations} from "./libraries/RateObservations.sol";
import {Surfaces} from "./libraries/Surfaces.sol";

/// @title Every risk parameter as packed words: where they are kept and how they are read
/// @dev `ParameterModule` changes them.
abstract contract HaircutRegistry is IHaircutRegistry, OracleAdapter, AccessManaged {
    using Observations for uint256;

    /// @inheritdoc IHaircutRegistry
    uint256 public constant DELAY = 2 days;
    /// @inheritdoc IHaircutRegistry
    uint256 public constant EXPIRY = 7 days;

    /// @dev The crowd rate moves by one basis point in two units of its clock, at most for an hour at once.
    uint256 private constant CROWD_UNIT = 16;
    uint256 private constant MAX_CROWD_STEP = 112;

    /// @dev Asset ids are below this; 0 is the settlement token.
    uint256 internal constant ASSETS = 96;

    // An asset's hot word: ASSET 198 | underlying 8 | decimals 5 | rate kind 2 | crowd 14 | crowd time 28 | ramp 1.
    uint256 internal constant UNDERLYING_BIT = 198;
    uint256 internal constant DECIMALS_BIT = 206;
    uint256 internal constant RATE_KIND_BIT = 211;
    uint256 private constant CROWD_BIT = 213;
    uint256 private constant CROWD_TIME_BIT = 227;
    uint256 internal constant ASSET_RAMPING = 1 << 255;
    uint256 internal constant ASSET_MASK = (1 << Params.ASSET_BITS) - 1;

    // The global word: GLOBAL 140 | band ceiling at the start of its ramp 14 | that start 32 | sequencer feed 1.
    uint256 internal constant GLOBAL_MASK = (1 << Params.GLOBAL_BITS) - 1;
    uint256 internal constant CEILING_BIT = 140;
    uint256 internal constant CEILING_START_BIT = 154;
    uint256 internal constant SEQUENCED = 1 << 186;

    struct Submission {
        uint256 value;
        /// When it may be accepted, seconds; zero when nothing waits.
        uint256 readyAt;
    }

    uint256 internal _global;
    uint256[ASSETS] internal _assets;
    /// @dev By `_key`: the word at the start of a ramp (198 bits at most) | its start (58 bits), seconds.
    mapping(uint256 key => uint256) internal _ramps;
    mapping(uint256 key => Submission) internal _submissions;
    /// @dev Per underlying: `Fundings`.
    uint256[256] internal _fundings;
    address internal _clearingHouse;
    bool internal _isSealed;
    /// @dev By `_expiryKey`: `Surfaces`.
    mapping(uint256 key => uint256) internal _surfaces;
    /// @dev By `_expiryKey`: `Fixings`.
    mapping(uint256 key => uint256) internal _samples;

    modifier onlyClearingHouse() {
        if (msg.sender != _clearingHouse) revert OnlyClearingHouse(msg.sender);
        _;
    }

    constructor(address manager) AccessManaged(manager) {}

    /// @inheritdoc IHaircutRegistry
    function isSealed() external view returns (bool) {
        return _isSealed;
    }

    /// @inheritdoc IHaircutRegistry
    function parameter(Kind kind, uint16 id) external view virtual returns (Parameter memory result) {
        Submission memory submission = _submissions[_key(kind, id)];
        result.target = _target(kind, id);
        (result.current, result.rampEnd) = _current(kind, id, result.target);
        (result.submitted, result.readyAt) = (submission.value, submission.readyAt);
    }

    /// @inheritdoc IHaircutRegistry
    function funding(uint16 underlying) external view virtual returns (Funding memory result) {
        uint256 word = _fundings[_requireKnown(underlying)];
        result.index = Fundings.indexAt(word, block.timestamp);
        result.since = Fundings.time(word);
        result.observedAt = Fundings.observedAt(word);
        if (block.timestamp - result.since < VALIDITY) result.rate = Fundings.rate(word);
    }

    /// @inheritdoc IHaircutRegistry
    function surface(uint16 underlying, uint16 expiryDay) external view virtual returns (Surface memory result) {
        uint256 slot = _surfaces[_expiryKey(underlying, expiryDay)];
        result.observedAt = Surfaces.observedAt(slot);
        if (slot != 0) result.slice = Surfaces.unpack(slot, expiryDay);
    }

    /// @inheritdoc IHaircutRegistry
    function fixing(uint16 underlying, uint16 expiryDay) external view virtual returns (FixingState memory) {
        uint256 word = _samples[_expiryKey(underlying, expiryDay)];
        return FixingState({samples: Fixings.count(word), sum: Fixings.sum(word)});
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

    /// @dev As `Instruments.expiryKey`.
    function _expiryKey(uint16 underlying, uint16 expiryDay) internal pure returns (uint256) {
        if (expiryDay > Instruments.LAST_DAY) revert ExpiryOutOfBounds(expiryDay);
        return (uint256(underlying) << 12) | expiryDay;
    }

    function _target(Kind kind, uint16 id) internal view returns (uint256) {
        if (kind == Kind.GLOBAL) return _global & GLOBAL_MASK;
        if (kind == Kind.UNDERLYING) return _governed[id] >> Params.SOURCE_BITS;
        if (kind == Kind.SOURCE) return _governed[id] & SOURCE_MASK;
        if (kind == Kind.ASSET) return _assets[id] & ASSET_MASK;
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

    /// @dev The terms of an underlying for maintenance while one of its flags is set.
    function _termsNow(uint256 underlying, uint256 target, uint256 observed) internal view returns (uint256) {
        uint256 risk = observed.ramping() ? _riskAt(underlying, target) : target;
        return Params.withGauge(risk, _gaugeNow(underlying, observed));
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

    /// @dev The cumulative funding of an underlying below 256 now, rounded down.
    function _fundingIndex(uint256 underlying) internal view returns (int256) {
        uint256 word;
        // A place of the array.
        assembly ("memory-safe") {
            word := sload(add(_fundings.slot, underlying))
        }
        return Fundings.indexAt(word, block.timestamp);
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
