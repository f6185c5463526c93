// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Margin} from "../../interfaces/Types.sol";

/// @title The ratio rule below initial margin: docs/margin.md, section 6
library Ratio {
    /// @notice Whether the account ends solvent and no level got worse, at the same prices.
    /// @dev Insolvency leaves by a deposit or an auction only: who closes against an insolvent account would turn a
    /// gain that its debt does not cover into cash, at a price that nothing but this transaction has seen.
    function isKept(Margin memory before_, Margin memory after_) internal pure returns (bool) {
        return after_.equity >= 0
            && isLevelKept(before_.initialEquity, before_.initialMargin, after_.initialEquity, after_.initialMargin)
            && isLevelKept(before_.equity, before_.maintenanceMargin, after_.equity, after_.maintenanceMargin);
    }

    /// @notice One level: the ratio of equity to requirement may not fall, and what is required on top is brought in
    /// full. From negative equity, where a ratio says nothing, neither side may get worse.
    /// @dev The second condition binds where the ratio alone would scale what is brought by the inverse of a small
    /// ratio: an account without equity could take any risk.
    function isLevelKept(int256 equity, uint256 required, int256 equityAfter, uint256 requiredAfter)
        internal
        pure
        returns (bool)
    {
        if (equity < 0) return equityAfter >= equity && requiredAfter <= required;
        if (equityAfter < 0) return false;
        // Neither conversion changes the value: both equities are at least zero.
        (uint256 had, uint256 has) = (uint256(equity), uint256(equityAfter));
        // Equities and margins are below 2^240 (docs/margin.md, section 8), so neither sum overflows.
        bool isPaidFor = requiredAfter <= required || has + required >= had + requiredAfter;
        return isPaidFor && isProductAtLeast(has, required, had, requiredAfter);
    }

    /// @notice Whether `a * b >= c * d`, exactly, in 512 bits.
    function isProductAtLeast(uint256 a, uint256 b, uint256 c, uint256 d) internal pure returns (bool) {
        (uint256 high, uint256 low) = Math.mul512(a, b);
        (uint256 otherHigh, uint256 otherLow) = Math.mul512(c, d);
        return high > otherHigh || (high == otherHigh && low >= otherLow);
    }
}
