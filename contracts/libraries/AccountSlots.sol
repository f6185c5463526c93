// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";

/// @dev Slots of an account.
uint256 constant ACCOUNT_SLOTS = 319;
/// @dev Where the first two amounts and the first position are, from the base.
uint256 constant FIRST_PAIR = 1;
uint256 constant FIRST_POSITION = 64;

/// @title Where in its storage an account keeps what
/// @dev An account is one run of slots from its base: 0 its word; 1 to 48 collateral, two amounts a slot, asset 2n low
/// and 2n + 1 high; 64 to 318 positions.
library AccountSlots {
    function pair(bytes32 base, uint16 asset) internal pure returns (bytes32) {
        return SlotDerivation.offset(base, FIRST_PAIR + asset / 2);
    }

    function position(bytes32 base, uint256 index) internal pure returns (bytes32) {
        return SlotDerivation.offset(base, FIRST_POSITION + index);
    }
}
