// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A token that anybody may mint, for test networks only
/// @dev Warning: it is worth nothing, and says so in its name. Listing one where value is at stake gives value away.
interface IFaucetToken {
    /// The caller has had his drip of the day.
    error DripExhausted(address caller, uint256 amount, uint256 left);

    /// @notice Mints `amount` units to `to`: any amount for the owner, up to `DRIP` a day for everybody else.
    function mint(address to, uint256 amount) external;
    /// @notice Who deployed it for a test network.
    function OWNER() external view returns (address);
    /// @notice Most units that one caller other than the owner may mint in one day (UTC).
    function DRIP() external view returns (uint256);
}
