// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IReportOracle, PremiumReport} from "../interfaces/IReportOracle.sol";
import {WAD} from "./libraries/Constants.sol";

/// @title Signed premiums of perpetuals
contract ReportOracle is IReportOracle, EIP712, AccessManaged {
    uint256 private constant MAX_REPORTERS = 64;
    bytes32 private constant PREMIUM_TYPEHASH =
        keccak256("PremiumReport(uint16 underlying,int256 premium,uint256 observedAt)");

    /// @inheritdoc IReportOracle
    uint256 public constant FRESH = 600;
    /// @inheritdoc IReportOracle
    uint256 public immutable QUORUM;
    /// @inheritdoc IReportOracle
    uint256 public immutable AGREEMENT;
    /// @inheritdoc IReportOracle
    uint256 public immutable MAX_PREMIUM;

    /// @dev As they were named, removed ones included.
    address[] private _named;
    /// @dev Of a living reporter: the bit of its place in `_named`.
    mapping(address reporter => uint256) private _bits;

    constructor(address manager, address[] memory reporters_, uint256 quorum, uint256 agreement, uint256 maxPremium)
        EIP712("Plimsoll Reports", "1")
        AccessManaged(manager)
    {
        uint256 count = reporters_.length;
        if (count > MAX_REPORTERS) revert TooManyReporters(count);
        if (quorum > count || quorum <= count / 2) revert InvalidQuorum(quorum, count);
        if (agreement > WAD || maxPremium > WAD || maxPremium == 0) revert InvalidTerms(agreement, maxPremium);
        (QUORUM, AGREEMENT, MAX_PREMIUM) = (quorum, agreement, maxPremium);
        for (uint256 i; i < count; ++i) {
            address reporter = reporters_[i];
            if (reporter == address(0) || _bits[reporter] != 0) revert InvalidReporter(reporter);
            _bits[reporter] = 1 << i;
            emit ReporterAdded(reporter);
        }
        _named = reporters_;
    }

    /// @inheritdoc IReportOracle
    function removeReporter(address reporter) external restricted {
        if (_bits[reporter] == 0) revert NotAReporter(reporter);
        delete _bits[reporter];
        emit ReporterRemoved(reporter);
    }

    /// @inheritdoc IReportOracle
    function isReporter(address who) external view returns (bool) {
        return _bits[who] != 0;
    }

    /// @inheritdoc IReportOracle
    function reporters() external view returns (address[] memory living) {
        address[] memory named = _named;
        living = new address[](named.length);
        uint256 count;
        for (uint256 i; i < named.length; ++i) {
            if (_bits[named[i]] != 0) living[count++] = named[i];
        }
        // Shortens the array to those that were filled in, at most its length.
        assembly ("memory-safe") {
            mstore(living, count)
        }
    }

    /// @inheritdoc IReportOracle
    function verifyPremium(uint16 underlying, PremiumReport[] calldata reports, bytes[] calldata signatures)
        external
        view
        returns (int256 premium, uint256 observedAt)
    {
        uint256 count = reports.length;
        if (signatures.length != count) revert LengthMismatch(count, signatures.length);
        if (count < QUORUM) revert QuorumMissed(count, QUORUM);
        observedAt = type(uint256).max;
        uint256 seen;
        for (uint256 i; i < count; ++i) {
            PremiumReport calldata report = reports[i];
            if (report.underlying != underlying) revert WrongUnderlying(i, report.underlying);
            _requireFresh(i, report.observedAt);
            if (report.observedAt < observedAt) observedAt = report.observedAt;
            if (i != 0 && report.premium < reports[i - 1].premium) {
                revert ReportsDisordered(i, report.premium, reports[i - 1].premium);
            }
            seen = _markSigner(seen, i, report, signatures[i]);
        }
        premium = reports[(count - 1) / 2].premium;
        _requireAgreed(reports[0].premium, reports[count - 1].premium);
        _requireBounded(premium);
    }

    function _requireFresh(uint256 place, uint256 observedAt) private view {
        if (observedAt > block.timestamp) revert ReportFromFuture(place, observedAt);
        if (block.timestamp - observedAt > FRESH) revert ReportTooOld(place, observedAt);
    }

    /// @dev The signers so far, a bit each, and that of this report.
    function _markSigner(uint256 seen, uint256 place, PremiumReport calldata report, bytes calldata signature)
        private
        view
        returns (uint256)
    {
        bytes32 structHash =
            keccak256(abi.encode(PREMIUM_TYPEHASH, report.underlying, report.premium, report.observedAt));
        // An error leaves the signer zero, which is no reporter.
        (address signer,,) = ECDSA.tryRecoverCalldata(_hashTypedDataV4(structHash), signature);
        uint256 bit = _bits[signer];
        if (bit == 0) revert UnknownSigner(place, signer);
        if (seen & bit != 0) revert SameReporter(place, signer);
        return seen | bit;
    }

    function _requireAgreed(int256 lowest, int256 highest) private view {
        // In ascending order: the difference is not negative and fits 256 bits without a sign.
        unchecked {
            if (uint256(highest) - uint256(lowest) > AGREEMENT) revert ReportsDisagree(lowest, highest);
        }
    }

    function _requireBounded(int256 premium) private view {
        // At most 10^18.
        int256 most = int256(MAX_PREMIUM);
        if (premium > most || premium < -most) revert PremiumTooLarge(premium);
    }
}
