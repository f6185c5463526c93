// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @dev Dollars, prices, sizes and units of an underlying.
uint256 constant WAD = 1e18;
/// @dev Rates in basis points.
uint256 constant BPS = 10_000;
/// @dev Rates of yield tokens stay below 2^68, units of one holding below 2^104; prices below 2^94.
uint256 constant RATE_LIMIT = 1 << 68;
uint256 constant UNITS_LIMIT = 1 << 104;
