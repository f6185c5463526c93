// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BPS, WAD} from "./Constants.sol";
import {PriceMath} from "./PriceMath.sol";

/// @dev Interest is booked for at most so long at once.
uint256 constant YEAR = 365 days;

/// @title What borrowed cash costs: docs/ledger.md, section 1
/// @dev The terms are the word LENDING as `Params` lays it out: kink 7 percent, rate at the kink 13, rate at full
/// utilisation 13 (tenths of a percent a year), share of the reserves 7 percent. Its bounds are the engine's.
library Lending {
    /// @dev Tenths of a percent in one.
    uint256 private constant RATE_SCALE = 1000;

    function kink(uint256 terms) internal pure returns (uint256) {
        return terms & 0x7f;
    }

    function rateAtKink(uint256 terms) internal pure returns (uint256) {
        return (terms >> 7) & 0x1fff;
    }

    function rateAtFull(uint256 terms) internal pure returns (uint256) {
        return (terms >> 20) & 0x1fff;
    }

    function reserveShare(uint256 terms) internal pure returns (uint256) {
        return (terms >> 33) & 0x7f;
    }

    /// @notice What share of the supply is lent or owed, bps, rounded up; everything where nothing is supplied.
    function utilisation(uint256 supplied, uint256 lent) internal pure returns (uint256) {
        return supplied == 0 ? BPS : PriceMath.min(BPS, PriceMath.ceilDiv(lent * BPS, supplied));
    }

    /// @notice The yearly rate at a utilisation in bps: tenths of a percent, rounded up.
    function rateUp(uint256 terms, uint256 used) internal pure returns (uint256) {
        uint256 bend = kink(terms) * (BPS / 100);
        uint256 low = rateAtKink(terms);
        if (used <= bend) return PriceMath.ceilDiv(low * used, bend);
        return low + PriceMath.ceilDiv((rateAtFull(terms) - low) * (used - bend), BPS - bend);
    }

    /// @notice What a debt grows by in so many seconds, 18 decimals: the first terms of the exponential.
    function growth(uint256 rate, uint256 elapsed) internal pure returns (uint256) {
        // A rate is at most that at full utilisation, of 13 bits: x is below 2^63 and its cube below 2^189.
        unchecked {
            uint256 x = rate * PriceMath.min(elapsed, YEAR) * WAD / (RATE_SCALE * YEAR);
            return x + x * x / (2 * WAD) + x * x * x / (6 * WAD * WAD);
        }
    }
}
