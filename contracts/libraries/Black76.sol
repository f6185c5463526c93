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
    /// @param strike Words: signed size | strike | signed logarithm of the forward by it | deviations 0, 1 and 2, of
    /// which 1 is the greatest and 2 the least; then, written here, the price of a call where nothing moves at each
    /// deviation | its first probability at deviation 0. @param states Eleven pairs of a forward and the signed
    /// logarithm by which it moved, which never descends, and a
    /// twelfth for the stable price. The sixth has not moved.
    /// @param sums Signed words: number `3 * state + deviation` grows by the size times the price. The stable price
    /// counts at deviation 0 only, in the last one.
    /// @dev Without a size nothing is added, and what is written of the strike is the same.
    function addStates(uint256 table, uint256 strike, uint256 states, uint256 sums) internal pure {
        (uint256 terms, bool within) = _terms(strike, states);
        _writeDelta(table, strike, states, terms);
        uint256 size;
        uint256 here;
        uint256 end;
        // Words where the caller has laid them out. A price where nothing moves is what its sum grows by, divided
        // exactly: without a size, what a sum of one of them beyond the free memory does.
        assembly ("memory-safe") {
            size := mload(strike)
            here := add(sums, 0x1e0)
            end := add(states, 0x300)
            if iszero(size) {
                size := 1
                within := 0
                sums := add(terms, 0x140)
                here := sums
                states := add(states, 0x140)
                end := add(states, 0x40)
            }
            mcopy(add(strike, 0xc0), here, 0x60)
        }
        if (within) (states, sums) = _addWithin(table, strike, terms, size, states, sums);
        _addAnywhere(table, strike, terms, size, states, end, sums, here);
        // As above.
        assembly ("memory-safe") {
            strike := add(strike, 0xc0)
            for { end := add(strike, 0x60) } lt(strike, end) { strike := add(strike, 0x20) } {
                mstore(strike, sdiv(sub(mload(here), mload(strike)), size))
                here := add(here, 0x20)
            }
        }
    }

    /// @dev The first probability of a strike where nothing moves, at deviation 0.
    function _writeDelta(uint256 table, uint256 strike, uint256 states, uint256 terms) private pure {
        uint256 forward;
        uint256 k;
        uint256 inverse;
        int256 first;
        // Words of the strike and of its terms.
        assembly ("memory-safe") {
            forward := mload(add(states, 0x140))
            k := mload(add(strike, 0x20))
            inverse := mload(terms)
            first := sar(60, mload(add(terms, 0x20)))
        }
        uint256 n1;
        // A distance from the lower edge has less than 142 bits.
        unchecked {
            if (inverse == 0) {
                n1 = forward > k ? 1 << Normal.ONE_BITS : 0;
            } else if (forward != 0) {
                n1 = Normal.cumulative(table, first - Normal.EDGE) >> (Normal.FINE_BITS - Normal.ONE_BITS);
            }
        }
        // The last word of the strike.
        assembly ("memory-safe") {
            mstore(add(strike, 0x120), n1)
        }
    }

    /// @dev Adds the eleven states, with every distance within the table.
    /// @return Where the stable price is, and its sum.
    function _addWithin(uint256 table, uint256 strike, uint256 terms, uint256 size, uint256 states, uint256 sums)
        private
        pure
        returns (uint256, uint256)
    {
        // Cubics are within the table. Sizes of 103 bits at prices of 97, 255 of them, fit a word, and so do forwards
        // times probabilities. A price is written out for each deviation: as a function, or with a branch in it, it
        // costs a quarter more.
        assembly ("memory-safe") {
            let k := mload(add(strike, 0x20))
            let low := mload(add(terms, 0x120))
            for { let end := add(states, 0x2c0) } lt(states, end) { states := add(states, 0x40) } {
                let forward := mload(states)
                let g := mload(add(states, 0x20))
                let least := mul(sub(forward, k), gt(forward, k))
                let y := sar(60, add(mload(add(terms, 0x20)), mul(g, mload(terms))))
                let cubic := mload(add(table, and(shr(31, y), 0x7fe0)))
                let part := and(y, 0xfffffffff)
                let slope := add(signextend(8, cubic), mul(part, signextend(3, cubic)))
                slope := add(and(cubic, low), mul(part, slope))
                let price := mul(forward, add(cubic, mul(part, slope)))
                y := sub(y, mload(add(terms, 0x40)))
                cubic := mload(add(table, and(shr(31, y), 0x7fe0)))
                part := and(y, 0xfffffffff)
                slope := add(signextend(8, cubic), mul(part, signextend(3, cubic)))
                slope := add(and(cubic, low), mul(part, slope))
                price := sar(150, sub(price, mul(k, add(cubic, mul(part, slope)))))
                price := add(price, mul(slt(price, least), sub(least, price)))
                mstore(sums, add(mload(sums), mul(size, price)))
                y := sar(60, add(mload(add(terms, 0x80)), mul(g, mload(add(terms, 0x60)))))
                cubic := mload(add(table, and(shr(31, y), 0x7fe0)))
                part := and(y, 0xfffffffff)
                slope := add(signextend(8, cubic), mul(part, signextend(3, cubic)))
                slope := add(and(cubic, low), mul(part, slope))
                price := mul(forward, add(cubic, mul(part, slope)))
                y := sub(y, mload(add(terms, 0xa0)))
                cubic := mload(add(table, and(shr(31, y), 0x7fe0)))
                part := and(y, 0xfffffffff)
                slope := add(signextend(8, cubic), mul(part, signextend(3, cubic)))
                slope := add(and(cubic, low), mul(part, slope))
                price := sar(150, sub(price, mul(k, add(cubic, mul(part, slope)))))
                price := add(price, mul(slt(price, least), sub(least, price)))
                mstore(add(sums, 0x20), add(mload(add(sums, 0x20)), mul(size, price)))
                y := sar(60, add(mload(add(terms, 0xe0)), mul(g, mload(add(terms, 0xc0)))))
                cubic := mload(add(table, and(shr(31, y), 0x7fe0)))
                part := and(y, 0xfffffffff)
                slope := add(signextend(8, cubic), mul(part, signextend(3, cubic)))
                slope := add(and(cubic, low), mul(part, slope))
                price := mul(forward, add(cubic, mul(part, slope)))
                y := sub(y, mload(add(terms, 0x100)))
                cubic := mload(add(table, and(shr(31, y), 0x7fe0)))
                part := and(y, 0xfffffffff)
                slope := add(signextend(8, cubic), mul(part, signextend(3, cubic)))
                slope := add(and(cubic, low), mul(part, slope))
                price := sar(150, sub(price, mul(k, add(cubic, mul(part, slope)))))
                price := add(price, mul(slt(price, least), sub(least, price)))
                mstore(add(sums, 0x40), add(mload(add(sums, 0x40)), mul(size, price)))
                sums := add(sums, 0x60)
            }
        }
        return (states, sums);
    }

    /// @dev Adds the states up to `end`, wherever their distances are. Where both are below the table, or both above
    /// it, a price is the least one.
    function _addAnywhere(
        uint256 table,
        uint256 strike,
        uint256 terms,
        uint256 size,
        uint256 states,
        uint256 end,
        uint256 sums,
        uint256 here
    ) private pure {
        // As within the table; `below` takes any distance. A word of the table has zeros in bits 32 to 35: two of them
        // are left out of the mask, since the optimizer would put four instructions for one that is a power of two.
        assembly ("memory-safe") {
            function below(words, y) -> fine {
                switch lt(y, shl(36, 560))
                case 0 { fine := shl(150, sgt(y, 0)) }
                default {
                    let cubic := mload(add(words, and(shr(31, y), 0x7fe0)))
                    y := and(y, 0xfffffffff)
                    fine := add(signextend(8, cubic), mul(y, signextend(3, cubic)))
                    fine := add(cubic, mul(y, add(and(cubic, 0xffffffffffffffffff5ffffffff), mul(y, fine))))
                }
            }
            let k := mload(add(strike, 0x20))
            for {} lt(states, end) { states := add(states, 0x40) } {
                let forward := mload(states)
                let g := mload(add(states, 0x20))
                let least := mul(sub(forward, k), gt(forward, k))
                // At the stable price one deviation counts.
                let last := add(terms, sub(0x120, mul(0xc0, eq(sub(sums, here), 0x240))))
                for { let term := terms } lt(term, last) { term := add(term, 0x60) } {
                    let y := sar(60, add(mload(add(term, 0x20)), mul(g, mload(term))))
                    let z := sub(y, mload(add(term, 0x40)))
                    let price := least
                    if and(sgt(y, not(0)), slt(z, shl(36, 560))) {
                        price := sar(150, sub(mul(forward, below(table, y)), mul(k, below(table, z))))
                        price := add(price, mul(slt(price, least), sub(least, price)))
                    }
                    mstore(sums, add(mload(sums), mul(size, price)))
                    sums := add(sums, 0x20)
                }
            }
        }
    }

    /// @dev Nine words beyond the free memory, three a deviation: what a logarithm is multiplied with | its distance
    /// from the lower edge where nothing moves, 60 binary places more | what lies between the two distances; and the
    /// mask of the lowest coefficients. Whether no distance of any state is beyond the table: then none is further out
    /// than those of the least deviation, the last, would be with the greatest, the second one's half. A deviation that
    /// counts as none is below the table.
    function _terms(uint256 strike, uint256 states) private pure returns (uint256 terms, bool within) {
        // Inverses have at most 72 bits with a deviation that counts, logarithms 68. Nothing is allocated before the
        // last read.
        assembly ("memory-safe") {
            terms := mload(0x40)
            let l := mload(add(strike, 0x40))
            let term := terms
            let inverse
            for { let place := add(strike, 0x60) } lt(place, add(strike, 0xc0)) { place := add(place, 0x20) } {
                let sd := mload(place)
                let twice := shl(1, div(mul(sd, 1374389534720), 1000000000000000000))
                inverse := div(shl(99, 5), sd)
                let base := add(mul(l, inverse), add(shl(59, twice), shl(96, 280)))
                if lt(sd, 1000000000) {
                    inverse := 0
                    base := not(0)
                    twice := 0
                }
                mstore(term, inverse)
                mstore(add(term, 0x20), base)
                mstore(add(term, 0x40), twice)
                term := add(term, 0x60)
            }
            mstore(term, sub(shl(108, 1), 1))
            let room := sub(shl(36, 280), shr(1, mload(add(terms, 0xa0))))
            let lowest := sar(60, mul(inverse, add(l, mload(add(states, 0x20)))))
            let highest := sar(60, mul(inverse, add(l, mload(add(states, 0x2a0)))))
            within := and(and(sgt(inverse, 0), sgt(room, 0)), and(slt(sub(0, room), lowest), slt(highest, room)))
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
