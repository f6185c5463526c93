// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILedger} from "../../interfaces/ILedger.sol";

/// @title How much of an asset may leave within an hour: docs/ledger.md, section 4
/// @dev The word is OUTFLOW as `Params` lays it out: whole tokens, complement of 40 bits. The word 0 is no limit.
library Outflows {
    uint256 internal constant WINDOW = 1 hours;

    uint256 private constant MAX_UINT40 = type(uint40).max;
    /// @dev An amount of at most so small a part of the limit is small.
    uint256 private constant SMALL_PART = 1000;

    /// @param unit One whole token in the units that the outflow is counted in, below 2^128.
    /// @return The maximum where there is no limit.
    function limitOf(uint256 word, uint256 unit) internal pure returns (uint256) {
        return word == 0 ? type(uint256).max : (~word & MAX_UINT40) * unit;
    }

    /// @notice Reverts when the hour's outflow, which counts `amount` already, is beyond what is bearable.
    function requireWithin(uint16 asset, uint256 amount, uint256 outflow, uint256 limit) internal pure {
        if (outflow <= limit) return;
        // A limit that is passed is below 2^168, and an outflow has at most 112 bits: nothing overflows.
        if (amount * SMALL_PART <= limit && outflow * 4 <= limit * 5) return;
        revert ILedger.OutflowLimited(asset, outflow, limit);
    }
}
