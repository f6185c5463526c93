// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice What a reporter saw, as he signs it:
/// EIP-712 "PremiumReport(uint16 underlying,int256 premium,uint256 observedAt)".
struct PremiumReport {
    uint16 underlying;
    /// Mark less index of its perpetual in parts of the index, 18 decimals, signed.
    int256 premium;
    /// The second at which he saw it.
    uint256 observedAt;
}

/// @notice The forward of one expiry and the implied variance over strikes, as a reporter signs it within a surface:
/// EIP-712 "SurfaceSlice(uint16 expiryDay,uint256 forward,int256 a,uint256 b,int256 rho,int256 m,uint256 sigma)".
/// Raw SVI of annual variance over the log-moneyness; docs/options.md, section 2.
struct SurfaceSlice {
    /// Days since 1 January 2025.
    uint16 expiryDay;
    /// Multiple of the index price, 9 decimals.
    uint256 forward;
    /// 9 decimals, as `b`.
    int256 a;
    uint256 b;
    /// 6 decimals, as `m` and `sigma`.
    int256 rho;
    int256 m;
    uint256 sigma;
}

/// @notice What a reporter saw of all expiries of an underlying at one moment, as he signs it:
/// EIP-712 "SurfaceReport(uint16 underlying,uint256 observedAt,SurfaceSlice[] slices)" and the type above.
struct SurfaceReport {
    uint16 underlying;
    /// The second at which he saw it.
    uint256 observedAt;
    /// In ascending order of expiry.
    SurfaceSlice[] slices;
}

/// @title Signed premiums of perpetuals and surfaces of volatility: many reporters in, one answer out. docs/ledger.md,
/// section 2; docs/options.md, section 2.
/// @dev What is trusted: that in every batch of `QUORUM` reporters more than half are honest. Who hands a batch in
/// chooses among the reports that are fresh, so that a premium can be wrong by `AGREEMENT` while that holds, and by
/// `MAX_PREMIUM` when it does not; the engine bounds what either may cost. Likewise a surface: by both agreements while
/// that holds, and within bounds and without arbitrage when it does not. The terms never change: other reporters come
/// with another ReportOracle, through the delay of the engine's parameters.
interface IReportOracle {
    event ReporterAdded(address indexed reporter);
    event ReporterRemoved(address indexed reporter);

    /// A zero address, or one that is named twice.
    error InvalidReporter(address reporter);
    error TooManyReporters(uint256 count);
    /// More than half of the reporters at least, and no more than there are: two batches always share one.
    error InvalidQuorum(uint256 quorum, uint256 reporters);
    /// Agreements and largest premium are at most 100 %, and the latter is not zero.
    error InvalidTerms(uint256 agreement, uint256 maxPremium, uint256 surfaceAgreement);
    error NotAReporter(address reporter);

    error LengthMismatch(uint256 reports, uint256 signatures);
    error QuorumMissed(uint256 reports, uint256 quorum);
    // Each names the place of the report in the batch.
    error WrongUnderlying(uint256 place, uint16 underlying);
    error ReportFromFuture(uint256 place, uint256 observedAt);
    error ReportTooOld(uint256 place, uint256 observedAt);
    /// Premiums ascend, and so do variances at the money of the first expiry.
    error ReportsDisordered(uint256 place, int256 value, int256 before);
    /// The signature is malformed or malleable, or its signer no living reporter; `signer` is zero when there is none.
    error UnknownSigner(uint256 place, address signer);
    error SameReporter(uint256 place, address reporter);
    error ReportsDisagree(int256 lowest, int256 highest);
    error PremiumTooLarge(int256 premium);

