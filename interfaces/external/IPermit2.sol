// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Uniswap's Permit2, as far as a payment by signature needs it: `SignatureTransfer`
/// @dev What its owner signs names the caller of `permitTransferFrom` as the spender, so nobody else can use it.
interface IPermit2 {
    struct TokenPermissions {
        address token;
        /// Most that may be moved, in token units.
        uint256 amount;
    }

    struct PermitTransferFrom {
        TokenPermissions permitted;
        /// Any number that the owner has not used: a bit of a word, not a counter.
        uint256 nonce;
        /// Last second at which the signature is good.
        uint256 deadline;
    }

    struct SignatureTransferDetails {
        address to;
        uint256 requestedAmount;
    }

    /// @notice Moves tokens of `owner`, who has approved Permit2 and signed this permit for the caller.
    function permitTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes calldata signature
    ) external;
}
