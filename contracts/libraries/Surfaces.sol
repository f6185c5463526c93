// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {SurfaceSlice} from "../../interfaces/IReportOracle.sol";
import {PriceMath} from "./PriceMath.sol";

/// @title A slice of a surface, one slot: docs/options.md, section 2
/// @dev a int 40 | b 45 | rho int 21 | m int 25 | sigma 24 | forward 32 | time of the observation 32, lowest first.
library Surfaces {
    uint256 private constant B_BIT = 40;
    uint256 private constant RHO_BIT = 85;
    uint256 private constant M_BIT = 106;
    uint256 private constant SIGMA_BIT = 131;
    uint256 private constant FORWARD_BIT = 155;
    uint256 private constant OBSERVED_BIT = 187;

    /// @dev The caller has checked the bounds of the slice: every field fits its place. Times have 32 bits.
    function pack(SurfaceSlice memory slice, uint256 observedAt_) internal pure returns (uint256) {
        // Two's complement, cut to the width of the field.
        uint256 a = uint256(slice.a) & ((1 << 40) - 1);
        uint256 rho = (uint256(slice.rho) & ((1 << 21) - 1)) << RHO_BIT;
        uint256 m = (uint256(slice.m) & ((1 << 25) - 1)) << M_BIT;
        return a | (slice.b << B_BIT) | rho | m | (slice.sigma << SIGMA_BIT) | (slice.forward << FORWARD_BIT)
            | (observedAt_ << OBSERVED_BIT);
    }

    function unpack(uint256 slot, uint16 expiryDay) internal pure returns (SurfaceSlice memory) {
        return SurfaceSlice({
            expiryDay: expiryDay,
            forward: forward(slot),
            a: _signed(slot, 0, 40),
            b: (slot >> B_BIT) & ((1 << 45) - 1),
            rho: _signed(slot, RHO_BIT, 21),
            m: _signed(slot, M_BIT, 25),
            sigma: (slot >> SIGMA_BIT) & ((1 << 24) - 1)
        });
    }

    /// @dev Zero when the slice was never reported.
    function observedAt(uint256 slot) internal pure returns (uint256) {
        return (slot >> OBSERVED_BIT) & 0xffffffff;
    }

    /// @dev Multiple of the index price when it was observed, 9 decimals.
    function forward(uint256 slot) internal pure returns (uint256) {
        return (slot >> FORWARD_BIT) & 0xffffffff;
    }

    /// @dev Annual variance at a log-moneyness, not clipped; both with 18 decimals.
    function varianceAt(uint256 slot, int256 kappa) internal pure returns (int256) {
        // b < 2^45 times less than 2^67, and nothing else comes near.
        unchecked {
            int256 z = kappa - _signed(slot, M_BIT, 25) * 1e12;
            uint256 s = ((slot >> SIGMA_BIT) & ((1 << 24) - 1)) * 1e12;
            int256 root = int256(FixedPointMathLib.sqrt(uint256(z * z) + s * s));
            int256 lean = PriceMath.floorDiv(_signed(slot, RHO_BIT, 21) * z, 1e6);
            int256 b = int256((slot >> B_BIT) & ((1 << 45) - 1));
            return _signed(slot, 0, 40) * 1e9 + PriceMath.floorDiv(b * (lean + root), 1e9);
        }
    }

    /// @dev A field in two's complement.
    function _signed(uint256 slot, uint256 bit, uint256 width) private pure returns (int256) {
        // Brought to the highest bits and back, arithmetically: widths and places sum to at most 256.
        unchecked {
            return int256(slot << (256 - width - bit)) >> (256 - width);
        }
    }
}
