// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Where the ClearingHouse keeps what lasts for one transaction
/// @dev Small numbers cost three gas where hashes cost forty. All other transient keys are hashes, or hashes plus or
/// minus a small offset, and do not come near.
library TransientPlaces {
    /// `Scope`: its word, and the flags of each account, as a mapping.
    uint256 internal constant SCOPE_WORD = 0;
    uint256 internal constant SCOPE_FLAGS = 1;
    /// `EtherBudget`: what a batch may not spend, plus one.
    uint256 internal constant ETHER_FLOOR = 2;
    /// `LossGuard`: whether cash left or a loss was booked.
    uint256 internal constant LOSS_SEEN = 3;
    /// `Scope`: the accounts touched, from here on.
    uint256 internal constant SCOPE_LIST = 1 << 32;
}
