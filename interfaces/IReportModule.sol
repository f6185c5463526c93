// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PremiumReport, SurfaceReport, SurfaceSlice} from "./IReportOracle.sol";

/// @title What anybody reports to the engine: funding and surfaces as they were signed, volatility and fixings from
/// recorded rounds
interface IReportModule {
    /// Of an hour (seconds / 3600) that no usable price was reported in, `price` is the last one before.
    event VolatilitySampled(uint16 indexed underlying, uint256 hour, uint256 price, uint256 variance, uint256 gauge);
    event SurfaceReported(uint16 indexed underlying, uint256 indexed expiryDay, SurfaceSlice slice, uint256 observedAt);
    /// One more of six samples is taken: a price with 18 decimals.
    event FixingRecorded(uint16 indexed underlying, uint256 indexed expiryDay, uint256 samples, uint256 price);

    /// No ReportOracle is named.
    error ReportOracleMissing();
    /// A batch is taken only when its oldest report is newer than that of the last batch; of a surface: than what is
    /// stored of each of its expiries.
    error ReportNotNewer(uint16 underlying, uint256 observedAt, uint256 before);
    /// No reference of its volatility is set.
    error VolatilityUnset(uint16 underlying);
    /// The round cannot be read, was never reported, or is from the future; of a fixing also: out of bounds; of the
    /// first sample of volatility: that, or of a source in doubt.
    error RoundUnavailable(uint16 underlying, uint80 round);
    /// The round was reported before the hour, or the instant, that it is handed in for.
    error RoundTooEarly(uint16 underlying, uint80 round, uint256 updatedAt, uint256 start);
    /// The round before it was reported within or after that hour, or after that instant, too; or, of the first round
    /// of a phase: was reported.
    error RoundNotFirst(uint16 underlying, uint80 round, uint256 previousUpdatedAt, uint256 start);
    /// The round is of a phase before that of the last sample.
    error PhasePassed(uint16 underlying, uint80 round, uint256 phase);
    /// The number of a round is below that of the sample before, of the same source.
    error RoundsDescend(uint16 underlying, uint80 round, uint256 before);
    /// The first round of a later phase fixes nothing for a day: time to hand in a round of the phase before.
    error PhaseTooNew(uint16 underlying, uint80 round, uint256 readyAt);
    /// All six samples of the expiry are taken, or would be before the last round.
    error FixingComplete(uint16 underlying, uint16 expiryDay, uint256 samples);
    /// The price is frozen: no round fixes anything, and from the expiry on the frozen price does.
    error FixingFrozen(uint16 underlying, uint256 expiry);

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

    /// @notice Stores the surface of an underlying from signed reports, expiry by expiry. Anyone may call; reverts as
    /// `IReportOracle.verifySurface` does, and with `ReportNotNewer`. An expiry that is not reported keeps what it has.
    function reportSurface(uint16 underlying, SurfaceReport[] calldata reports, bytes[] calldata signatures) external;

    /// @notice Fixes the settlement price of an expiry, one sample for each round: the first round that the
    /// underlying's Chainlink source reported at or after the instant, 1800, 1500, 1200, 900, 600 and 300 seconds
    /// before the expiry, one instant after another. Anyone, any number at a time; a call that fails with any round
    /// stores
    /// nothing. A round out of the bounds of its source counts as never reported.
    /// While the price is frozen no round counts; from the expiry on a call without rounds has it stand for every
    /// sample that is missing.
    /// @param rounds Numbers as the source counts them, never descending. A round may be that of several instants.
    function recordFixing(uint16 underlying, uint16 expiryDay, uint80[] calldata rounds) external;
}
