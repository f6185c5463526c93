// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IReportOracle, PremiumReport, SurfaceReport, SurfaceSlice} from "../interfaces/IReportOracle.sol";
import {WAD} from "./libraries/Constants.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {SurfaceRules} from "./libraries/SurfaceRules.sol";

/// @title Signed premiums of perpetuals and surfaces of volatility
contract ReportOracle is IReportOracle, EIP712, AccessManaged {
    uint256 private constant MAX_REPORTERS = 64;
    bytes32 private constant PREMIUM_TYPEHASH =
        keccak256("PremiumReport(uint16 underlying,int256 premium,uint256 observedAt)");
    bytes32 private constant SLICE_TYPEHASH = keccak256(
        "SurfaceSlice(uint16 expiryDay,uint256 forward,int256 a,uint256 b,int256 rho,int256 m,uint256 sigma)"
    );
    bytes32 private constant SURFACE_TYPEHASH = keccak256(
        "SurfaceReport(uint16 underlying,uint256 observedAt,SurfaceSlice[] slices)"
        "SurfaceSlice(uint16 expiryDay,uint256 forward,int256 a,uint256 b,int256 rho,int256 m,uint256 sigma)"
    );
    /// @dev 10^-9 with 18 decimals: the unit of forwards.
    uint256 private constant NANO_WAD = 1e9;

    /// @inheritdoc IReportOracle
    uint256 public constant FRESH = 600;
    /// @inheritdoc IReportOracle
    uint256 public immutable QUORUM;
    /// @inheritdoc IReportOracle
    uint256 public immutable AGREEMENT;
    /// @inheritdoc IReportOracle
    uint256 public immutable MAX_PREMIUM;
    /// @inheritdoc IReportOracle
    uint256 public immutable SURFACE_AGREEMENT;

    /// @dev As they were named, removed ones included.
    address[] private _named;
    /// @dev Of a living reporter: the bit of its place in `_named`.
    mapping(address reporter => uint256) private _bits;

    constructor(
        address manager,
        address[] memory reporters_,
        uint256 quorum,
        uint256 agreement,
        uint256 maxPremium,
        uint256 surfaceAgreement
    ) EIP712("Plimsoll Reports", "1") AccessManaged(manager) {
        uint256 count = reporters_.length;
        if (count > MAX_REPORTERS) revert TooManyReporters(count);
        if (quorum > count || quorum <= count / 2) revert InvalidQuorum(quorum, count);
        if (agreement > WAD || maxPremium > WAD || maxPremium == 0 || surfaceAgreement > WAD) {
            revert InvalidTerms(agreement, maxPremium, surfaceAgreement);
        }
        (QUORUM, AGREEMENT, MAX_PREMIUM, SURFACE_AGREEMENT) = (quorum, agreement, maxPremium, surfaceAgreement);
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
        _requireQuorum(count, signatures.length);
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
            bytes32 structHash =
                keccak256(abi.encode(PREMIUM_TYPEHASH, report.underlying, report.premium, report.observedAt));
            seen = _markSigner(seen, i, structHash, signatures[i]);
        }
        premium = reports[(count - 1) / 2].premium;
        _requireAgreed(reports[0].premium, reports[count - 1].premium);
        _requireBounded(premium);
    }

    /// @inheritdoc IReportOracle
    function verifySurface(uint16 underlying, SurfaceReport[] calldata reports, bytes[] calldata signatures)
        external
        view
        returns (SurfaceSlice[] memory slices, uint256 observedAt)
    {
        uint256 count = reports.length;
        _requireQuorum(count, signatures.length);
        SurfaceSlice[][] memory surfaces;
        (surfaces, observedAt) = _signedSurfaces(underlying, reports, signatures);
        slices = surfaces[(count - 1) / 2];
        for (uint256 i; i < count; ++i) {
            if (i != (count - 1) / 2) _requireSurfaceAgreed(i, surfaces[i], slices, observedAt);
        }
        SurfaceRules.requireNoArbitrage(slices, observedAt);
    }

    /// @dev The surfaces of a batch, each fresh, signed and within its bounds, in order; and the oldest of their times.
    function _signedSurfaces(uint16 underlying, SurfaceReport[] calldata reports, bytes[] calldata signatures)
        private
        view
        returns (SurfaceSlice[][] memory surfaces, uint256 observedAt)
    {
        surfaces = new SurfaceSlice[][](reports.length);
        observedAt = type(uint256).max;
        uint256 seen;
        int256 before = type(int256).min;
        for (uint256 i; i < reports.length; ++i) {
            SurfaceReport calldata report = reports[i];
            if (report.underlying != underlying) revert WrongUnderlying(i, report.underlying);
            _requireFresh(i, report.observedAt);
            if (report.observedAt < observedAt) observedAt = report.observedAt;
            SurfaceSlice[] memory slices = _copied(report.slices);
            surfaces[i] = slices;
            seen = _markSigner(seen, i, _hashOf(underlying, report.observedAt, slices), signatures[i]);
            SurfaceRules.requireBounds(slices, block.timestamp);
            int256 variance = SurfaceRules.variance(slices[0], 0);
            if (variance < before) revert ReportsDisordered(i, variance, before);
            before = variance;
        }
    }

    function _copied(SurfaceSlice[] calldata slices) private pure returns (SurfaceSlice[] memory) {
        return slices;
    }

    function _requireQuorum(uint256 count, uint256 signatures) private view {
        if (signatures != count) revert LengthMismatch(count, signatures);
        if (count < QUORUM) revert QuorumMissed(count, QUORUM);
    }

    function _hashOf(uint16 underlying, uint256 observedAt, SurfaceSlice[] memory slices)
        private
        pure
        returns (bytes32)
    {
        bytes32[] memory hashes = new bytes32[](slices.length);
        for (uint256 i; i < slices.length; ++i) {
            hashes[i] = keccak256(abi.encode(SLICE_TYPEHASH, slices[i]));
        }
        bytes32 together = keccak256(abi.encodePacked(hashes));
        return keccak256(abi.encode(SURFACE_TYPEHASH, underlying, observedAt, together));
    }

    /// @dev That a surface has the expiries of the accepted one, and is near it.
    function _requireSurfaceAgreed(
        uint256 place,
        SurfaceSlice[] memory slices,
        SurfaceSlice[] memory accepted,
        uint256 observedAt
    ) private view {
        if (slices.length != accepted.length) {
            revert ExpiriesDiffer(place, slices.length, accepted.length);
        }
        for (uint256 i; i < slices.length; ++i) {
            (SurfaceSlice memory slice, SurfaceSlice memory wanted) = (slices[i], accepted[i]);
            if (slice.expiryDay != wanted.expiryDay) revert ExpiriesDiffer(place, slice.expiryDay, wanted.expiryDay);
            (uint256 a, uint256 b) = (slice.forward, wanted.forward);
            // Forwards are at most 2 * 10^9.
            if ((a > b ? a - b : b - a) * NANO_WAD > AGREEMENT) {
                revert ForwardsDisagree(place, slice.expiryDay, a, b);
            }
            uint256 time = Instruments.expiryOf(slice.expiryDay) - observedAt;
            SurfaceRules.requireAgreement(slice, wanted, place, SURFACE_AGREEMENT, time);
        }
    }

    function _requireFresh(uint256 place, uint256 observedAt) private view {
        if (observedAt > block.timestamp) revert ReportFromFuture(place, observedAt);
        if (block.timestamp - observedAt > FRESH) revert ReportTooOld(place, observedAt);
    }

    /// @dev The signers so far, a bit each, and that of this report.
    function _markSigner(uint256 seen, uint256 place, bytes32 structHash, bytes calldata signature)
        private
        view
        returns (uint256)
    {
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
