// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Params} from "./Params.sol";

/// @title Tiered haircuts
library Haircuts {
    /// @notice The sum of marginal haircuts of a value: bps times dollars with 18 decimals, exact.
    /// @param word An ASSET word.
    function tiered(uint256 word, uint256 value) internal pure returns (uint256) {
        // value < 2^222 and haircuts < 2^14. Tiers and haircuts are in order, so no difference is negative.
        unchecked {
            uint256 first = Params.haircut1(word);
            uint256 charge = first * value;
            uint256 tier1 = Params.tier1(word);
            if (value <= tier1) return charge;
            uint256 second = Params.haircut2(word);
            charge += (second - first) * (value - tier1);
            uint256 tier2 = Params.tier2(word);
            if (value <= tier2) return charge;
            return charge + (Params.haircut3(word) - second) * (value - tier2);
        }
    }
}
