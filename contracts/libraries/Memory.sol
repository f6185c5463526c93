// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Words at places in memory
/// @dev A struct that is returned or declared in a loop is allocated anew each time; a place is not. Whoever uses one
/// states its layout, and stays within what it took.
library Memory {
    /// @notice Takes `size` bytes, a multiple of 32, off the free memory, all zero.
    function take(uint256 size) internal pure returns (uint256 place) {
        // A calldatacopy from beyond calldata writes zeros.
        assembly ("memory-safe") {
            place := mload(0x40)
            mstore(0x40, add(place, size))
            calldatacopy(place, calldatasize(), size)
        }
    }

    // Each reads or writes one word within what its caller took.

    function get(uint256 place, uint256 offset) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(place, offset))
        }
    }

    function signed(uint256 place, uint256 offset) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := mload(add(place, offset))
        }
    }

    function set(uint256 place, uint256 offset, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(place, offset), value)
        }
    }

    function setSigned(uint256 place, uint256 offset, int256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(place, offset), value)
        }
    }

    /// @dev The caller has bounded the sum.
    function add(uint256 place, uint256 offset, int256 value) internal pure {
        assembly ("memory-safe") {
            let at := add(place, offset)
            mstore(at, add(mload(at), value))
        }
    }
}
