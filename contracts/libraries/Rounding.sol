// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Division of signed numbers that says where it rounds
library Rounding {
    /// @notice Towards minus infinity.
    /// @dev The caller has bounded `divisor` between 2 and 2^255 - 1: the cast is lossless, and a quotient is far
    /// enough from the ends of int256 to be moved by one.
    function divDown(int256 value, uint256 divisor) internal pure returns (int256 quotient) {
        unchecked {
            quotient = value / int256(divisor);
            if (value % int256(divisor) < 0) quotient -= 1;
        }
    }

    /// @notice Towards plus infinity.
    /// @dev As `divDown`.
    function divUp(int256 value, uint256 divisor) internal pure returns (int256 quotient) {
        unchecked {
            quotient = value / int256(divisor);
            if (value % int256(divisor) > 0) quotient += 1;
        }
    }
}
