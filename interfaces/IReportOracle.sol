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

/// @title Signed premiums of perpetuals: many reporters in, one number out. docs/ledger.md, section 2.
/// @dev What is trusted: that in every batch of `QUORUM` reporters more than half are honest. Who hands a batch in
/// chooses among the reports that are fresh, so that a premium can be wrong by `AGREEMENT` while that holds, and by
/// `MAX_PREMIUM`
/// when it does not; the engine bounds what either may cost. The terms never change: other reporters come with another
/// ReportOracle, through the delay of the engine's parameters.
interface IReportOracle {
    event ReporterAdded(address indexed reporter);
    event ReporterRemoved(address indexed reporter);

    /// A zero address, or one that is named twice.
    error InvalidReporter(address reporter);
    error TooManyReporters(uint256 count);
    /// More than half of the reporters at least, and no more than there are: two batches always share one.
    error InvalidQuorum(uint256 quorum, uint256 reporters);
    /// Agreement and largest premium are at most 100 %, and the latter is not zero.
    error InvalidTerms(uint256 agreement, uint256 maxPremium);
    error NotAReporter(address reporter);

    error LengthMismatch(uint256 reports, uint256 signatures);
    error QuorumMissed(uint256 reports, uint256 quorum);
    // Each names the place of the report in the batch.
    error WrongUnderlying(uint256 place, uint16 underlying);
    error ReportFromFuture(uint256 place, uint256 observedAt);
    error ReportTooOld(uint256 place, uint256 observedAt);
    /// Premiums ascend.
    error ReportsDisordered(uint256 place, int256 premium, int256 before);
    /// The signature is malformed or malleable, or its signer no living reporter; `signer` is zero when there is none.
    error UnknownSigner(uint256 place, address signer);
    error SameReporter(uint256 place, address reporter);
    error ReportsDisagree(int256 lowest, int256 highest);
    error PremiumTooLarge(int256 premium);

    /// @notice Least number of reports in a batch.
    function QUORUM() external view returns (uint256);
    /// @notice Largest difference between two premiums of a batch, 18 decimals.
    function AGREEMENT() external view returns (uint256);
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
}
