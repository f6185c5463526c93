// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BPS, WAD} from "./Constants.sol";
import {Curves, STATES} from "./Curves.sol";
import {Memory} from "./Memory.sol";
import {PriceMath} from "./PriceMath.sol";

/// @title The scan over the whole grid: docs/options.md, section 5
/// @dev Losses of a row are eleven signed words in memory, one for each price state.
library Grid {
    using Memory for uint256;

    /// @dev Bytes of eleven losses.
    uint256 internal constant SIZE = STATES << 5;
    /// @dev In a curve: its value as things are, and at the stable price; without what is the same in every state.
    uint256 internal constant CENTER = Curves.SUMS + 0x1e0;
    uint256 internal constant AT_STABLE = Curves.SUMS + 0x420;
    /// @dev Losses with the window's hundredths and the weights' per dollar.
    uint256 internal constant SCALE = 3e8 * WAD;

    /// @dev Weights of the states in hundredths, a byte each from the highest on.
    uint256 private constant WEIGHTS = 0x2030646464646464643020000000000000000000000000000000000000000000;
    /// @dev Places of the states among the thirds -9 to 9, and which state begins the interval that a third begins.
    uint256 private constant PLACES = 0x0003060708090a0b0c0f12000000000000000000000000000000000000000000;
    uint256 private constant INTERVALS = 0x0000000101010203040506070808080909090000000000000000000000000000;
    int256 private constant EDGE = 9;
    /// @dev Initial margin looks at most this many times further than maintenance.
    uint256 private constant MOST_REACH = 64;

    /// @notice Losses of a row at the range `reach`, times 3 BPS, 36 decimals; of a curve the worst of all
    /// volatilities. @param curve Zero for none.
    /// @param exposure Of what is linear, dollars with 36 decimals.
    /// @param steady Where the losses at today's volatility go.
    function fill(uint256 losses, uint256 steady, uint256 curve, int256 exposure, uint256 reach) internal pure {
        // docs/options.md, 5: values below 2^208, losses below 2^225.
        unchecked {
            int256 base = curve == 0 ? int256(0) : curve.signed(CENTER);
            uint256 sums = curve + Curves.SUMS;
            for (uint256 j; j < STATES; ++j) {
                int256 linear = exposure * (Curves.WHOLE - int256(Curves.shocked(reach, j)));
                int256 loss = linear;
                int256 worst = linear;
                if (curve != 0) {
                    int256 value = sums.signed(0);
                    loss += Curves.WHOLE * (base - value);
                    int256 other = sums.signed(0x20);
                    if (other < value) value = other;
                    other = sums.signed(0x40);
                    if (other < value) value = other;
                    worst += Curves.WHOLE * (base - value);
                    sums += 0x60;
                }
                losses.setSigned(j << 5, worst);
                steady.setSigned(j << 5, loss);
            }
        }
    }

    /// @notice Losses of a row in initial margin.
    /// @param losses Those of maintenance, at the range `reach`.
    /// @param wide The range of initial margin times its factor, bps of bps.
    function fillInitial(uint256 initial, uint256 losses, uint256 curve, int256 exposure, uint256 reach, uint256 wide)
        internal
        pure
    {
        // Ranges have 14 bits, the factor 16; exposures are below 2^206.
        unchecked {
            uint256 unit = BPS * reach;
            int256 step = int256(PriceMath.min(wide, MOST_REACH * unit));
            for (uint256 j; j < STATES; ++j) {
                int256 z = Curves.thirds(j);
                int256 loss = curve == 0 ? ceilDiv(-exposure * z * int256(wide), BPS) : atUp(losses, 1, z * step, unit);
                initial.setSigned(j << 5, loss);
            }
        }
    }

    /// @notice `sign` times the function through the eleven points, at `num / den` thirds of the range, rounded up.
    function atUp(uint256 points, int256 sign, int256 num, uint256 den) internal pure returns (int256) {
        // den < 2^28, |num| < 2^6 * 9 * den, points below 2^225; an inner value is a mean with weights that sum up to
        // at most 3 den.
        unchecked {
            int256 place = num + EDGE * int256(den);
            if (place < 0) return _beyondUp(sign * points.signed(0), uint256(-num), den);
            uint256 third = uint256(place) / den;
            if (third >= uint256(2 * EDGE)) {
                return _beyondUp(sign * points.signed((STATES - 1) << 5), uint256(num), den);
            }
            uint256 j;
            uint256 from;
            uint256 to;
            // Bytes of the tables: a third is below 18.
            assembly ("memory-safe") {
                j := byte(third, INTERVALS)
                from := mul(byte(j, PLACES), den)
                to := mul(byte(add(j, 1), PLACES), den)
            }
            uint256 at = points + (j << 5);
            int256 sum = at.signed(0) * (int256(to) - place) + at.signed(0x20) * (place - int256(from));
            return ceilDiv(sign * sum, to - from);
        }
    }

    /// @dev Beyond the edge a loss grows in proportion.
    function _beyondUp(int256 edge, uint256 num, uint256 den) private pure returns (int256) {
        // The quotient is at most 64 times the edge, below 2^232.
        unchecked {
            uint256 whole = uint256(EDGE) * den;
            if (edge < 0) return -int256(Math.mulDiv(uint256(-edge), num, whole));
            return int256(Math.mulDiv(uint256(edge), num, whole, Math.Rounding.Ceil));
        }
    }

    /// @notice The largest absolute value of the points.
    function largest(uint256 points) internal pure returns (uint256 most) {
        for (uint256 j; j < STATES; ++j) {
            uint256 value = PriceMath.abs(points.signed(j << 5));
            if (value > most) most = value;
        }
    }

    /// @notice The most by which a move of volatility alone makes a loss larger.
    function furthest(uint256 losses, uint256 steady) internal pure returns (uint256 most) {
        // A worst loss is never below the one at the volatility of now.
        unchecked {
            for (uint256 j; j < STATES; ++j) {
                uint256 value = uint256(losses.signed(j << 5) - steady.signed(j << 5));
                if (value > most) most = value;
            }
        }
    }

    /// @notice What a row loses at the worse end of a band, 36 decimals times bps, rounded up.
    function bandUp(uint256 steady, uint256 curve, int256 exposure, uint256 band, uint256 reach)
        internal
        pure
        returns (uint256)
    {
        return _endsUp(steady, 1, curve, exposure, band, reach, 2);
    }

    /// @notice What a row gains at the better end of a band, rounded down.
    function favourDown(uint256 steady, uint256 curve, int256 exposure, uint256 band, uint256 reach)
        internal
        pure
        returns (uint256)
    {
        return _endsUp(steady, -1, curve, exposure, band, reach, 0);
    }

    /// @param rest Added before the division by three.
    function _endsUp(
        uint256 steady,
        int256 sign,
        uint256 curve,
        int256 exposure,
        uint256 band,
        uint256 reach,
        uint256 rest
    ) private pure returns (uint256) {
        // Bands have 16 bits, ranges 14: at most 2^16 times the edge.
        unchecked {
            if (curve == 0) return PriceMath.abs(exposure) * band;
            int256 up = atUp(steady, sign, 3 * int256(band), reach);
            int256 down = atUp(steady, sign, -3 * int256(band), reach);
            if (down > up) up = down;
            return up > 0 ? (uint256(up) + rest) / 3 : 0;
        }
    }

    /// @notice Adds to the values of a curve what `size` forwards are worth in every state.
    /// @param pairs As `Black76.addStates` takes them.
    function addLinear(uint256 sums, uint256 pairs, int256 size) internal pure {
        // Sizes below 2^111, forwards below 2^97. The twelfth pair has one sum.
        unchecked {
            for (uint256 j; j < STATES; ++j) {
                int256 value = size * pairs.signed(0);
                sums.add(0, value);
                sums.add(0x20, value);
                sums.add(0x40, value);
                sums += 0x60;
                pairs += 0x40;
            }
            sums.add(0, size * pairs.signed(0));
        }
    }

    /// @notice Multiplies every loss by the weight of its state.
    function weigh(uint256 losses) internal pure {
        // Eleven words of the caller, below 2^231, times 100. A weight is a byte.
        assembly ("memory-safe") {
            for { let j := 0 } lt(j, 11) { j := add(j, 1) } {
                mstore(losses, mul(mload(losses), byte(j, WEIGHTS)))
                losses := add(losses, 0x20)
            }
        }
    }

    /// @notice Adds to eleven totals the worst loss within a window (100 to 1000) of each state, times 100.
    /// @dev A function that is linear between states is worst at a state or at an end of the window. `worstWithin` says
    /// it plainly, and the differential tests hold the two equal. Sums of 255 rows are below 2^253.
    function addWindows(uint256 totals, uint256 losses, uint256 window) internal pure {
        // Reads and writes the eleven words of either: ends of a window are cut to 0 and 1000, and one that lies
        // between two states has a state after it.
        assembly ("memory-safe") {
            for { let m := 0 } lt(m, 1100) { m := add(m, 100) } {
                let low := mul(sub(m, window), gt(m, window))
                let high := add(m, window)
                if gt(high, 1000) { high := 1000 }
                let place := add(losses, shl(5, div(add(low, 99), 100)))
                let end := add(losses, shl(5, div(high, 100)))
                let worst := mload(place)
                for {} lt(place, end) {} {
                    place := add(place, 0x20)
                    let value := mload(place)
                    if sgt(value, worst) { worst := value }
                }
                worst := mul(worst, 100)
                let rest := mod(low, 100)
                if rest {
                    place := add(losses, shl(5, div(low, 100)))
                    let value := add(mul(mload(place), sub(100, rest)), mul(mload(add(place, 0x20)), rest))
                    if sgt(value, worst) { worst := value }
                }
                rest := mod(high, 100)
                if rest {
                    let value := add(mul(mload(end), sub(100, rest)), mul(mload(add(end, 0x20)), rest))
                    if sgt(value, worst) { worst := value }
                }
                mstore(totals, add(mload(totals), worst))
                totals := add(totals, 0x20)
            }
        }
    }

    /// @notice The worst loss within a window of state `m`, times 100.
    function worstWithin(uint256 losses, uint256 m, uint256 window) internal pure returns (int256 worst) {
        // Reads the eleven words of the losses: ends of a window are cut to 0 and 1000, and one between two states has
        // a state after it.
        assembly ("memory-safe") {
            function between(points, end) -> value {
                let rest := mod(end, 100)
                let place := add(points, shl(5, div(end, 100)))
                value := mul(mload(place), sub(100, rest))
                if rest { value := add(value, mul(mload(add(place, 0x20)), rest)) }
            }
            let low := mul(m, 100)
            let high := add(low, window)
            if gt(high, 1000) { high := 1000 }
            low := mul(sub(low, window), gt(low, window))
            let place := add(losses, shl(5, div(add(low, 99), 100)))
            let end := add(losses, shl(5, div(high, 100)))
            worst := mload(place)
            for { place := add(place, 0x20) } iszero(gt(place, end)) { place := add(place, 0x20) } {
                let value := mload(place)
                if sgt(value, worst) { worst := value }
            }
            worst := mul(worst, 100)
            let value := between(losses, low)
            if sgt(value, worst) { worst := value }
            value := between(losses, high)
            if sgt(value, worst) { worst := value }
        }
    }

    /// @notice The largest of eleven totals, and the lowest state that has it.
    function most(uint256 totals) internal pure returns (int256 value, uint256 state) {
        value = totals.signed(0);
        for (uint256 m = 1; m < STATES; ++m) {
            int256 total = totals.signed(m << 5);
            if (total > value) (value, state) = (total, m);
        }
    }

    /// @notice The largest of eleven totals in dollars, rounded up.
    /// @dev It is not negative: at the centre every window reaches the state in which nothing is lost.
    function dollarsUp(uint256 totals) internal pure returns (uint256) {
        (int256 value,) = most(totals);
        return PriceMath.ceilDiv(uint256(value), SCALE);
    }

    /// @dev Rounds towards plus infinity; `b` is at least one.
    function ceilDiv(int256 a, uint256 b) internal pure returns (int256) {
        // The machine's quotient is cut towards zero. Dividends are far from the ends, divisors below 2^30.
        unchecked {
            return a > 0 ? (a - 1) / int256(b) + 1 : a / int256(b);
        }
    }
}
