// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BPS} from "./Constants.sol";

/// @dev How long maintenance margin takes to reach a new word.
uint256 constant RAMP = 3 days;

/// @title Layouts of the parameter words, lowest bits first
/// @dev Every risk field is encoded so that bigger is tighter. A field marked "complement" is stored as
/// `2^width - 1 - value`, so that a smaller limit is a bigger code.
///
/// GLOBAL         initialFactor 16 bps, bandCeiling 14 bps, stressShare 16 bps complement,
///                winnersCap 32 dollars complement, payoutCap 32 dollars complement, dust 16 dollars,
///                pegBound 14 bps complement
/// UNDERLYING     range 14 bps, window 10 hundredths of a state, closing 10 bps,
///                concentration 14 in 10^-11 per dollar, band 10 bps
/// ASSET          tier1 32 dollars complement, tier2 32 dollars complement, haircut1 14 bps, haircut2 14 bps,
///                haircut3 14 bps, basis 12 bps, cap 40 dollars complement, growth per hour 40 dollars complement
/// MARKET         takerFee 14 millionths, makerFee 14 millionths, openInterestCap 40 dollars complement,
///                stressJump 14 bps, closed 1
/// FUNDING        cap 14 millionths of the price an hour, complement; no word is a cap of zero
/// SOURCE         address 160, kind 2, decimals 5, maxAge 17 seconds, floor 7, ceiling 7
///                (hard bounds: 2^floor <= price < 2^ceiling, price with 18 decimals)
/// SECOND_SOURCE  as SOURCE, then deviation 12 bps
/// PYTH_ID, SECOND_PYTH_ID   the Pyth price id
/// TOKEN          address 160, underlying 16, decimals 8
/// RATE_SOURCE    address 160, kind 2 (1 ERC-4626 convertToAssets, 2 stEthPerToken), asset decimals 8,
///                growth cap 16 bps a year
/// RATE_MARKET    address 160, decimals 5, maxAge 17 seconds, discount bound 12 bps
/// SEQUENCER      address 160, grace 32 seconds
/// FROZEN_PRICE   dollars with 18 decimals
/// LENDING        kink 7 percent, rate at the kink 13, rate at full utilisation 13 (both tenths of a percent a year),
///                share of the reserves 7 percent
/// OUTFLOW        limit 40 whole tokens an hour, complement; its largest value, which is the word 0, is no limit
/// VOLATILITY     reference 16 hundredths of a bps: the standard deviation of an hour's return at a gauge of 1
/// REPORTS        address 160
/// SYMBOL         1 to 31 bytes of printable ASCII from the highest byte, then zeros
/// OPTIONS        volShift 14 bps, termForward 12 bps a root year, termVol 14 bps, optionClosing 10 bps,
///                digits 3 complement, horizon 11 days complement, dailies 5 days complement
library Params {
    /// @dev Widths of the words that share a slot with others.
    uint256 internal constant ASSET_BITS = 198;
    uint256 internal constant UNDERLYING_BITS = 58;
    uint256 internal constant SOURCE_BITS = 198;
    uint256 internal constant GLOBAL_BITS = 140;

    uint256 private constant NATURAL_14 = (1 << 14) - 1;
    uint256 private constant NATURAL_10 = (1 << 10) - 1;

    /// @dev Widths of the fields, one byte each from the lowest, zero after the last.
    uint256 internal constant UNDERLYING_WIDTHS = 0x0a_0e_0a_0a_0e;
    uint256 internal constant ASSET_WIDTHS = 0x28_28_0c_0e_0e_0e_20_20;

    /// @dev The word `elapsed` seconds into a ramp, field by field, rounded down.
    function interpolate(uint256 widths, uint256 from, uint256 to, uint256 elapsed)
        internal
        pure
        returns (uint256 word)
    {
        if (elapsed >= RAMP || from == to) return to;
        // A field has at most 40 bits and RAMP 18: no sum overflows, and a mean of two codes fits their width.
        unchecked {
            uint256 shift;
            for (; widths != 0; widths >>= 8) {
                uint256 width = widths & 0xff;
                uint256 sum = _field(from, shift, width) * (RAMP - elapsed) + _field(to, shift, width) * elapsed;
                word |= (sum / RAMP) << shift;
                shift += width;
            }
        }
    }

    function interpolateUnderlying(uint256 from, uint256 to, uint256 elapsed) internal pure returns (uint256) {
        return interpolate(UNDERLYING_WIDTHS, from, to, elapsed);
    }

    function interpolateAsset(uint256 from, uint256 to, uint256 elapsed) internal pure returns (uint256) {
        return interpolate(ASSET_WIDTHS, from, to, elapsed);
    }

    /// @dev Widths are at most 160, so the mask does not overflow.
    function _field(uint256 word, uint256 shift, uint256 width) private pure returns (uint256) {
        unchecked {
            return (word >> shift) & ((1 << width) - 1);
        }
    }

    function range(uint256 risk) internal pure returns (uint256) {
        return risk & NATURAL_14;
    }

    function window(uint256 risk) internal pure returns (uint256) {
        return (risk >> 14) & NATURAL_10;
    }

    /// @notice An UNDERLYING word with the volatility gauge above it, bps: the terms of an underlying at one level.
    /// @dev The word has 58 bits, the gauge 16.
    function withGauge(uint256 risk, uint256 gauge) internal pure returns (uint256) {
        return risk | (gauge << UNDERLYING_BITS);
    }

    /// @notice The scan range of terms at their gauge, bps, rounded up.
    function reachUp(uint256 terms) internal pure returns (uint256) {
        // 14 bits times 16.
        unchecked {
            return (range(terms) * (terms >> UNDERLYING_BITS) + (BPS - 1)) / BPS;
        }
    }

    function closing(uint256 risk) internal pure returns (uint256) {
        return (risk >> 24) & NATURAL_10;
    }

    function concentration(uint256 risk) internal pure returns (uint256) {
        return (risk >> 34) & NATURAL_14;
    }

    function band(uint256 risk) internal pure returns (uint256) {
        return (risk >> 48) & NATURAL_10;
    }

    /// @dev Tiers in dollars with 18 decimals: a complement of 32 bits times 10^18 is below 2^92.
    function tier1(uint256 asset) internal pure returns (uint256) {
        unchecked {
            return (~asset & 0xffffffff) * 1e18;
        }
    }

    function tier2(uint256 asset) internal pure returns (uint256) {
        unchecked {
            return (~(asset >> 32) & 0xffffffff) * 1e18;
        }
    }

    function haircut1(uint256 asset) internal pure returns (uint256) {
        return (asset >> 64) & NATURAL_14;
    }

    function haircut2(uint256 asset) internal pure returns (uint256) {
        return (asset >> 78) & NATURAL_14;
    }

    function haircut3(uint256 asset) internal pure returns (uint256) {
        return (asset >> 92) & NATURAL_14;
    }

    function basis(uint256 asset) internal pure returns (uint256) {
        return (asset >> 106) & 0xfff;
    }

    /// @dev The cap and the most that may be added within an hour, in dollars.
    function caps(uint256 asset) internal pure returns (uint256 cap, uint256 growth) {
        return (~(asset >> 118) & 0xffffffffff, ~(asset >> 158) & 0xffffffffff);
    }

    function initialFactor(uint256 global) internal pure returns (uint256) {
        return global & 0xffff;
    }

    function bandCeiling(uint256 global) internal pure returns (uint256) {
        return (global >> 16) & NATURAL_14;
    }

    function volShift(uint256 options) internal pure returns (uint256) {
        return options & NATURAL_14;
    }

    function termForward(uint256 options) internal pure returns (uint256) {
        return (options >> 14) & 0xfff;
    }

    function termVol(uint256 options) internal pure returns (uint256) {
        return (options >> 26) & NATURAL_14;
    }

    function optionClosing(uint256 options) internal pure returns (uint256) {
        return (options >> 40) & NATURAL_10;
    }

    /// @dev The most significant digits of a strike.
    function digits(uint256 options) internal pure returns (uint256) {
        return ~(options >> 50) & 7;
    }

    /// @dev Days ahead within which an instrument may be opened; and within which any weekday will do.
    function horizons(uint256 options) internal pure returns (uint256 horizon, uint256 dailies) {
        return (~(options >> 53) & 0x7ff, ~(options >> 64) & 0x1f);
    }

    /// @notice Whether a MARKET word lets nobody add risk.
    function isClosed(uint256 market) internal pure returns (bool) {
        return market >> 82 == 1;
    }

    function fundingCap(uint256 funding) internal pure returns (uint256) {
        return funding == 0 ? 0 : ~funding & NATURAL_14;
    }
}
