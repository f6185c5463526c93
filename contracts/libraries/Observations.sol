// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PriceStatus} from "../../interfaces/Types.sol";

/// @title What was last seen of an underlying's price, one slot
/// @dev stable 94 | last 94 | time 32 | volatility gauge 16 | status 4 | ramp flag 1, lowest first. The flag says that
/// the risk parameters of the underlying are on a ramp.
library Observations {
    uint256 private constant MASK_94 = (1 << 94) - 1;
    uint256 private constant RAMPING = 1 << 240;

    /// @dev Prices below 2^94, a time below 2^32 (the year 2106) and a gauge of 16 bits do not overlap.
    function pack(uint256 stable_, uint256 last_, uint256 time_, uint256 gauge_, PriceStatus status_)
        internal
        pure
        returns (uint256)
    {
        return stable_ | (last_ << 94) | (time_ << 188) | (gauge_ << 220) | (uint256(status_) << 236);
    }

    function stable(uint256 word) internal pure returns (uint256) {
        return word & MASK_94;
    }

    function last(uint256 word) internal pure returns (uint256) {
        return (word >> 94) & MASK_94;
    }

    function time(uint256 word) internal pure returns (uint256) {
        return (word >> 188) & 0xffffffff;
    }

    function gauge(uint256 word) internal pure returns (uint256) {
        return (word >> 220) & 0xffff;
    }

    /// @dev Only `pack` and `withStatus` write the four bits, from the enum itself.
    function status(uint256 word) internal pure returns (PriceStatus) {
        return PriceStatus(statusCode(word));
    }

    function statusCode(uint256 word) internal pure returns (uint256) {
        return (word >> 236) & 0xf;
    }

    function ramping(uint256 word) internal pure returns (bool) {
        return word & RAMPING != 0;
    }

    /// @dev The flag of a word, to be carried to its successor.
    function rampFlag(uint256 word) internal pure returns (uint256) {
        return word & RAMPING;
    }

    function withStatus(uint256 word, PriceStatus status_) internal pure returns (uint256) {
        return (word & ~(uint256(0xf) << 236)) | (uint256(status_) << 236);
    }

    function withRamp(uint256 word, bool on) internal pure returns (uint256) {
        return on ? word | RAMPING : word & ~RAMPING;
    }
}
