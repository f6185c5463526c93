// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Instruments} from "./Instruments.sol";

/// @title The fixing of an expiry, one slot: docs/options.md, section 3
/// @dev sum of the samples 97 | how many 3 | number of the last one's round 80 | the low bits of its source 76, lowest
/// first.
library Fixings {
    uint256 internal constant SAMPLES = 6;

    uint256 private constant INTERVAL = 300;
    uint256 private constant COUNT_BIT = 97;
    uint256 private constant ROUND_BIT = 100;
    uint256 private constant SOURCE_BIT = 180;

    /// @dev Dollars with 18 decimals.
    function sum(uint256 word) internal pure returns (uint256) {
        return word & ((1 << COUNT_BIT) - 1);
    }

    function count(uint256 word) internal pure returns (uint256) {
        return (word >> COUNT_BIT) & 7;
    }

    /// @notice The least number that the round of the next sample may have: another source counts anew.
    function leastRound(uint256 word, uint256 source) internal pure returns (uint256) {
        return (word >> SOURCE_BIT) << SOURCE_BIT == source << SOURCE_BIT ? (word >> ROUND_BIT) & type(uint80).max : 0;
    }

    /// @notice The word with one more sample than before, when there are fewer than six: a price below 2^94.
    function next(uint256 word, uint256 price, uint80 round, uint256 source) internal pure returns (uint256) {
        // Six prices are below 2^97, a count of six fits 3 bits.
        unchecked {
            return (sum(word) + price) | ((count(word) + 1) << COUNT_BIT) | (uint256(round) << ROUND_BIT)
                | (source << SOURCE_BIT);
        }
    }

    /// @notice When the sample of this number, from zero on, is taken: seconds.
    function instant(uint256 day, uint256 number) internal pure returns (uint256) {
        // At most six.
        unchecked {
            return Instruments.expiryOf(day) - (SAMPLES - number) * INTERVAL;
        }
    }
}
