// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Kind} from "../interfaces/IHaircutRegistry.sol";
import {IReportModule} from "../interfaces/IReportModule.sol";
import {IReportOracle, PremiumReport} from "../interfaces/IReportOracle.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {Fundings} from "./libraries/Fundings.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params} from "./libraries/Params.sol";
import {Sources} from "./libraries/Sources.sol";
import {Volatilities} from "./libraries/Volatilities.sol";

/// @title What anybody reports: premiums as they were signed, and rounds as the feeds recorded them
/// @dev Runs on the MarginEngine's storage by delegatecall. Its own storage is never read.
contract ReportModule is IReportModule, HaircutRegistry {
    using Observations for uint256;
    using SafeCast for uint256;

    /// @dev Bits of a round within its phase.
    uint256 private constant ROUND_BITS = 64;

    constructor(address manager) HaircutRegistry(manager) {}

    /// @inheritdoc IReportModule
    function reportPremium(uint16 underlying, PremiumReport[] calldata reports, bytes[] calldata signatures) external {
        uint256 last = _observed[_requireKnown(underlying)].last();
        IReportOracle oracle = IReportOracle(address(uint160(_words[_key(Kind.REPORTS, 0)])));
        if (address(oracle) == address(0)) revert ReportOracleMissing();
        (int256 premium, uint256 observedAt_) = oracle.verifyPremium(underlying, reports, signatures);
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
        uint80 previous;
        // Rounds are counted from one in each phase. Before zero, which never was, the number wraps to one as unknown.
        unchecked {
            previous = round - 1;
        }
        if (uint64(round) != 1) {
            (, time) = _requireRound(underlying, source, previous);
            if (time >= start) revert RoundNotFirst(underlying, round, time, start);
            return answer;
        }
        // A feed that answers to any number has no first round: whoever calls would choose the moment.
        bool ok;
        (ok,, time) = Sources.round(source, previous);
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
