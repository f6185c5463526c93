// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Custody of every token. Trusts the ClearingHouse and nobody else; the one contract to approve.
/// @dev Assumed of a token: `balanceOf` tells the truth; a transfer moves at most what was asked; balances do not
/// shrink by themselves. Tolerated: no return value, a fee on transfer (what arrives is credited), 0 to 27 decimals.
interface ICollateralVault {
    error OnlyClearingHouse(address caller);
    error Permit2Unavailable();
    /// The token moved nothing into the vault.
    error NothingReceived(address token);
    /// The vault would hold less than its accounts' claims.
    error BalanceBelowClaims(address token, uint256 balance, uint256 claims);

    function CLEARING_HOUSE() external view returns (address);
    /// @notice Uniswap's Permit2; zero where there is none.
    function PERMIT2() external view returns (address);
    /// @notice Pulls `amount` of `token` from `from`, who has approved this vault.
    /// @return received What arrived, in token units.
    function collect(address token, address from, uint256 amount) external returns (uint256 received);
    /// @notice Pulls `amount` of `token` from `from`, who has approved Permit2 and signed a transfer for this vault.
    /// @return received What arrived, in token units.
    function collectPermit2(
        address token,
        address from,
        uint256 amount,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external returns (uint256 received);
    /// @notice Sends `amount` of `token` to `to`.
    /// @param claims What accounts still own of the token afterwards; the vault must hold it.
    function release(address token, address to, uint256 amount, uint256 claims) external;
}
