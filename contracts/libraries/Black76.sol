// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Normal} from "./Normal.sol";

/// @title Prices of calls without discounting: docs/options.md, section 4
/// @dev Prices below 2^97, strikes below 2^94, logarithms below 2^68 either way and deviations below 2^68, 18 decimals.
/// A probability has 150 binary places inside a price and 41 outside. No price is above the forward, as no probability
/// is above one.
library Black76 {
    /// @dev A deviation below this counts as none.
    uint256 private constant LEAST_DEVIATION = 1e9;
    /// @dev The states of the grid, of a pair of words each; the one after them is the stable price.
    uint256 private constant STATES = 11;

    /// @notice The price of a call, and the first probability in it.
    /// @param y The logarithm of the forward by the strike.
    function call(uint256 table, uint256 forward, uint256 strike, int256 y, uint256 sd)
        internal
        pure
        returns (uint256 price, uint256 n1)
    {
        if (sd < LEAST_DEVIATION || forward == 0) return _expired(forward, strike);
        (int256 first, int256 second) = _distances(y, sd);
        return _price(forward, strike, Normal.cumulative(table, first), Normal.cumulative(table, second));
    }

    /// @notice The same with only the words of the table that it takes, from its code.
    function callAt(address source, uint256 forward, uint256 strike, int256 y, uint256 sd)
        internal
        view
        returns (uint256 price, uint256 n1)
    {
        if (sd < LEAST_DEVIATION || forward == 0) return _expired(forward, strike);
        (int256 first, int256 second) = _distances(y, sd);
        return _price(forward, strike, Normal.cumulativeAt(source, first), Normal.cumulativeAt(source, second));
    }

    /// @notice The density at the first distance, 41 binary places: what gamma, vega and theta grow with.
    function densityAt(address source, int256 y, uint256 sd) internal view returns (uint256) {
        if (sd < LEAST_DEVIATION) return 0;
        (int256 first,) = _distances(y, sd);
        return Normal.densityAt(source, first);
    }

    /// @notice Adds what the options of a strike are worth in every state to the sums of an underlying.
    /// @param strike Words: signed size | strike | signed logarithm of the forward by it | deviations 0, 1, 2. Written
    /// behind them: the price of a call in the state of no move at each deviation | its first probability at deviation 0.
    /// @param states Eleven pairs of a forward and the signed logarithm by which it moved, which never descends, and a
    /// twelfth for the stable price. The sixth one has not moved.
    /// @param sums Signed words, of which number `3 * state + deviation` grows by the size times the price; the stable
    /// price counts at deviation 0 only.
    function addStates(uint256 table, uint256 strike, uint256 states, uint256 sums) internal pure {
        (uint256 terms, bool within) = _terms(strike, states);
        bool held;
        assembly ("memory-safe") {
            held := mload(strike)
        }
        if (held) {
            if (within) _addWithin(table, strike, states, sums, terms);
            else _add(table, strike, states, sums, STATES, 3);
            unchecked {
                // The twelfth pair and its sum, within what the caller has laid out.
                _add(table, strike, states + 0x40 * STATES, sums + 0x60 * STATES, 1, 1);
            }
        }
        _center(table, strike, states);
    }

    /// @dev The same for any states and deviations, wherever they lie on the table.
    function _add(uint256 table, uint256 strike, uint256 states, uint256 sums, uint256 count, uint256 deviations)
        private
        pure
    {
        // Places of the caller's words. Sizes of 103 bits at prices of 97, 255 of them, fit a word.
        unchecked {
            for (uint256 i; i < deviations; ++i) {
                for (uint256 j; j < count; ++j) {
                    (uint256 price,) = _at(table, strike, states + 0x40 * j, i);
                    assembly ("memory-safe") {
                        let sum := add(sums, add(mul(0x60, j), shl(5, i)))
                        mstore(sum, add(mload(sum), mul(mload(strike), price)))
                    }
                }
            }
        }
    }

    /// @dev Writes the prices where nothing moves, and the first probability.
    function _center(uint256 table, uint256 strike, uint256 states) private pure {
        unchecked {
            for (uint256 i = 3; i > 0;) {
                (uint256 price, uint256 n1) = _at(table, strike, states + 0x140, --i);
                // Words 6 to 8 of the strike, and 9, which deviation 0 writes last.
                assembly ("memory-safe") {
                    mstore(add(strike, add(0xc0, shl(5, i))), price)
                    mstore(add(strike, 0x120), n1)
                }
            }
        }
    }

    /// @dev A price by the caller's words.
    function _at(uint256 table, uint256 strike, uint256 state, uint256 deviation)
        private
        pure
        returns (uint256 price, uint256 n1)
    {
        uint256 forward;
        uint256 k;
        int256 y;
        uint256 sd;
        assembly ("memory-safe") {
            forward := mload(state)
            k := mload(add(strike, 0x20))
            y := add(mload(add(strike, 0x40)), mload(add(state, 0x20)))
            sd := mload(add(strike, add(0x60, shl(5, deviation))))
        }
        return call(table, forward, k, y, sd);
    }

    /// @dev Nine words beyond the free memory, three a deviation: what a logarithm is multiplied with | its distance
    /// from the lower edge where nothing moves, 60 binary places more | twice the half that lies between the two
    /// distances. And whether no distance of any state is beyond the table.
    function _terms(uint256 strike, uint256 states) private pure returns (uint256 terms, bool within) {
        // Inverses have at most 72 bits with a deviation that counts, logarithms 68. Written and read before anything
        // else is allocated.
        assembly ("memory-safe") {
            terms := mload(0x40)
            within := 1
            for { let i := 0 } lt(i, 3) { i := add(i, 1) } {
                let sd := mload(add(strike, add(0x60, shl(5, i))))
                within := and(within, gt(sd, 999999999))
                let half := div(mul(sd, shl(38, 5)), 1000000000000000000)
                let inverse := div(shl(99, 5), sd)
                let base := add(mul(mload(add(strike, 0x40)), inverse), shl(60, add(half, shl(36, 280))))
                let term := add(terms, mul(0x60, i))
                mstore(term, inverse)
                mstore(add(term, 0x20), base)
                mstore(add(term, 0x40), shl(1, half))
                let low := sub(sar(60, add(base, mul(mload(add(states, 0x20)), inverse))), shl(1, half))
                let high := sar(60, add(base, mul(mload(add(states, 0x2a0)), inverse)))
                within := and(within, and(sgt(low, not(0)), slt(high, shl(36, 560))))
            }
        }
    }

    /// @dev The hot loop: 33 prices of a strike of which no distance is beyond the table. It equals `_add`.
    function _addWithin(uint256 table, uint256 strike, uint256 states, uint256 sums, uint256 terms) private pure {
        // Distances are within the table, so that its words are; a forward below 2^97 times 150 bits fits a word.
        assembly ("memory-safe") {
            function fine(words, y) -> n {
                n := mload(add(words, shl(5, shr(36, y))))
                y := and(y, 0xfffffffff)
                n := add(
                    n,
                    mul(
                        y,
                        add(
                            and(n, 0xfffffffffffffffffffffffffff),
                            mul(y, add(signextend(8, n), mul(y, signextend(3, n))))
                        )
                    )
                )
            }
            function worth(words, term, g, forward, k, least) -> price {
                let y := sar(60, add(mload(add(term, 0x20)), mul(g, mload(term))))
                price := mul(forward, fine(words, y))
                price := sar(150, sub(price, mul(k, fine(words, sub(y, mload(add(term, 0x40)))))))
                if slt(price, least) { price := least }
            }
            let size := mload(strike)
            let k := mload(add(strike, 0x20))
            for { let end := add(states, 0x2c0) } lt(states, end) { states := add(states, 0x40) } {
                let forward := mload(states)
                let g := mload(add(states, 0x20))
                let least := mul(sub(forward, k), gt(forward, k))
                mstore(sums, add(mload(sums), mul(size, worth(table, terms, g, forward, k, least))))
                sums := add(sums, 0x20)
                mstore(sums, add(mload(sums), mul(size, worth(table, add(terms, 0x60), g, forward, k, least))))
                sums := add(sums, 0x20)
                mstore(sums, add(mload(sums), mul(size, worth(table, add(terms, 0xc0), g, forward, k, least))))
                sums := add(sums, 0x20)
            }
        }
    }

    /// @dev How far the logarithm lies above and below the middle, give or take half a deviation.
    function _distances(int256 y, uint256 sd) private pure returns (int256 first, int256 second) {
        // 68 bits times 72; deviations of 68 bits times 41.
        unchecked {
            int256 half = int256(sd * (5 << 38) / 1e18);
            first = ((y * int256((5 << 99) / sd)) >> 60) + half;
            second = first - 2 * half;
        }
    }

    /// @dev From the two probabilities.
    function _price(uint256 forward, uint256 strike, uint256 first, uint256 second)
        private
        pure
        returns (uint256 price, uint256 n1)
    {
        // Prices of 97 bits times 150.
        unchecked {
            int256 worth = (int256(forward * first) - int256(strike * second)) >> Normal.FINE_BITS;
            (price,) = _expired(forward, strike);
            if (worth > int256(price)) price = uint256(worth);
            n1 = first >> (Normal.FINE_BITS - Normal.ONE_BITS);
        }
    }

    /// @dev Without time left.
    function _expired(uint256 forward, uint256 strike) private pure returns (uint256 price, uint256 n1) {
        // The difference is positive.
        unchecked {
            if (forward > strike) return (forward - strike, 1 << Normal.ONE_BITS);
        }
    }
}
