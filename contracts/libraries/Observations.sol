// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PriceStatus} from "../../interfaces/Types.sol";
import {PriceMath} from "./PriceMath.sol";

/// @title What was last seen of an underlying, one slot
/// @dev stable 94 | last 94 | time 32 | volatility gauge 16 bps | status 4 | ramp flag 1 | gauge flag 1, lowest first.
/// The ramp flag says that the risk parameters of the underlying are on a ramp, the gauge flag that maintenance takes
/// another gauge than initial margin: only then is there more to read.
library Observations {
    uint256 private constant MASK_94 = (1 << 94) - 1;
    uint256 private constant RAMPING = 1 << 240;
    uint256 private constant FOLLOWING = 1 << 241;
    uint256 private constant GAUGE_BIT = 220;
    uint256 private constant STATUS_BIT = 236;
    /// @dev What an observation leaves as it is: the gauge and both flags.
    uint256 private constant KEPT = (uint256(0xffff) << GAUGE_BIT) | RAMPING | FOLLOWING;

    /// @notice The observation that follows `word`.
    /// @dev Prices below 2^94 and a time below 2^32 (the year 2106) do not overlap.
    function next(uint256 word, uint256 stable_, uint256 last_, uint256 time_, PriceStatus status_)
        internal
        pure
        returns (uint256)
    {
        return (word & KEPT) | stable_ | (last_ << 94) | (time_ << 188) | (uint256(status_) << STATUS_BIT);
    }

    function stable(uint256 word) internal pure returns (uint256) {
        return word & MASK_94;
    }

    function last(uint256 word) internal pure returns (uint256) {
        return (word >> 94) & MASK_94;
    }

    /// @notice Seconds since the last good price; an observation is never from the future.
    function age(uint256 word, uint256 now_) internal pure returns (uint256) {
        unchecked {
            return now_ - time(word);
        }
    }

    /// @notice The stable price at `now_`: from the one stored towards the last price, by at most `range` bps an hour.
    function stableAt(uint256 word, uint256 range, uint256 now_) internal pure returns (uint256) {
        (uint256 from, uint256 to) = (stable(word), last(word));
        return from == to ? to : PriceMath.stableAfter(from, to, range, age(word, now_));
    }

    function time(uint256 word) internal pure returns (uint256) {
        return (word >> 188) & 0xffffffff;
    }

    /// @dev The gauge of initial margin; before the first observation zero.
    function gauge(uint256 word) internal pure returns (uint256) {
        return (word >> GAUGE_BIT) & 0xffff;
    }

    /// @dev Only `next` and `withStatus` write the four bits, from the enum itself.
    function status(uint256 word) internal pure returns (PriceStatus) {
        return PriceStatus(statusCode(word));
    }

    function statusCode(uint256 word) internal pure returns (uint256) {
        return (word >> STATUS_BIT) & 0xf;
    }

    function ramping(uint256 word) internal pure returns (bool) {
        return word & RAMPING != 0;
    }

    function following(uint256 word) internal pure returns (bool) {
        return word & FOLLOWING != 0;
    }

    /// @notice Zero when the status is `OK` and neither flag is set.
    /// @dev They are the highest bits.
    function special(uint256 word) internal pure returns (uint256) {
        return word >> STATUS_BIT;
    }

    /// @notice Whether maintenance may take other terms than initial margin.
    function moving(uint256 word) internal pure returns (bool) {
        return word & (RAMPING | FOLLOWING) != 0;
    }

    function withStatus(uint256 word, PriceStatus status_) internal pure returns (uint256) {
        return (word & ~(uint256(0xf) << STATUS_BIT)) | (uint256(status_) << STATUS_BIT);
    }

    function withRamp(uint256 word, bool on) internal pure returns (uint256) {
        return on ? word | RAMPING : word & ~RAMPING;
    }

    /// @dev The caller has bounded `gauge_` below 2^16.
    function withGauge(uint256 word, uint256 gauge_, bool following_) internal pure returns (uint256) {
        uint256 cleared = word & ~((uint256(0xffff) << GAUGE_BIT) | FOLLOWING);
        return cleared | (gauge_ << GAUGE_BIT) | (following_ ? FOLLOWING : 0);
    }
}
