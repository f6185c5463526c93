// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BPS} from "./Constants.sol";
import {PriceMath} from "./PriceMath.sol";

/// @title The volatility of an underlying, one slot: docs/ledger.md, section 3
/// @dev price of the last sample 94 | its hour 24 | phase of its round 16 | variance of an hour's return 58, 18
/// decimals | gauge of maintenance at the time that follows 16 bps | that time 32 seconds, lowest first.
library Volatilities {
    /// @dev The least and the greatest gauge, bps.
    uint256 internal constant LEAST = 6_000;
    uint256 internal constant GREATEST = 40_000;

    uint256 internal constant HOUR = 3_600;
    /// @dev The share of the variance that an hour keeps, bps.
    uint256 private constant KEEP = 9_700;
    /// @dev A return counts up to six deviations: their square.
    uint256 private constant OUTLIER = 36;
    /// @dev How fast maintenance follows, bps an hour.
    uint256 private constant RISE = 500;
    uint256 private constant FALL = 125;
    /// @dev A reference, in hundredths of a basis point, with 18 decimals; and its square.
    uint256 private constant REFERENCE_UNIT = 1e12;
    uint256 private constant SQUARE_UNIT = 1e6;

    uint256 private constant MASK_94 = (1 << 94) - 1;
    uint256 private constant HOUR_BIT = 94;
    uint256 private constant PHASE_BIT = 118;
    uint256 private constant VARIANCE_BIT = 134;
    uint256 private constant FROM_BIT = 192;
    uint256 private constant SINCE_BIT = 208;
    /// @dev What a sample replaces.
    uint256 private constant SAMPLE = (1 << FROM_BIT) - 1;

    function price(uint256 word) internal pure returns (uint256) {
        return word & MASK_94;
    }

    function hour(uint256 word) internal pure returns (uint256) {
        return (word >> HOUR_BIT) & 0xffffff;
    }

    function phase(uint256 word) internal pure returns (uint256) {
        return (word >> PHASE_BIT) & 0xffff;
    }

    function variance(uint256 word) internal pure returns (uint256) {
        return (word >> VARIANCE_BIT) & ((1 << 58) - 1);
    }

    /// @notice The gauge of maintenance at `time`, when that of initial margin has been `gauge` since the time stored.
    function followed(uint256 word, uint256 gauge, uint256 time) internal pure returns (uint256) {
        uint256 from = (word >> FROM_BIT) & 0xffff;
        // Times have 32 bits, and what is stored is not from the future.
        unchecked {
            uint256 elapsed = time - ((word >> SINCE_BIT) & 0xffffffff);
            if (gauge >= from) return PriceMath.min(gauge, from + RISE * elapsed / HOUR);
            uint256 fall = FALL * elapsed / HOUR;
            return gauge + fall >= from ? gauge : from - fall;
        }
    }

    /// @notice The state after a sample; the variance goes on from the one stored, or from the reference without one.
    /// @dev A price below 2^94, an hour below 2^24 (the year 3884), a phase of 16 bits and a variance of at most
    /// 16 * 65535^2 * 10^6 < 2^56 do not overlap.
    function withSample(uint256 word, uint256 price_, uint256 hour_, uint256 phase_, uint256 variance_)
        internal
        pure
        returns (uint256)
    {
        return (word & ~SAMPLE) | price_ | (hour_ << HOUR_BIT) | (phase_ << PHASE_BIT) | (variance_ << VARIANCE_BIT);
    }

    /// @notice The same before the rounds of another source: the next may be of any phase.
    function withoutPhase(uint256 word) internal pure returns (uint256) {
        return word & ~(uint256(0xffff) << PHASE_BIT);
    }

    /// @notice Has maintenance start from `gauge` (16 bits) at `time` (32 bits).
    function withStart(uint256 word, uint256 gauge, uint256 time) internal pure returns (uint256) {
        return (word & SAMPLE) | (gauge << FROM_BIT) | (time << SINCE_BIT);
    }

    /// @notice The variance of an underlying that moves as its reference says (at most 16 bits).
    function expected(uint256 usual) internal pure returns (uint256) {
        // 32 bits times 20.
        unchecked {
            return usual * usual * SQUARE_UNIT;
        }
    }

    /// @notice The variance after an hour's move from one price to another, both below 2^94 and the first not zero.
    function varianceAfter(uint256 variance_, uint256 from, uint256 to, uint256 usual) internal pure returns (uint256) {
        uint256 expected_ = expected(usual);
        // 188 bits times 60; variances below 2^58 times 14 bits.
        unchecked {
            uint256 move = from < to ? to - from : from - to;
            uint256 squared = PriceMath.min(move * move * 1e18 / (from * from), OUTLIER * variance_);
            uint256 next = PriceMath.ceilDiv(KEEP * variance_ + (BPS - KEEP) * squared, BPS);
            next = PriceMath.min(16 * expected_, next);
            uint256 least = 36 * expected_ / 100;
            return next < least ? least : next;
        }
    }

    /// @notice The gauge of initial margin, bps, rounded up.
    function gaugeUp(uint256 variance_, uint256 usual) internal pure returns (uint256) {
        // A root of 58 + 60 bits, times 14; a reference of 16 bits times 40, above one.
        uint256 gauge = PriceMath.ceilDiv(Math.sqrt(variance_ * 1e18) * BPS, usual * REFERENCE_UNIT);
        return gauge < LEAST ? LEAST : PriceMath.min(GREATEST, gauge);
    }
}
