// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @dev The hash of the code of NormalTable, written by `scripts/normal_table.py`.
bytes32 constant NORMAL_TABLE_HASH = 0xcb12eeaba09d5ed7e071730922533d473a8042741b4935f24d691cb20237c747;

/// @title The normal distribution by table: docs/options.md, section 4
/// @dev Distances from the mean are in parts of a deviation, `40 * 2^36` of them. Within the edges, at -7 and 7, each
/// step of `2^36` has a cubic, in one word: coefficients 42 | 36 | 36 signed | 4 unused | 32 signed, highest power
/// lowest, such that `c0 + t * (c1 + t * (c2 + t * c3))` has 150 binary places. Nothing is masked below a coefficient:
/// those of higher powers count as its fraction.
library Normal {
    /// @dev Binary places of a step, of a probability as it is told, and of one inside a price.
    uint256 internal constant STEP_BITS = 36;
    uint256 internal constant ONE_BITS = 41;
    uint256 internal constant FINE_BITS = 150;
    /// @dev Half of the table, and the steps of a deviation.
    int256 internal constant EDGE = 280 << 36;
    int256 internal constant STEPS = 40;
    /// @dev Bytes of the table, which lies behind one byte of code.
    uint256 internal constant SIZE = 17_920;

    /// @notice Brings the table to memory.
    function load(address source) internal view returns (uint256 table) {
        // Takes its size off the free memory.
        assembly ("memory-safe") {
            table := mload(0x40)
            mstore(0x40, add(table, SIZE))
            extcodecopy(source, table, 1, SIZE)
        }
    }

    /// @notice The probability of what lies below a distance, 150 binary places.
    function cumulative(uint256 table, int256 distance) internal pure returns (uint256 fine) {
        if (distance < -EDGE) return 0;
        if (distance >= EDGE) return 1 << FINE_BITS;
        (uint256 place, uint256 part) = _place(distance);
        uint256 cubic;
        // A word of the table.
        assembly ("memory-safe") {
            cubic := mload(add(table, place))
        }
        return _at(cubic, part);
    }

    /// @notice The same with only the word that it takes, from the code of the table.
    function cumulativeAt(address source, int256 distance) internal view returns (uint256 fine) {
        if (distance < -EDGE) return 0;
        if (distance >= EDGE) return 1 << FINE_BITS;
        (uint256 place, uint256 part) = _place(distance);
        return _at(_wordAt(source, place), part);
    }

    /// @notice The density at a distance, per deviation, 41 binary places; zero beyond the edges.
    function densityAt(address source, int256 distance) internal view returns (uint256) {
        if (distance < -EDGE || distance >= EDGE) return 0;
        (uint256 place, uint256 part) = _place(distance);
        uint256 cubic = _wordAt(source, place);
        int256 slope;
        // The derivative of the cubic, of which no coefficient has more than 110 bits. It is positive.
        assembly ("memory-safe") {
            slope := mul(part, mul(3, signextend(3, cubic)))
            slope := mul(part, add(mul(2, signextend(8, cubic)), slope))
            slope := add(and(cubic, sub(shl(108, 1), 1)), slope)
        }
        unchecked {
            return uint256(STEPS * slope >> (FINE_BITS - STEP_BITS - ONE_BITS));
        }
    }

    /// @dev Where the word of a distance within the edges lies, and the part of its step.
    function _place(int256 distance) private pure returns (uint256 place, uint256 part) {
        // Not negative, and below twice the edge.
        unchecked {
            uint256 y = uint256(distance + EDGE);
            return (y >> STEP_BITS << 5, y & ((1 << STEP_BITS) - 1));
        }
    }

    function _wordAt(address source, uint256 place) private view returns (uint256 cubic) {
        // Scratch space.
        assembly ("memory-safe") {
            extcodecopy(source, 0, add(1, place), 0x20)
            cubic := mload(0)
        }
    }

    function _at(uint256 cubic, uint256 part) private pure returns (uint256 fine) {
        // Sums of four terms of at most 150 bits.
        assembly ("memory-safe") {
            fine := add(signextend(8, cubic), mul(part, signextend(3, cubic)))
            fine := add(and(cubic, sub(shl(108, 1), 1)), mul(part, fine))
            fine := add(cubic, mul(part, fine))
        }
    }
}
