// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Instrument} from "../../interfaces/Types.sol";

/// @title An instrument id: kind 2 | underlying 9 | expiry day 12 | strike mantissa 20 | strike exponent 4 | put 1
/// @dev docs/options.md, section 1. Only what `isCanonical` names can be traded: every reader below takes any id.
library Instruments {
    uint256 internal constant PERPETUAL = 1;
    uint256 internal constant FUTURE = 2;
    uint256 internal constant OPTION = 3;

    uint256 private constant EXPONENT_BIT = 1;
    uint256 private constant MANTISSA_BIT = 5;
    uint256 private constant DAY_BIT = 25;
    uint256 private constant UNDERLYING_BIT = 37;
    uint256 private constant KIND_BIT = 46;

    uint256 internal constant LAST_DAY = 4_095;
    uint256 private constant MAX_EXPONENT = 15;
    /// @dev Expiry of day 0: 1 January 2025, 08:00 UTC.
    uint256 private constant FIRST_EXPIRY = 20_089 days + 8 hours;
    /// @dev Of 18 decimals, the first that a strike of exponent 0 counts: 10^-10 dollars.
    uint256 private constant STRIKE_DECIMALS = 8;

    /// @dev The caller has bounded `underlying_` below 2^9, so that kind and underlying do not overlap.
    function perpetual(uint16 underlying_) internal pure returns (Instrument) {
        // 1 << 46 | (2^9 - 1) << 37 < 2^48.
        return Instrument.wrap(uint48((PERPETUAL << KIND_BIT) | (uint256(underlying_) << UNDERLYING_BIT)));
    }

    /// @dev The caller has bounded `underlying_` below 2^9 and `day` below 2^12.
    function future(uint16 underlying_, uint256 day) internal pure returns (Instrument) {
        // 2 << 46 | (2^9 - 1) << 37 | (2^12 - 1) << 25 < 2^48.
        return
            Instrument.wrap(uint48((FUTURE << KIND_BIT) | (uint256(underlying_) << UNDERLYING_BIT) | (day << DAY_BIT)));
    }

    /// @dev As of `future`, with `mantissa` below 2^20 and `exponent` below 2^4.
    function option(uint16 underlying_, uint256 day, uint256 mantissa, uint256 exponent, bool put)
        internal
        pure
        returns (Instrument)
    {
        uint256 strike_ = (mantissa << MANTISSA_BIT) | (exponent << EXPONENT_BIT) | (put ? 1 : 0);
        // 3 << 46 and every field below it: 48 bits.
        return Instrument.wrap(
            uint48((OPTION << KIND_BIT) | (uint256(underlying_) << UNDERLYING_BIT) | (day << DAY_BIT) | strike_)
        );
    }

    function kind(Instrument instrument) internal pure returns (uint256) {
        return Instrument.unwrap(instrument) >> KIND_BIT;
    }

    function underlying(Instrument instrument) internal pure returns (uint16) {
        // Nine bits fit 16.
        return uint16((Instrument.unwrap(instrument) >> UNDERLYING_BIT) & 0x1ff);
    }

    /// @dev A perpetual of underlying 1 to 255 with zeros below its underlying: the one spelling of each market.
    function isPerpetual(Instrument instrument) internal pure returns (bool) {
        uint256 id = Instrument.unwrap(instrument);
        // Kind and underlying together are 513 to 767; a smaller number wraps to one beyond 255.
        unchecked {
            uint256 market = (id >> UNDERLYING_BIT) - (PERPETUAL << (KIND_BIT - UNDERLYING_BIT)) - 1;
            // The quotient is zero below 255.
            return (market / 255) | (id & ((1 << UNDERLYING_BIT) - 1)) == 0;
        }
    }

    /// @dev A future or an option, in whatever spelling.
    function isDated(Instrument instrument) internal pure returns (bool) {
        return kind(instrument) >= FUTURE;
    }

    /// @dev The one spelling of a perpetual, a future or an option of underlying 1 to 255. A strike's zeros stand in
    /// its exponent as far as that reaches.
    function isCanonical(Instrument instrument) internal pure returns (bool) {
        if (!isDated(instrument)) return isPerpetual(instrument);
        uint256 id = Instrument.unwrap(instrument);
        // Zero less one wraps to a number beyond 254.
        unchecked {
            if (((id >> UNDERLYING_BIT) & 0x1ff) - 1 > 254) return false;
        }
        // A future has neither strike nor side.
        if (kind(instrument) == FUTURE) return id & ((1 << DAY_BIT) - 1) == 0;
        uint256 mantissa = strikeMantissa(instrument);
        if (mantissa % 10 != 0) return true;
        return mantissa != 0 && strikeExponent(instrument) == MAX_EXPONENT;
    }

    /// @dev Days since 1 January 2025.
    function expiryDay(Instrument instrument) internal pure returns (uint16) {
        // Twelve bits fit 16.
        return uint16((Instrument.unwrap(instrument) >> DAY_BIT) & 0xfff);
    }

    /// @return Seconds: 08:00 UTC of the expiry day.
    function expiry(Instrument instrument) internal pure returns (uint256) {
        return expiryOf(expiryDay(instrument));
    }

    function hasExpired(Instrument instrument) internal view returns (bool) {
        return isDated(instrument) && block.timestamp >= expiry(instrument);
    }

    /// @param day Below 2^12.
    function expiryOf(uint256 day) internal pure returns (uint256) {
        // 2^12 days beyond a constant of 31 bits.
        unchecked {
            return FIRST_EXPIRY + day * 1 days;
        }
    }

    function strikeMantissa(Instrument instrument) internal pure returns (uint256) {
        return (Instrument.unwrap(instrument) >> MANTISSA_BIT) & 0xfffff;
    }

    function strikeExponent(Instrument instrument) internal pure returns (uint256) {
        return (Instrument.unwrap(instrument) >> EXPONENT_BIT) & 0xf;
    }

    /// @return Dollars with 18 decimals, below 2^97.
    function strike(Instrument instrument) internal pure returns (uint256) {
        // 2^20 * 10^23 < 2^97.
        unchecked {
            return strikeMantissa(instrument) * 10 ** (strikeExponent(instrument) + STRIKE_DECIMALS);
        }
    }

    function isPut(Instrument instrument) internal pure returns (bool) {
        return Instrument.unwrap(instrument) & 1 == 1;
    }

    /// @dev What call and put of one strike and expiry share, and nothing else shares with them.
    function strikeKey(Instrument instrument) internal pure returns (uint256) {
        return Instrument.unwrap(instrument) >> 1;
    }

    /// @dev Underlying 9 | expiry day 12: what all instruments of an expiry share, and the key of its surface.
    function expiryKey(Instrument instrument) internal pure returns (uint256) {
        return (Instrument.unwrap(instrument) >> DAY_BIT) & 0x1fffff;
    }

    function equals(Instrument a, Instrument b) internal pure returns (bool) {
        return Instrument.unwrap(a) == Instrument.unwrap(b);
    }
}
