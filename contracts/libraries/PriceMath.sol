// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BPS} from "./Constants.sol";
import {Params} from "./Params.sol";

/// @title Rounding, the stable price and the band of a doubtful one
library PriceMath {
    /// @dev How much of an interval is credited to the observation at its start, seconds.
    uint256 internal constant CREDIT = 3_600;

    function ceilDiv(uint256 a, uint256 b) internal pure returns (uint256) {
        // For a > 0 and b > 0 `(a - 1) / b + 1` is at most a; a division by zero reverts here too.
        unchecked {
            return a == 0 ? 0 : (a - 1) / b + 1;
        }
    }

    /// @dev Rounds towards minus infinity. `b` is above one.
    function floorDiv(int256 a, int256 b) internal pure returns (int256) {
        // The quotient by b > 1 is far from the least int256.
        unchecked {
            int256 quotient = a / b;
            return a % b < 0 ? quotient - 1 : quotient;
        }
    }

    function abs(int256 a) internal pure returns (uint256) {
        // Two's complement negation, exact for every value.
        unchecked {
            return a < 0 ? uint256(-a) : uint256(a);
        }
    }

    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }

    /// @notice The stable price `age` seconds after the observation (stable, last): at most `range` bps an hour.
    function stableAfter(uint256 stable, uint256 last, uint256 range, uint256 age) internal pure returns (uint256) {
        // stable < 2^94, range < 2^14, age cut to 2^12: below 2^120. The result lies between stable and last.
        unchecked {
            if (age > CREDIT) age = CREDIT;
            uint256 step = stable * range * age / (CREDIT * BPS);
            if (last >= stable) return last - stable > step ? stable + step : last;
            return stable - last > step ? stable - step : last;
        }
    }

    /// @notice The band of a price last seen good `age` seconds ago, bps: it grows by a width (the larger of scan range
    /// and band of an UNDERLYING word) an hour, to three widths.
    function doubtfulBand(uint256 risk, uint256 age) internal pure returns (uint256) {
        uint256 width = Params.range(risk);
        if (Params.band(risk) > width) width = Params.band(risk);
        // width < 2^14 and age < 2^33.
        unchecked {
            return min(3 * width, width * (CREDIT + age) / CREDIT);
        }
    }

    /// @notice `value` with `decimals` (at most 31) brought to 18, rounded down.
    /// @dev The caller has bounded `value` below 2^160 when `decimals` is below 18: 2^160 * 10^18 < 2^220.
    function toWadDown(uint256 value, uint256 decimals) internal pure returns (uint256) {
        unchecked {
            return decimals <= 18 ? value * 10 ** (18 - decimals) : value / 10 ** (decimals - 18);
        }
    }

    /// @notice Whether `a` and `b` differ by at most `bound` bps of `a`. Both below 2^94.
    function agree(uint256 a, uint256 b, uint256 bound) internal pure returns (bool) {
        return (a > b ? a - b : b - a) * BPS <= bound * a;
    }
}
