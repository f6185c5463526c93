// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Kind} from "../interfaces/IHaircutRegistry.sol";
import {SourceKind} from "../interfaces/IOracleAdapter.sol";
import {IParameterModule} from "../interfaces/IParameterModule.sol";
import {PriceStatus} from "../interfaces/Types.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {WAD} from "./libraries/Constants.sol";
import {Fundings} from "./libraries/Fundings.sol";
import {Observations} from "./libraries/Observations.sol";
import {ParameterRules} from "./libraries/ParameterRules.sol";
import {Params} from "./libraries/Params.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {RateObservations} from "./libraries/RateObservations.sol";
import {Sources} from "./libraries/Sources.sol";
import {Volatilities} from "./libraries/Volatilities.sol";

/// @title Changes of parameters
/// @dev Runs on the MarginEngine's storage by delegatecall: rare, and too much code to stand beside the margin. Its own
/// storage is never read.
contract ParameterModule is IParameterModule, HaircutRegistry {
    using Observations for uint256;

    constructor(address manager) HaircutRegistry(manager) {}

    /// @inheritdoc IParameterModule
    function setUp(Kind kind, uint16 id, uint256 value) external restricted {
        if (_isSealed) revert AlreadySealed();
        _requireValid(kind, id, value);
        uint256 old = _target(kind, id);
        _write(kind, id, value, false);
        emit ParameterAccepted(kind, id, old, value);
    }

    /// @inheritdoc IParameterModule
    function startFunding(uint16 underlying, int112 index) external restricted {
        if (_isSealed) revert AlreadySealed();
        uint256 known = _requireKnown(underlying);
        _fundings[known] = Fundings.pack({time_: block.timestamp, rate_: 0, lag: 0, index_: index});
        emit FundingSet(underlying, 0, 0, index, block.timestamp);
    }

    /// @inheritdoc IParameterModule
    function wire(address clearingHouse) external restricted {
        if (_clearingHouse != address(0)) revert AlreadyWired(_clearingHouse);
        _clearingHouse = clearingHouse;
        emit Wired(clearingHouse);
    }

    /// @inheritdoc IParameterModule
    function seal() external restricted {
        if (_isSealed) revert AlreadySealed();
        if (_clearingHouse == address(0)) revert NotWired();
        // Without its factors every margin would be free.
        _requireValid(Kind.GLOBAL, 0, _global & GLOBAL_MASK);
        _isSealed = true;
        emit Sealed();
    }

    /// @inheritdoc IParameterModule
    function submit(Kind kind, uint16 id, uint256 value) external restricted {
        if (!_isSealed) revert NotSealed();
        _requireValid(kind, id, value);
        uint256 old = _target(kind, id);
        if (ParameterRules.isTightening(kind, old, value)) {
            _enforce(kind, id, old, value);
            return;
        }
        uint256 readyAt = block.timestamp + DELAY;
        _submissions[_key(kind, id)] = Submission({value: value, readyAt: readyAt});
        emit ParameterSubmitted(kind, id, value, readyAt);
    }

    /// @inheritdoc IParameterModule
    function accept(Kind kind, uint16 id) external {
        Submission memory submission = _submissions[_key(kind, id)];
        (uint256 readyAt, uint256 value) = (submission.readyAt, submission.value);
        if (readyAt == 0) revert NothingSubmitted(kind, id);
        if (block.timestamp < readyAt) revert TooEarly(kind, id, readyAt);
        if (block.timestamp > readyAt + EXPIRY) revert SubmissionExpired(kind, id, readyAt + EXPIRY);
        _requireValid(kind, id, value);
        uint256 old = _target(kind, id);
        ParameterRules.requireSteps(kind, id, old, value);
        _enforce(kind, id, old, value);
    }

    /// @inheritdoc IParameterModule
    function revoke(Kind kind, uint16 id) external restricted {
        Submission memory submission = _submissions[_key(kind, id)];
        if (submission.readyAt == 0) revert NothingSubmitted(kind, id);
        delete _submissions[_key(kind, id)];
        emit ParameterRevoked(kind, id, submission.value);
    }

    /// @dev Reverts unless the word is well formed and everything it refers to exists.
    function _requireValid(Kind kind, uint16 id, uint256 value) private view {
        ParameterRules.requireValid(kind, id, value);
        if (kind == Kind.TOKEN) _requireToken(id, value);
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

    function _enforce(Kind kind, uint16 id, uint256 old, uint256 value) private {
        // Also when a tightening overtakes what waits: an emergency is not undone by an older proposal.
        delete _submissions[_key(kind, id)];
        _write(kind, id, value, true);
        emit ParameterAccepted(kind, id, old, value);
    }

    function _write(Kind kind, uint16 id, uint256 value, bool ramps) private {
        if (kind == Kind.GLOBAL) return _writeGlobal(value, ramps);
        if (kind == Kind.UNDERLYING) return _writeUnderlying(id, value, ramps);
        if (kind == Kind.ASSET) return _writeAsset(id, value, ramps);
        if (kind == Kind.SOURCE) return _writeSource(id, value);
        if (kind == Kind.FROZEN_PRICE) return _writeFrozen(id, value);
        uint256 key = _key(kind, id);
        // A Pyth id is a source as much as its address is: it is checked as it will be read.
        uint256 old = _words[key];
        _words[key] = value;
        if (kind == Kind.MARKET) _requireMargined(id);
        else if (kind == Kind.SECOND_SOURCE) _afterSecondSource(id, value, old);
        else if (kind == Kind.PYTH_ID) _requirePyth(id, _governed[id], kind);
        else if (kind == Kind.SECOND_PYTH_ID) _requirePyth(id, _words[_key(Kind.SECOND_SOURCE, id)], kind);
        else if (kind == Kind.TOKEN) _writeToken(id, value);
        else if (kind == Kind.RATE_SOURCE) _writeRateSource(id, value, old);
        else if (kind == Kind.RATE_MARKET) _writeRateMarket(id, value, old);
        else if (kind == Kind.SEQUENCER) _writeSequencer(value);
        else if (kind == Kind.VOLATILITY || kind == Kind.OPTIONS) _requireRounds(id);
        else if (kind == Kind.REPORTS && value != 0) _requireCode(address(uint160(value)));
        else if (kind == Kind.FUNDING || kind == Kind.SYMBOL) _requireKnown(id);
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
            ParameterRules.requireScanBound(id, from, value);
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

    function _writeSource(uint16 id, uint256 value) private {
        uint256 index = _requireSource(id, value, Kind.PYTH_ID);
        uint256 second = _words[_key(Kind.SECOND_SOURCE, id)];
        _noteRounds(id, _ofRounds(_governed[id], second), _ofRounds(value, second));
        _governed[id] = (_governed[id] & ~SOURCE_MASK) | value;
        if (!_isSealed || _observed[id].last() == 0) _record(id, index, index, PriceStatus.OK);
    }

    function _afterSecondSource(uint16 id, uint256 value, uint256 old) private {
        if (value != 0) _requireSource(id, value, Kind.SECOND_PYTH_ID);
        uint256 primary = _governed[id];
        _noteRounds(id, _ofRounds(primary, old), _ofRounds(primary, value));
    }

    /// @dev Another proxy counts its phases from one; that of one which stays does not go back. Expiries need rounds.
    function _noteRounds(uint16 id, uint256 before, uint256 source) private {
        if (source == 0 && _words[_key(Kind.OPTIONS, id)] != 0) revert RoundsMissing(id);
        if (address(uint160(before)) != address(uint160(source))) {
            _volatility[id] = Volatilities.withoutPhase(_volatility[id]);
        }
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

    function _requireCode(address reports) private view {
        if (reports.code.length == 0) revert SourceUnusable(0, reports, PriceStatus.INVALID);
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
}
