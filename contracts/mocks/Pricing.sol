// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {Black76} from "../libraries/Black76.sol";
import {Normal} from "../libraries/Normal.sol";

/// @title Prices of options, and what they are made of, one call each way
contract Pricing {
    address private immutable TABLE;

    constructor(address table) {
        TABLE = table;
    }

    function logarithm(uint256 x) external pure returns (int256) {
        return FixedPointMathLib.lnWad(int256(x));
    }

    function cubeRoot(uint256 x) external pure returns (uint256) {
        return FixedPointMathLib.cbrt(x);
    }

    function squareRoot(uint256 x) external pure returns (uint256) {
        return FixedPointMathLib.sqrt(x);
    }

    /// @notice Below the distances, in full, from memory and from code; and the density there.
    function normal(int256[] calldata distances)
        external
        view
        returns (uint256[] memory below, uint256[] memory alone, uint256[] memory density)
    {
        uint256 table = Normal.load(TABLE);
        below = new uint256[](distances.length);
        alone = new uint256[](distances.length);
        density = new uint256[](distances.length);
        for (uint256 i; i < distances.length; ++i) {
            below[i] = Normal.cumulative(table, distances[i]);
            alone[i] = Normal.cumulativeAt(TABLE, distances[i]);
            density[i] = Normal.densityAt(TABLE, distances[i]);
        }
    }

    struct Call {
        uint256 forward;
        uint256 strike;
        int256 y;
        uint256 sd;
    }

    /// @notice Prices and first probabilities from memory; they revert unless they are the same from code.
    function prices(Call[] calldata calls) external view returns (uint256[2][] memory told) {
        uint256 table = Normal.load(TABLE);
        told = new uint256[2][](calls.length);
        for (uint256 i; i < calls.length; ++i) {
            Call calldata c = calls[i];
            (told[i][0], told[i][1]) = Black76.call(table, c.forward, c.strike, c.y, c.sd);
            (uint256 price, uint256 n1) = Black76.callAt(TABLE, c.forward, c.strike, c.y, c.sd);
            assert(price == told[i][0] && n1 == told[i][1]);
        }
    }

    function densities(Call[] calldata calls) external view returns (uint256[] memory told) {
        told = new uint256[](calls.length);
        for (uint256 i; i < calls.length; ++i) {
            told[i] = Black76.densityAt(TABLE, calls[i].y, calls[i].sd);
        }
    }

    /// @notice The strike's words, the sums and the gas, after adding the states to sums that were there.
    function states(uint256[10] memory strike, uint256[24] memory pairs, uint256[34] memory sums)
        external
        view
        returns (uint256[10] memory, uint256[34] memory, uint256 gas_)
    {
        uint256 table = Normal.load(TABLE);
        (uint256 strike_, uint256 pairs_, uint256 sums_) = (_place(strike), _pairs(pairs), _sums(sums));
        gas_ = gasleft();
        Black76.addStates(table, strike_, pairs_, sums_);
        gas_ -= gasleft();
        return (strike, sums, gas_);
    }

    // Where they lie in memory.

    function _place(uint256[10] memory words) private pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := words
        }
    }

    function _pairs(uint256[24] memory words) private pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := words
        }
    }

    function _sums(uint256[34] memory words) private pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := words
        }
    }
}
