// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BPS} from "./Constants.sol";
import {PriceMath} from "./PriceMath.sol";

/// @dev How long a market discount beyond its bound must be seen until maintenance follows the market entirely.
uint256 constant RATE_RAMP = 3 days;

/// @notice What two sources say of a yield token now.
struct RateReading {
    /// Redemption rate, and whether it is usable.
    uint256 redemption;
    bool redeems;
    /// Market rate, and whether it is usable. Without a market feed: not configured, not usable.
    uint256 market;
    bool trades;
    bool hasMarket;
}

/// @notice What follows from a reading and the last observation (docs/margin.md, 9).
struct RateState {
    uint256 rate;
    uint256 market;
    uint256 credit;
    /// Maintenance and initial rate.
    uint256 maintenanceRate;
    uint256 initialRate;
    /// Whether new credit stops.
    bool doubtful;
}

/// @title What was last seen of a yield token's rates, one slot
/// @dev ceiling base 68 | rate 68 | market 68 | credit 18 seconds | time 32 | seen 1, lowest first.
library RateObservations {
    uint256 private constant MASK_68 = (1 << 68) - 1;
    uint256 private constant YEAR = 31_536_000;

    /// @dev Rates below 2^68, a credit of at most 259,200 and a time below 2^32 do not overlap.
    function pack(uint256 base_, uint256 rate_, uint256 market_, uint256 credit_, uint256 time_, bool seen_)
        internal
        pure
        returns (uint256)
    {
        uint256 flag = seen_ ? 1 << 254 : 0;
        return base_ | (rate_ << 68) | (market_ << 136) | (credit_ << 204) | (time_ << 222) | flag;
    }

    function base(uint256 word) internal pure returns (uint256) {
        return word & MASK_68;
    }

    function rate(uint256 word) internal pure returns (uint256) {
        return (word >> 68) & MASK_68;
    }

    function market(uint256 word) internal pure returns (uint256) {
        return (word >> 136) & MASK_68;
    }

    function credit(uint256 word) internal pure returns (uint256) {
        return (word >> 204) & 0x3ffff;
    }

    function time(uint256 word) internal pure returns (uint256) {
        return (word >> 222) & 0xffffffff;
    }

    function seen(uint256 word) internal pure returns (bool) {
        return word >> 254 == 1;
    }

    /// @notice The rates that count `age` seconds after the observation.
    /// @param growth Growth cap, bps a year. @param bound Discount bound, bps.
    function state(uint256 word, RateReading memory reading, uint256 growth, uint256 bound, uint256 age)
        internal
        pure
        returns (RateState memory next)
    {
        uint256 ceiling = base(word) + growthDown(word, growth, age);
        next.rate = reading.redeems ? PriceMath.min(reading.redemption, ceiling) : rate(word);
        next.market = !reading.hasMarket ? next.rate : reading.trades ? reading.market : market(word);
        next.credit = _credit(word, bound, age);
        next.initialRate = PriceMath.min(next.rate, next.market);
        // credit <= RATE_RAMP: what is taken off is at most the gap.
        uint256 cut = PriceMath.ceilDiv((next.rate - next.initialRate) * next.credit, RATE_RAMP);
        next.maintenanceRate = next.rate - cut;
        next.doubtful =
            !reading.redeems || (reading.hasMarket && (!reading.trades || _beyond(next.rate, next.market, bound)));
    }

    /// @notice The observation that replaces `word`.
    function successor(
        uint256 word,
        RateReading memory reading,
        RateState memory next,
        uint256 growth,
        uint256 age,
        uint256 now_
    ) internal pure returns (uint256) {
        uint256 grown = growthDown(word, growth, age);
        uint256 base_ = base(word);
        uint256 highest = PriceMath.min(base_ + grown, MASK_68);
        if (reading.redeems) {
            uint256 lowest = base_ - PriceMath.min(base_, grown);
            base_ = PriceMath.min(highest, reading.redemption);
            if (base_ < lowest) base_ = lowest;
        } else {
            base_ = highest;
        }
        return pack(base_, next.rate, next.market, next.credit, now_, reading.trades);
    }

    /// @notice How far the ceiling has moved, rounded down: 68 + 16 + 32 bits do not overflow.
    function growthDown(uint256 word, uint256 growth, uint256 age) internal pure returns (uint256) {
        return base(word) * growth * age / (BPS * YEAR);
    }

    /// @dev An interval is credited to the observation at its start.
    function _credit(uint256 word, uint256 bound, uint256 age) private pure returns (uint256) {
        uint256 step = seen(word) ? PriceMath.min(age, PriceMath.CREDIT) : 0;
        uint256 credit_ = credit(word);
        if (_beyond(rate(word), market(word), bound)) return PriceMath.min(RATE_RAMP, credit_ + step);
        return credit_ - PriceMath.min(credit_, step);
    }

    function _beyond(uint256 rate_, uint256 market_, uint256 bound) private pure returns (bool) {
        return market_ * BPS < rate_ * (BPS - bound);
    }
}