    /// A surface has 1 to 16 slices.
    error SlicesMiscounted(uint256 slices);
    /// Expiries ascend.
    error SlicesDisordered(uint16 expiryDay, uint16 before);
    /// Past, or beyond the calendar of instrument ids.
    error SliceExpired(uint16 expiryDay);
    /// 0.5 to 2 times the index price, 9 decimals.
    error ForwardOutOfBounds(uint16 expiryDay, uint256 forward);
    /// Some parameter of the variance is outside the bounds of docs/options.md, section 2.
    error SliceOutOfBounds(SurfaceSlice slice);
    /// Variance at a log-moneyness, all with 18 decimals: below 1 % of volatility, or near the money above 500 %.
    error VarianceOutOfBounds(uint16 expiryDay, int256 kappa, int256 variance);
    /// Total variance rises by more than 2 per unit of log-moneyness in a wing.
    error WingTooSteep(uint16 expiryDay, uint256 slope, uint256 most);
    /// A butterfly at this log-moneyness has a price below zero: Durrleman's function, 18 decimals.
    error ButterflyArbitrage(uint16 expiryDay, int256 kappa, int256 density);
    /// The total variance at this log-moneyness falls from the expiry before; variance times seconds.
    error CalendarArbitrage(uint16 expiryDay, int256 kappa, uint256 total, uint256 before);
    /// A report has another number of slices than the accepted one, or another expiry.
    error ExpiriesDiffer(uint256 place, uint256 found, uint256 accepted);
    /// Forwards differ by more than `AGREEMENT` of the index price.
    error ForwardsDisagree(uint256 place, uint16 expiryDay, uint256 forward, uint256 accepted);
    /// Volatilities at a log-moneyness differ by more than `SURFACE_AGREEMENT`, or where an option is worth less by so
    /// much more as docs/options.md 2 allows.
    error VolatilitiesDisagree(uint256 place, uint16 expiryDay, int256 kappa, uint256 volatility, uint256 accepted);

    /// @notice Least number of reports in a batch.
    function QUORUM() external view returns (uint256);
    /// @notice Largest difference between two premiums of a batch, and of a forward from the accepted one in parts of
    /// the index price, 18 decimals.
    function AGREEMENT() external view returns (uint256);
    /// @notice Largest difference of a volatility from the accepted one at the money, 18 decimals.
    function SURFACE_AGREEMENT() external view returns (uint256);
    /// @notice Largest median of a batch, either way, 18 decimals.
    function MAX_PREMIUM() external view returns (uint256);
    /// @notice Greatest age of a report, seconds.
    function FRESH() external view returns (uint256);

    /// @notice Takes a reporter away for good. Guardian. With fewer than `QUORUM` left there are no more premiums.
    function removeReporter(address reporter) external;
    function isReporter(address who) external view returns (bool);
    /// @notice The living ones, in the order in which they were named.
    function reporters() external view returns (address[] memory);

    /// @notice Checks a batch: at least `QUORUM` reports on `underlying`, each by another living reporter, in ascending
    /// order of premium, none from the future or older than `FRESH`, within `AGREEMENT` of each other.
    /// @param signatures Of 65 bytes, one for each report.
    /// @return premium The median, the lower one of two; at most `MAX_PREMIUM` either way.
    /// @return observedAt The oldest of the reports' times.
    function verifyPremium(uint16 underlying, PremiumReport[] calldata reports, bytes[] calldata signatures)
        external
        view
        returns (int256 premium, uint256 observedAt);

    /// @notice Checks a batch of surfaces: at least `QUORUM` reports on `underlying`, each by another living reporter,
    /// in ascending order of the variance at the money of their first slice, none from the future or older than
    /// `FRESH`, all of the same expiries, every one within the agreements of the accepted one.
    /// @param signatures Of 65 bytes, one for each report.
    /// @return slices Those of the median report, the lower one of two: within the bounds, and without arbitrage.
    /// @return observedAt The oldest of the reports' times.
    function verifySurface(uint16 underlying, SurfaceReport[] calldata reports, bytes[] calldata signatures)
        external
        view
        returns (SurfaceSlice[] memory slices, uint256 observedAt);
}
