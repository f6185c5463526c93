// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice The one function of Lido's wstETH that is read here; no package publishes its interface.
interface IStEthPerToken {
    /// @return Units of stETH for one wstETH, 18 decimals.
    function stEthPerToken() external view returns (uint256);
}
