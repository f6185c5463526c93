// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @dev The rates at which an asset counts, in one word, as they are fixed for a transaction: units of the underlying
/// per whole token with 18 decimals in maintenance 68 | in initial margin 68 | whether new credit stops 1 | a bit that
/// is always set, lowest first.
type Rates is uint256;

/// @dev The rates of a plain token.
Rates constant PAR = Rates.wrap(1e18 | (1e18 << 68) | (2 << 136));

/// @title Rates, packed
library RatePairs {
    uint256 private constant MASK_68 = (1 << 68) - 1;

    /// @dev Two rates below 2^68 do not overlap.
    function pack(uint256 maintenance_, uint256 initial_, bool stopsCredit_) internal pure returns (Rates) {
        return Rates.wrap(maintenance_ | (initial_ << 68) | (uint256(stopsCredit_ ? 3 : 2) << 136));
    }

    function maintenance(Rates rates) internal pure returns (uint256) {
        return Rates.unwrap(rates) & MASK_68;
    }

    function initial(Rates rates) internal pure returns (uint256) {
        return (Rates.unwrap(rates) >> 68) & MASK_68;
    }

    function stopsCredit(Rates rates) internal pure returns (bool) {
        return (Rates.unwrap(rates) >> 136) & 1 == 1;
    }
}
