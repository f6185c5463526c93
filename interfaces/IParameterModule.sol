// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Kind} from "./IHaircutRegistry.sol";
import {PremiumReport} from "./IReportOracle.sol";

/// @title What changes in the engine beside prices: parameters by bounds, delays, steps and ramps; funding by reports
interface IParameterModule {
    event ParameterSubmitted(Kind indexed kind, uint16 indexed id, uint256 value, uint256 readyAt);
    event ParameterAccepted(Kind indexed kind, uint16 indexed id, uint256 oldValue, uint256 newValue);
    event ParameterRevoked(Kind indexed kind, uint16 indexed id, uint256 value);
    event Wired(address clearingHouse);
    event Sealed();
    /// From now on the index moves by `rate` dollars per unit and hour, 18 decimals, for at most two hours.
    event FundingSet(uint16 indexed underlying, int256 premium, int256 rate, int256 index, uint256 observedAt);
    /// Of an hour (seconds / 3600) that no usable price was reported in, `price` is the last one before.
    event VolatilitySampled(uint16 indexed underlying, uint256 hour, uint256 price, uint256 variance, uint256 gauge);

    /// The word breaks a bound; `field` counts from the lowest field of the layout.
    error ParameterOutOfBounds(Kind kind, uint16 id, uint256 field, uint256 value);
    /// A loosening moves a field by more than one step.
    error StepTooLarge(Kind kind, uint16 id, uint256 field, uint256 oldValue, uint256 newValue);
    /// Submitted too recently.
    error TooEarly(Kind kind, uint16 id, uint256 readyAt);
    error SubmissionExpired(Kind kind, uint16 id, uint256 expiredAt);
    error NothingSubmitted(Kind kind, uint16 id);
    /// A word that can be set once only.
    error AlreadySet(Kind kind, uint16 id);
    error AlreadySealed();
    error NotSealed();
    /// `seal` needs a ClearingHouse.
    error NotWired();
    error AlreadyWired(address clearingHouse);
    /// A market feed needs a redemption rate to compare with.
    error RateSourceMissing(uint16 asset);
    /// Volatility is measured on the rounds of a Chainlink source, and the underlying has none.
    error RoundsMissing(uint16 underlying);
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

    /// @notice Sets a parameter at once. Only before `seal`, only by the governor. Bounds hold as ever.
    function setUp(Kind kind, uint16 id, uint256 value) external;
    /// @notice Has the funding index of an underlying start elsewhere than at zero: at that of the engine which this
    /// one shall replace. Only before `seal`, only by the governor; ends what was reported before.
    function startFunding(uint16 underlying, int112 index) external;
    /// @notice Names the ClearingHouse. Once, before `seal`.
    function wire(address clearingHouse) external;
    /// @notice Ends the time of set-up for good. Every delay binds everybody from here.
    function seal() external;

    /// @notice Proposes a word. One that only tightens (and touches no range, window or fee) is accepted at once, and
    /// ramps; every other waits `DELAY` for `accept`.
    function submit(Kind kind, uint16 id, uint256 value) external;
    /// @notice Puts a submitted word in force. Anyone may call. Reverts before its time, after its expiry, or when it
    /// moves a field by more than a step.
    function accept(Kind kind, uint16 id) external;
    /// @notice Withdraws a submitted word. Governor or guardian.
    function revoke(Kind kind, uint16 id) external;

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
