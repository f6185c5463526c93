// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ICollateralVault} from "../interfaces/ICollateralVault.sol";

/// @title Custody of every token
contract CollateralVault is ICollateralVault {
    using SafeERC20 for IERC20;

    /// @inheritdoc ICollateralVault
    address public immutable CLEARING_HOUSE = msg.sender;

    modifier onlyClearingHouse() {
        if (msg.sender != CLEARING_HOUSE) revert OnlyClearingHouse(msg.sender);
        _;
    }

    /// @inheritdoc ICollateralVault
    function collect(address token, address from, uint256 amount)
        external
        onlyClearingHouse
        returns (uint256 received)
    {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(from, address(this), amount);
        uint256 present = IERC20(token).balanceOf(address(this));
        if (present <= before) revert NothingReceived(token);
        received = present - before;
    }

    /// @inheritdoc ICollateralVault
    function release(address token, address to, uint256 amount, uint256 claims) external onlyClearingHouse {
        IERC20(token).safeTransfer(to, amount);
        uint256 present = IERC20(token).balanceOf(address(this));
        if (present < claims) revert BalanceBelowClaims(token, present, claims);
    }
}
