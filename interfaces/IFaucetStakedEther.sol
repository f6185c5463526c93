// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A faucet token with the rate function of wstETH
interface IFaucetStakedEther {
    event RateSet(uint256 rate);

    error OnlyOwner(address caller);

    /// @notice Ether per whole token, 18 decimals.
    function stEthPerToken() external view returns (uint256);
    /// @notice Sets the rate; only the owner. May also lower it, as a slashing would.
    function setStEthPerToken(uint256 rate) external;
}
