// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Holding} from "../../interfaces/Types.sol";

/// @title A collateral balance: asset 16 (bits 128 to 143) | amount 128 (low)
library Holdings {
    function pack(uint16 asset_, uint128 amount_) internal pure returns (Holding) {
        return Holding.wrap((uint256(asset_) << 128) | amount_);
    }

    function asset(Holding holding) internal pure returns (uint16) {
        // Truncation is the purpose: bits 128 to 143.
        return uint16(Holding.unwrap(holding) >> 128);
    }

    function amount(Holding holding) internal pure returns (uint128) {
        // Truncation is the purpose: the low 128 bits.
        return uint128(Holding.unwrap(holding));
    }
}
