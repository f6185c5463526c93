// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Kind} from "../interfaces/IHaircutRegistry.sol";
import {IReportModule} from "../interfaces/IReportModule.sol";
import {IReportOracle, PremiumReport, SurfaceReport, SurfaceSlice} from "../interfaces/IReportOracle.sol";
import {PriceStatus} from "../interfaces/Types.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {Fixings} from "./libraries/Fixings.sol";
import {Fundings} from "./libraries/Fundings.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params} from "./libraries/Params.sol";
import {Sources} from "./libraries/Sources.sol";
import {SurfaceRules} from "./libraries/SurfaceRules.sol";
import {Surfaces} from "./libraries/Surfaces.sol";
import {Volatilities} from "./libraries/Volatilities.sol";

/// @title What anybody reports: premiums and surfaces as they were signed, and rounds as the feeds recorded them
/// @dev Runs on the MarginEngine's storage by delegatecall. Its own storage is never read.
contract ReportModule is IReportModule, HaircutRegistry {
    using Observations for uint256;
    using SafeCast for uint256;

    /// @dev Bits of a round within its phase.
    uint256 private constant ROUND_BITS = 64;
    /// @dev How long the first round of a later phase fixes nothing.
    uint256 private constant PHASE_DELAY = 1 days;

    constructor(address manager) HaircutRegistry(manager) {}

    /// @inheritdoc IReportModule
    function reportPremium(uint16 underlying, PremiumReport[] calldata reports, bytes[] calldata signatures) external {
        uint256 last = _observed[_requireKnown(underlying)].last();
        (int256 premium, uint256 observedAt_) = _reportOracle().verifyPremium(underlying, reports, signatures);
        uint256 before = Fundings.observedAt(_fundings[underlying]);
        if (observedAt_ <= before) revert ReportNotNewer(underlying, observedAt_, before);
        int256 rate = Fundings.rateOf(premium, Params.fundingCap(_words[_key(Kind.FUNDING, underlying)]), last);
        // At less than 2^88 an hour an index needs 2^23 hours, 957 years, to leave its 112 bits.
        int256 index = _fundingIndex(underlying);
        uint16 lag = (block.timestamp - observedAt_).toUint16();
        _fundings[underlying] = Fundings.pack(block.timestamp, rate, lag, index);
        emit FundingSet(underlying, premium, rate, index, observedAt_);
    }

    /// @inheritdoc IReportModule
    function reportSurface(uint16 underlying, SurfaceReport[] calldata reports, bytes[] calldata signatures) external {
        _requireKnown(underlying);
        (SurfaceSlice[] memory slices, uint256 observedAt_) =
            _reportOracle().verifySurface(underlying, reports, signatures);
        for (uint256 i; i < slices.length; ++i) {
            SurfaceSlice memory slice = slices[i];
            uint256 key = _expiryKey(underlying, slice.expiryDay);
            uint256 before = Surfaces.observedAt(_surfaces[key]);
            if (observedAt_ <= before) revert ReportNotNewer(underlying, observedAt_, before);
            // What is stored does not depend on what another ReportOracle lets pass.
            SurfaceRules.requireFields(slice);
            _surfaces[key] = Surfaces.pack(slice, observedAt_.toUint32());
            emit SurfaceReported(underlying, slice.expiryDay, slice, observedAt_);
        }
    }

    /// @inheritdoc IReportModule
    function recordFixing(uint16 underlying, uint16 expiryDay, uint80[] calldata rounds) external {
        uint256 key = _expiryKey(underlying, expiryDay);
        uint256 source = _requireRounds(underlying);
        uint256 word = _samples[key];
        uint256 taken = Fixings.count(word);
        if (taken + rounds.length > Fixings.SAMPLES) revert FixingComplete(underlying, expiryDay, taken);
        uint256 observed = _observed[underlying];
        if (observed.status() == PriceStatus.FROZEN) {
            uint256 expiry = Instruments.expiryOf(expiryDay);
            if (rounds.length != 0 || block.timestamp < expiry) revert FixingFrozen(underlying, expiry);
            for (; taken < Fixings.SAMPLES; ++taken) {
                word = _fixed(underlying, expiryDay, word, observed.last(), 0, source);
            }
        }
        for (uint256 i; i < rounds.length; ++i) {
            uint80 round = rounds[i];
            uint256 least = Fixings.leastRound(word, source);
            if (round < least) revert RoundsDescend(underlying, round, least);
            uint256 price = _requireFirstUsable(underlying, source, round, Fixings.instant(expiryDay, taken + i));
            word = _fixed(underlying, expiryDay, word, price, round, source);
        }
        _samples[key] = word;
    }

    /// @inheritdoc IReportModule
    function sampleVolatility(uint16 underlying, uint80[] calldata rounds) external {
        uint256 usual = _words[_key(Kind.VOLATILITY, underlying)];
        if (usual == 0) revert VolatilityUnset(underlying);
        uint256 source = _requireRounds(underlying);
        uint256 observed = _observed[underlying];
        uint256 gauge = observed.gauge();
        // At one moment maintenance stands still, whatever becomes of the gauge that it follows.
        uint256 gaugeNow = _gaugeNow(underlying, observed);
        uint256 word = _volatility[underlying];
        for (uint256 i = 0; i < rounds.length; ++i) {
            word = _sampled(underlying, source, word, rounds[i], usual, observed.statusCode() == OK);
            uint256 next = Volatilities.gaugeUp(Volatilities.variance(word), usual);
            if (next != gauge) word = Volatilities.withStart(word, gaugeNow, block.timestamp);
            gauge = next;
            emit VolatilitySampled(
                underlying, Volatilities.hour(word), Volatilities.price(word), Volatilities.variance(word), gauge
            );
        }
        _volatility[underlying] = word;
        _observed[underlying] = observed.withGauge(gauge, gauge != gaugeNow);
    }

    function _reportOracle() private view returns (IReportOracle oracle) {
        oracle = IReportOracle(address(uint160(_words[_key(Kind.REPORTS, 0)])));
        if (address(oracle) == address(0)) revert ReportOracleMissing();
    }

    /// @dev A fixing after one more sample, at a price below 2^94.
    function _fixed(uint16 underlying, uint16 expiryDay, uint256 word, uint256 price, uint80 round, uint256 source)
        private
        returns (uint256 next)
    {
        next = Fixings.next(word, price, round, source);
        emit FixingRecorded(underlying, expiryDay, Fixings.count(next), price);
    }

    /// @dev The price of a round that must be the first one of its phase at or after `start` within its bounds. What is
    /// out of bounds before it counts as never reported, so that one wrong round stops no settlement.
    function _requireFirstUsable(uint16 underlying, uint256 source, uint80 round, uint256 start)
        private
        view
        returns (uint256 price)
    {
        (uint256 answer, uint256 time) = _requireRound(underlying, source, round);
        if (time < start) revert RoundTooEarly(underlying, round, time, start);
        bool usable;
        (price, usable) = Sources.bounded(source, answer);
        if (!usable) revert RoundUnavailable(underlying, round);
        uint80 earlier = round;
        while (uint64(earlier) != 1) {
            // Before zero, which never was, the number wraps to one as unknown.
            unchecked {
                --earlier;
            }
            (answer, time) = _requireRound(underlying, source, earlier);
            if (time < start) return price;
            (, usable) = Sources.bounded(source, answer);
            if (usable) revert RoundNotFirst(underlying, round, time, start);
        }
        _requireFirstOfPhase(underlying, source, round, earlier, start);
        // Of the phase before there may be a round too. It has been handed in, or nobody cared for a day.
        if (round >> ROUND_BITS > 1 && block.timestamp < start + PHASE_DELAY) {
            revert PhaseTooNew(underlying, round, start + PHASE_DELAY);
        }
    }

    /// @dev The state after one more hour, whose first round is `round`. A price out of bounds, or of a source in
    /// doubt, is no sample: the hour passes without a move.
    function _sampled(uint16 underlying, uint256 source, uint256 word, uint80 round, uint256 usual, bool trusted)
        private
        view
        returns (uint256)
    {
        uint256 last = Volatilities.price(word);
        uint256 hour = last == 0 ? block.timestamp / Volatilities.HOUR : Volatilities.hour(word) + 1;
        uint256 phase = round >> ROUND_BITS;
        if (phase < Volatilities.phase(word)) revert PhasePassed(underlying, round, Volatilities.phase(word));
        uint256 answer = _requireFirst(underlying, source, round, hour * Volatilities.HOUR);
        (uint256 value, bool usable) = Sources.bounded(source, answer);
        usable = usable && trusted;
        if (last == 0) {
            if (!usable) revert RoundUnavailable(underlying, round);
            return Volatilities.withSample(word, value, hour, phase, Volatilities.expected(usual));
        }
        if (!usable) value = last;
        uint256 variance = Volatilities.varianceAfter(Volatilities.variance(word), last, value, usual);
        return Volatilities.withSample(word, value, hour, phase, variance);
    }

    /// @dev The answer of a round that must be the first one of its phase at or after `start`: none can be chosen.
    function _requireFirst(uint16 underlying, uint256 source, uint80 round, uint256 start)
        private
        view
        returns (uint256 answer)
    {
        uint256 time;
        (answer, time) = _requireRound(underlying, source, round);
        if (time < start) revert RoundTooEarly(underlying, round, time, start);
        if (uint64(round) == 1) {
            _requireFirstOfPhase(underlying, source, round, round, start);
            return answer;
        }
        uint80 previous;
        // Before zero, which never was, the number wraps to one as unknown.
        unchecked {
            previous = round - 1;
        }
        (, time) = _requireRound(underlying, source, previous);
        if (time >= start) revert RoundNotFirst(underlying, round, time, start);
    }

    /// @dev Rounds are counted from one in each phase, of which `first` has that number. A feed that answers to any
    /// number has no first round: whoever calls would choose the moment.
    function _requireFirstOfPhase(uint16 underlying, uint256 source, uint80 round, uint80 first, uint256 start)
        private
        view
    {
        (bool ok,, uint256 time) = Sources.round(source, first - 1);
        if (ok && time != 0) revert RoundNotFirst(underlying, round, time, start);
    }

    function _requireRound(uint16 underlying, uint256 source, uint80 round)
        private
        view
        returns (uint256 answer, uint256 time)
    {
        bool ok;
        (ok, answer, time) = Sources.round(source, round);
        if (!ok || time == 0 || time > block.timestamp) revert RoundUnavailable(underlying, round);
    }
}
