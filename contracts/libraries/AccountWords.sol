// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice The first word of an account, lowest bits first:
/// cash principal int120, position count 8, collateral bitmap 96 (bit = asset id), order epoch 16, content version 16.
type AccountWord is uint256;

using AccountWords for AccountWord global;

/// @title Reads and rewrites the fields of an account's first word
library AccountWords {
    error PrincipalTooLarge(int256 principal);
    error EpochsExhausted();

    uint256 private constant PRINCIPAL_MASK = (1 << 120) - 1;
    uint256 private constant COUNT_BIT = 120;
    uint256 private constant BITMAP_BIT = 128;
    uint256 private constant EPOCH_BIT = 224;
    uint256 private constant VERSION_BIT = 240;
    uint256 private constant MAX_UINT16 = type(uint16).max;

    function principal(AccountWord word) internal pure returns (int256) {
        // Truncation is the purpose: the low 120 bits, sign-extended by the widening.
        return int120(uint120(AccountWord.unwrap(word)));
    }

    function count(AccountWord word) internal pure returns (uint256) {
        return (AccountWord.unwrap(word) >> COUNT_BIT) & 0xff;
    }

    function bitmap(AccountWord word) internal pure returns (uint256) {
        return (AccountWord.unwrap(word) >> BITMAP_BIT) & type(uint96).max;
    }

    function holds(AccountWord word, uint16 asset) internal pure returns (bool) {
        return (word.bitmap() >> asset) & 1 == 1;
    }

    function epoch(AccountWord word) internal pure returns (uint256) {
        return (AccountWord.unwrap(word) >> EPOCH_BIT) & MAX_UINT16;
    }

    function version(AccountWord word) internal pure returns (uint256) {
        return AccountWord.unwrap(word) >> VERSION_BIT;
    }

    function withPrincipal(AccountWord word, int256 principal_) internal pure returns (AccountWord) {
        // A value that equals its own low 120 bits, sign-extended, is masked without loss.
        if (int120(principal_) != principal_) revert PrincipalTooLarge(principal_);
        return AccountWord.wrap((AccountWord.unwrap(word) & ~PRINCIPAL_MASK) | (uint256(principal_) & PRINCIPAL_MASK));
    }

    /// @dev The caller has bounded `count_` below 256.
    function withCount(AccountWord word, uint256 count_) internal pure returns (AccountWord) {
        return AccountWord.wrap((AccountWord.unwrap(word) & ~(uint256(0xff) << COUNT_BIT)) | (count_ << COUNT_BIT));
    }

    /// @dev The caller has bounded `asset` below 96.
    function withHeld(AccountWord word, uint16 asset) internal pure returns (AccountWord) {
        return AccountWord.wrap(AccountWord.unwrap(word) | (1 << (BITMAP_BIT + asset)));
    }

    /// @dev The caller has bounded `asset` below 96.
    function withoutHeld(AccountWord word, uint16 asset) internal pure returns (AccountWord) {
        return AccountWord.wrap(AccountWord.unwrap(word) & ~(1 << (BITMAP_BIT + asset)));
    }

    /// @dev Epochs never wrap, so that no cancelled order comes back to life.
    function withNextEpoch(AccountWord word) internal pure returns (AccountWord) {
        if (word.epoch() == MAX_UINT16) revert EpochsExhausted();
        return AccountWord.wrap(AccountWord.unwrap(word) + (1 << EPOCH_BIT));
    }

    /// @dev Versions wrap past zero, which means "any" in a bid.
    function withNextVersion(AccountWord word) internal pure returns (AccountWord) {
        uint256 next = word.version() == MAX_UINT16 ? 1 : word.version() + 1;
        return AccountWord.wrap((AccountWord.unwrap(word) & ~(MAX_UINT16 << VERSION_BIT)) | (next << VERSION_BIT));
    }
}
