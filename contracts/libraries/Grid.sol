// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

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
    /// @dev The same without the window's.
    uint256 internal constant LOSS_UNIT = 3e6 * WAD;

    /// @dev Weights of the states in hundredths, a byte each from the highest on.
    uint256 private constant WEIGHTS = 0x2030646464646464643020000000000000000000000000000000000000000000;
    /// @dev Places of the states among the thirds -9 to 9, and which state begins the interval that a third begins.
    uint256 private constant PLACES = 0x0003060708090a0b0c0f12000000000000000000000000000000000000000000;
    uint256 private constant INTERVALS = 0x0000000101010203040506070808080909090000000000000000000000000000;
    /// @dev Initial margin looks at most this many times further than maintenance.
    uint256 private constant MOST_REACH = 64;

    /// @notice Losses of a curve at the range `reach`, times 3 BPS, 36 decimals, the worst of all volatilities.
    /// @param exposure Of what is linear, dollars with 36 decimals.
    /// @param steady Where the losses at today's volatility go.
    function fill(uint256 losses, uint256 steady, uint256 curve, int256 exposure, uint256 reach) internal pure {
        // docs/options.md, 5: values below 2^208, losses below 2^225.
        unchecked {
            int256 base = Curves.WHOLE * curve.signed(CENTER);
            uint256 sums = curve + Curves.SUMS;
            // Writes eleven words of the caller twice, reads three sums a state.
            assembly ("memory-safe") {
                for { let j := 0 } lt(j, 11) { j := add(j, 1) } {
                    let move := mul(reach, sub(byte(j, PLACES), 9))
                    if slt(move, sub(0, 30000)) { move := sub(0, 30000) }
                    move := sub(base, mul(exposure, move))
                    let value := mload(sums)
                    mstore(steady, sub(move, mul(value, 30000)))
                    let other := mload(add(sums, 0x20))
                    if slt(other, value) { value := other }
                    other := mload(add(sums, 0x40))
                    if slt(other, value) { value := other }
                    mstore(losses, sub(move, mul(value, 30000)))
                    sums := add(sums, 0x60)
                    steady := add(steady, 0x20)
                    losses := add(losses, 0x20)
                }
            }
        }
    }

    /// @notice Losses of a curve in initial margin, times the weights of their states.
    /// @param losses Those of maintenance, at the range `reach`.
    /// @param wide The range of initial margin times its factor, bps of bps.
    function fillInitial(uint256 initial, uint256 losses, uint256 reach, uint256 wide) internal pure {
        // Ranges have 14 bits, the factor 16.
        unchecked {
            uint256 unit = BPS * reach;
            int256 step = int256(PriceMath.min(wide, MOST_REACH * unit));
            for (uint256 j; j < STATES; ++j) {
                initial.setSigned(j << 5, weight(j) * atUp(losses, 1, Curves.thirds(j) * step, unit));
            }
        }
    }

    /// @notice Losses of a row without a curve at both levels, times the weights of their states.
    /// @param reach The range of maintenance.
    /// @param wide The range of initial margin times its factor, bps of bps.
    function fillLinear(uint256 losses, uint256 initial, int256 exposure, uint256 reach, uint256 wide) internal pure {
        // Writes eleven words of the caller twice. Exposures are below 2^206, ranges have 14 bits, the factor 16.
        assembly ("memory-safe") {
            exposure := sub(0, exposure)
            for { let j := 0 } lt(j, 11) { j := add(j, 1) } {
                let third := sub(byte(j, PLACES), 9)
                let move := mul(reach, third)
                if slt(move, sub(0, 30000)) { move := sub(0, 30000) }
                mstore(losses, mul(mul(exposure, move), byte(j, WEIGHTS)))
                move := mul(exposure, mul(third, wide))
                move := add(sdiv(move, 10000), sgt(smod(move, 10000), 0))
                mstore(initial, mul(move, byte(j, WEIGHTS)))
                losses := add(losses, 0x20)
                initial := add(initial, 0x20)
            }
        }
    }

    /// @notice `sign` times the function through the eleven points, at `num / den` thirds of the range, rounded up.
    function atUp(uint256 points, int256 sign, int256 num, uint256 den) internal pure returns (int256 value) {
        // den < 2^28, |num| < 2^6 * 9 * den, points below 2^225; an inner value is a mean with weights that sum up to
        // at most 3 den. Beyond an edge a loss grows in proportion: whole multiples of the divisor first, so that no
        // product is beyond 2^232. The machine's quotient is cut towards zero, its remainder has the dividend's sign.
        // A place below zero is large without its sign; a third is below 18, a byte of the tables.
        assembly ("memory-safe") {
            let half := mul(9, den)
            let place := add(num, half)
            switch lt(place, shl(1, half))
            case 0 {
                value := mul(sign, mload(add(points, mul(0x140, sgt(num, 0)))))
                let far := xor(num, mul(xor(num, sub(0, num)), slt(num, 0)))
                let rest := mul(smod(value, half), far)
                value := add(mul(sdiv(value, half), far), add(sdiv(rest, half), sgt(smod(rest, half), 0)))
            }
            default {
                let j := byte(div(place, den), INTERVALS)
                let from := mul(byte(j, PLACES), den)
                let to := mul(byte(add(j, 1), PLACES), den)
                points := add(points, shl(5, j))
                value := mul(mload(points), sub(to, place))
                value := mul(sign, add(value, mul(mload(add(points, 0x20)), sub(place, from))))
                to := sub(to, from)
                value := add(sdiv(value, to), sgt(smod(value, to), 0))
            }
        }
    }

    /// @notice The largest absolute value of the points.
    function largest(uint256 points) internal pure returns (uint256 most) {
        // Eleven words of the caller.
        assembly ("memory-safe") {
            for { let end := add(points, 0x160) } lt(points, end) { points := add(points, 0x20) } {
                let value := mload(points)
                if slt(value, 0) { value := sub(0, value) }
                if gt(value, most) { most := value }
            }
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
        // Sizes below 2^111, forwards below 2^97. Of the caller's words three a state; the twelfth pair has one sum.
        assembly ("memory-safe") {
            for { let end := add(sums, 0x420) } lt(sums, end) { sums := add(sums, 0x60) } {
                let value := mul(size, mload(pairs))
                mstore(sums, add(mload(sums), value))
                let place := add(sums, 0x20)
                mstore(place, add(mload(place), value))
                place := add(sums, 0x40)
                mstore(place, add(mload(place), value))
                pairs := add(pairs, 0x40)
            }
            mstore(sums, add(mload(sums), mul(size, mload(pairs))))
        }
    }

    /// @notice The weight of a state in hundredths.
    function weight(uint256 j) internal pure returns (int256 hundredths) {
        assembly ("memory-safe") {
            hundredths := byte(j, WEIGHTS)
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
        // Reads and writes the eleven words of either, which lie beyond ten words of memory: a window is cut to states
        // 0 and 10. An end that is not cut has a state beyond it, and counts there by the rest of the window.
        assembly ("memory-safe") {
            let last := add(losses, 0x140)
            let whole := shl(5, div(window, 100))
            let rest := mod(window, 100)
            for { let at := losses } iszero(gt(at, last)) { at := add(at, 0x20) } {
                let low := sub(at, whole)
                if lt(low, losses) { low := losses }
                let high := add(at, whole)
                if gt(high, last) { high := last }
                let worst := mload(low)
                for { let place := low } lt(place, high) {} {
                    place := add(place, 0x20)
                    let value := mload(place)
                    if sgt(value, worst) { worst := value }
                }
                worst := mul(worst, 100)
                if gt(low, losses) {
                    let value := add(mul(mload(low), sub(100, rest)), mul(mload(sub(low, 0x20)), rest))
                    if sgt(value, worst) { worst := value }
                }
                if lt(high, last) {
                    let value := add(mul(mload(high), sub(100, rest)), mul(mload(add(high, 0x20)), rest))
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
    function dollarsUp(uint256 totals, uint256 unit) internal pure returns (uint256) {
        uint256 value;
        // The eleven words of the totals.
        assembly ("memory-safe") {
            for { let end := add(totals, 0x160) } lt(totals, end) { totals := add(totals, 0x20) } {
                let total := mload(totals)
                if sgt(total, value) { value := total }
            }
        }
        return PriceMath.ceilDiv(value, unit);
    }
}
