// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Instrument} from "../../interfaces/Types.sol";

/// @title An instrument id: kind 2 | underlying 9 | expiry day 12 | strike mantissa 20 | strike exponent 4 | put 1
library Instruments {
    uint256 internal constant PERPETUAL = 1;
    uint256 internal constant FUTURE = 2;
    uint256 internal constant OPTION = 3;

    uint256 private constant UNDERLYING_BIT = 37;
    uint256 private constant KIND_BIT = 46;

    /// @dev The caller has bounded `underlying_` below 2^9, so that kind and underlying do not overlap.
    function perpetual(uint16 underlying_) internal pure returns (Instrument) {
        // 1 << 46 | (2^9 - 1) << 37 < 2^48.
        return Instrument.wrap(uint48((PERPETUAL << KIND_BIT) | (uint256(underlying_) << UNDERLYING_BIT)));
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

    function equals(Instrument a, Instrument b) internal pure returns (bool) {
        return Instrument.unwrap(a) == Instrument.unwrap(b);
    }
}
