// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PremiumReport} from "./IReportOracle.sol";

/// @title What anybody reports to the engine: funding from signed premiums, volatility from recorded rounds
interface IReportModule {
    /// Of an hour (seconds / 3600) that no usable price was reported in, `price` is the last one before.
    event VolatilitySampled(uint16 indexed underlying, uint256 hour, uint256 price, uint256 variance, uint256 gauge);

    /// No ReportOracle is named.
    error ReportOracleMissing();
    /// A batch is taken only when its oldest report is newer than that of the last batch.
    error ReportNotNewer(uint16 underlying, uint256 observedAt, uint256 before);
    /// No reference of its volatility is set.
    error VolatilityUnset(uint16 underlying);
    /// The round cannot be read, was never reported, or is from the future; of the first sample also: out of bounds, or
    /// of a source in doubt.
    error RoundUnavailable(uint16 underlying, uint80 round);
    /// The round was reported before the hour that it is handed in for.
    error RoundTooEarly(uint16 underlying, uint80 round, uint256 updatedAt, uint256 hourStart);
    /// The round before it was reported within or after that hour too; or, of the first round of a phase: was reported.
    error RoundNotFirst(uint16 underlying, uint80 round, uint256 previousUpdatedAt, uint256 hourStart);
    /// The round is of a phase before that of the last sample.
    error PhasePassed(uint16 underlying, uint80 round, uint256 phase);

    /// @notice Sets the rate of funding of an underlying's perpetual from signed reports of its premium. Anyone may
    /// call; reverts as `IReportOracle.verifyPremium` does, and with `ReportNotNewer`.
    /// @dev The rate is an eighth of the premium an hour, within the cap, at the last observed price; it stands for two
    /// hours, and a cap or ReportOracle that changes meanwhile leaves it.
    function reportPremium(uint16 underlying, PremiumReport[] calldata reports, bytes[] calldata signatures) external;

    /// @notice Moves the volatility gauge of an underlying by one hour for each round: the first round that its
    /// Chainlink source reported at or after the start of that hour. Anyone, for one hour after another; the first
    /// sample is that of the hour that runs. A call that fails with any round stores nothing. While the observed status
    /// of the underlying is not `OK` hours pass without a move.
    /// @param rounds Numbers as the source counts them. A round may be that of several hours, when the source was
    /// silent.
    function sampleVolatility(uint16 underlying, uint80[] calldata rounds) external;
}
