// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PriceMath} from "./PriceMath.sol";

/// @dev How long a report moves the funding index, seconds.
uint256 constant VALIDITY = 7_200;

/// @title The funding of a perpetual, one slot: docs/ledger.md, section 2
/// @dev time 32 | rate 96 signed | lag 16 | index 112 signed, lowest first: since `time` the index moves by `rate`
/// dollars per unit and hour from `index`, both with 18 decimals; the report was `lag` seconds old then.
library Fundings {
    /// @dev What of the price an hour a premium asks for: an eighth, so that it is paid within a working day.
    int256 private constant HOURS = 8;
    /// @dev The cap counts millionths: 10^12 of 10^18.
    uint256 private constant CAP_UNIT = 1e12;
    uint256 private constant MASK_96 = (1 << 96) - 1;

    /// @dev A time of 32 bits (to the year 2106), a lag of 16; rate and index are cut to their places by the caller's
    /// proof.
    function pack(uint256 time_, int256 rate_, uint256 lag, int256 index_) internal pure returns (uint256) {
        return time_ | ((uint256(rate_) & MASK_96) << 32) | (lag << 128) | (uint256(index_) << 144);
    }

    function time(uint256 word) internal pure returns (uint256) {
        return word & 0xffffffff;
    }

    function rate(uint256 word) internal pure returns (int256) {
        // Bits 32 to 127, sign-extended by the arithmetic shift.
        return int256(word << 128) >> 160;
    }

    /// @notice When the premium in force was seen; zero before the first.
    function observedAt(uint256 word) internal pure returns (uint256) {
        // A report is never older than the epoch.
        unchecked {
            return time(word) - ((word >> 128) & 0xffff);
        }
    }

    /// @notice The cumulative funding at `now_`, rounded down.
    function indexAt(uint256 word, uint256 now_) internal pure returns (int256) {
        // 96 bits of rate times 13 of time, beside an index of 112: no overflow. A report is never from the future.
        unchecked {
            uint256 elapsed = PriceMath.min(now_ - time(word), VALIDITY);
            return (int256(word) >> 144) + PriceMath.floorDiv(rate(word) * int256(elapsed), 3_600);
        }
    }

    /// @notice Dollars per unit and hour, rounded towards zero, that a premium asks for at the price `last`, below
    /// 2^94. @param cap Millionths of the price an hour, at most 10,000: the rate is below 2^88.
    function rateOf(int256 premium, uint256 cap, uint256 last) internal pure returns (int256) {
        int256 most = int256(cap * CAP_UNIT);
        int256 perHour = premium / HOURS;
        if (perHour > most) perHour = most;
        if (perHour < -most) perHour = -most;
        return perHour * int256(last) / 1e18;
    }
}
