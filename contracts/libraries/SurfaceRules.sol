// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {IReportOracle, SurfaceSlice} from "../../interfaces/IReportOracle.sol";
import {WAD} from "./Constants.sol";
import {Instruments} from "./Instruments.sol";
import {PriceMath} from "./PriceMath.sol";

/// @title What a surface may be: its bounds, and no arbitrage. docs/options.md, section 2
library SurfaceRules {
    uint256 internal constant MOST_SLICES = 16;

    uint256 private constant MICRO = 1e6;
    uint256 private constant NANO = 1e9;
    /// @dev 10^-6 with 18 decimals.
    uint256 private constant MICRO_WAD = 1e12;
    uint256 private constant YEAR = 31_536_000;

    /// @dev The grid: `NODES` eighths of log-moneyness around the money, `NEAR` of them near it on either side.
    uint256 private constant NODES = 25;
    int256 private constant MIDDLE = 12;
    int256 private constant NEAR = 4;
    int256 private constant STEP = 0.125e18;
    /// @dev Deviations beyond which none counts.
    uint256 private constant MOST_AWAY = 8e18;

    int256 private constant LEAST_VARIANCE = 1e14;
    int256 private constant MOST_VARIANCE = 25e18;
    int256 private constant LEAST_DENSITY = -1e12;
    uint256 private constant STEEPEST = 2 * MICRO * NANO * YEAR;
    int256 private constant SIGNED_WAD = 1e18;

    /// @notice Reverts unless there are 1 to 16 slices, in ascending order of expiry, each within its bounds.
    /// @dev What expires by `time` is past.
    function requireBounds(SurfaceSlice[] memory slices, uint256 time) internal pure {
        uint256 count = slices.length;
        if (count == 0 || count > MOST_SLICES) revert IReportOracle.SlicesMiscounted(count);
        for (uint256 i; i < count; ++i) {
            SurfaceSlice memory slice = slices[i];
            uint16 day = slice.expiryDay;
            if (day > Instruments.LAST_DAY || Instruments.expiryOf(day) <= time) {
                revert IReportOracle.SliceExpired(day);
            }
            if (i != 0 && day <= slices[i - 1].expiryDay) {
                revert IReportOracle.SlicesDisordered(day, slices[i - 1].expiryDay);
            }
            requireFields(slice);
        }
    }

    /// @notice Reverts unless forward and parameters of a slice are within their bounds.
    function requireFields(SurfaceSlice memory slice) internal pure {
        if (slice.forward < NANO / 2 || slice.forward > 2 * NANO) {
            revert IReportOracle.ForwardOutOfBounds(slice.expiryDay, slice.forward);
        }
        bool inside = PriceMath.abs(slice.a) <= 25 * NANO && slice.b < 1 << 44 && PriceMath.abs(slice.rho) <= 999_000
            && PriceMath.abs(slice.m) <= 4 * MICRO && slice.sigma >= 1_000 && slice.sigma <= 4 * MICRO;
        if (!inside) revert IReportOracle.SliceOutOfBounds(slice);
    }

    /// @notice Reverts when slices within their bounds, none expired at `observedAt`, allow arbitrage on the grid.
    function requireNoArbitrage(SurfaceSlice[] memory slices, uint256 observedAt) internal pure {
        uint256[] memory totals = new uint256[](NODES);
        for (uint256 i; i < slices.length; ++i) {
            SurfaceSlice memory slice = slices[i];
            uint256 time = Instruments.expiryOf(slice.expiryDay) - observedAt;
            _requireGentleWings(slice, time);
            // Nodes below 25; a variance of at least 10^14, below 2^79, and seconds below 2^29.
            unchecked {
                for (uint256 j; j < NODES; ++j) {
                    int256 node = int256(j) - MIDDLE;
                    uint256 total = uint256(_requireNode(slice, node, time)) * time;
                    if (total < totals[j]) {
                        revert IReportOracle.CalendarArbitrage(slice.expiryDay, node * STEP, total, totals[j]);
                    }
                    totals[j] = total;
                }
            }
        }
    }

    /// @notice Reverts unless the volatilities of a slice are near those of the accepted one, both within their bounds,
    /// at half deviations of the latter around the money and in the wings. They may differ by `bound` at the money, and
    /// where options are worth less by so much more that no price differs by more than it does there.
    /// @param time Seconds to expiry: not zero.
    function requireAgreement(
        SurfaceSlice memory slice,
        SurfaceSlice memory accepted,
        uint256 place,
        uint256 bound,
        uint256 time
    ) internal pure {
        // Nodes are at most 12. Seconds have 29 bits: their root is below 2^63, volatilities below 2^71.
        unchecked {
            uint256 root = FixedPointMathLib.sqrt(time * WAD / YEAR * WAD);
            int256 half = int256(volatility(accepted, 0) * root / (2 * WAD));
            for (int256 node = -NEAR; node <= NEAR; ++node) {
                int256 kappa = FixedPointMathLib.clamp(node * half, -MIDDLE * STEP, MIDDLE * STEP);
                _requireAgreementAt(slice, accepted, place, kappa, bound, root);
            }
            for (int256 node = -MIDDLE; node <= MIDDLE; node += NEAR) {
                if (node != 0) _requireAgreementAt(slice, accepted, place, node * STEP, bound, root);
            }
        }
    }

    /// @notice Annual variance of a slice within its bounds at a log-moneyness of at most 1.5 either way, 18 decimals.
    function variance(SurfaceSlice memory slice, int256 kappa) internal pure returns (int256) {
        (int256 z, int256 root) = _shape(slice, kappa);
        return _variance(slice, z, root);
    }

    /// @notice Its root; nothing where it is below zero.
    function volatility(SurfaceSlice memory slice, int256 kappa) internal pure returns (uint256) {
        int256 v = variance(slice, kappa);
        // Below 2^79.
        unchecked {
            return v <= 0 ? 0 : FixedPointMathLib.sqrt(uint256(v) * WAD);
        }
    }

    /// @dev A price moves with volatility by exp(-d^2 / 2) of what it does at the money, `d` deviations away, and
    /// 1 + (d^2 / 2)^2 is never above the inverse of that.
    /// @param root Of the time in years.
    function _requireAgreementAt(
        SurfaceSlice memory slice,
        SurfaceSlice memory accepted,
        uint256 place,
        int256 kappa,
        uint256 bound,
        uint256 root
    ) private pure {
        (uint256 found, uint256 wanted) = (volatility(slice, kappa), volatility(accepted, kappa));
        uint256 apart = FixedPointMathLib.dist(found, wanted);
        if (apart <= bound) return;
        // Bounds are at most 10^18, logarithms 1.5 * 10^18, squares of at most eight deviations 64 * 10^18.
        unchecked {
            uint256 deviation = FixedPointMathLib.max(1, FixedPointMathLib.max(found, wanted) * root / WAD);
            uint256 away = FixedPointMathLib.min(MOST_AWAY, PriceMath.abs(kappa) * WAD / deviation);
            uint256 square = away * away / WAD;
            if (apart > bound + bound * square * square / (4 * WAD * WAD)) {
                revert IReportOracle.VolatilitiesDisagree(place, slice.expiryDay, kappa, found, wanted);
            }
        }
    }

    // In all that follows a slice is within its bounds and |kappa| at most 1.5: |z| < 2^63, 10^15 <= root < 2^63,
    // b < 2^44, variance and slope of b / 10^9 times less than 2^64: both below 2^79, and seconds below 2^29.

    /// @dev How far from the lowest point, and the root over it.
    function _shape(SurfaceSlice memory slice, int256 kappa) private pure returns (int256 z, int256 root) {
        unchecked {
            z = kappa - slice.m * int256(MICRO_WAD);
            uint256 sigma = slice.sigma * MICRO_WAD;
            root = int256(FixedPointMathLib.sqrt(uint256(z * z) + sigma * sigma));
        }
    }

    function _variance(SurfaceSlice memory slice, int256 z, int256 root) private pure returns (int256) {
        unchecked {
            int256 lean = PriceMath.floorDiv(slice.rho * z, int256(MICRO));
            return slice.a * int256(NANO) + PriceMath.floorDiv(int256(slice.b) * (lean + root), int256(NANO));
        }
    }

    function _requireGentleWings(SurfaceSlice memory slice, uint256 time) private pure {
        // 2^44 * 2^21 * 2^29.
        unchecked {
            uint256 slope = slice.b * (MICRO + PriceMath.abs(slice.rho)) * time;
            if (slope > STEEPEST) revert IReportOracle.WingTooSteep(slice.expiryDay, slope, STEEPEST);
        }
    }

    /// @dev The variance at a node, which must be sane and leave no butterfly below zero.
    function _requireNode(SurfaceSlice memory slice, int256 node, uint256 time) private pure returns (int256 v) {
        unchecked {
            int256 kappa = node * STEP;
            (int256 z, int256 root) = _shape(slice, kappa);
            v = _variance(slice, z, root);
            bool isNear = node >= -NEAR && node <= NEAR;
            if (v < LEAST_VARIANCE || (isNear && v > MOST_VARIANCE)) {
                revert IReportOracle.VarianceOutOfBounds(slice.expiryDay, kappa, v);
            }
            int256 density = _density(slice, kappa, v, z, root, int256(time * WAD / YEAR));
            if (density < LEAST_DENSITY) revert IReportOracle.ButterflyArbitrage(slice.expiryDay, kappa, density);
        }
    }

    /// @dev Durrleman's function at a variance of at least 10^14, `time` in years.
    function _density(SurfaceSlice memory slice, int256 kappa, int256 v, int256 z, int256 root, int256 time)
        private
        pure
        returns (int256)
    {
        // |h| < 2^61 * 2^79 / 2^47, its square 2^186; total slopes below 2^84, gentle wings or not; curve < 2^54.
        unchecked {
            int256 b = int256(slice.b);
            int256 slope = PriceMath.floorDiv(
                b * (slice.rho * int256(MICRO_WAD) + PriceMath.floorDiv(z * SIGNED_WAD, root)), int256(NANO)
            );
            int256 share = int256(slice.sigma * MICRO_WAD * WAD) / root;
            int256 curve = b * (share * share / root) / int256(NANO);
            int256 total = PriceMath.floorDiv(slope * time, SIGNED_WAD);
            int256 h = SIGNED_WAD - PriceMath.floorDiv(kappa * slope, 2 * v);
            return h * h / SIGNED_WAD - total * slope / (4 * v) - total * total / (16 * SIGNED_WAD) + time * curve
                / (2 * SIGNED_WAD);
        }
    }
}
