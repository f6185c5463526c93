// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ICollateralVault} from "../interfaces/ICollateralVault.sol";
import {IPermit2} from "../interfaces/external/IPermit2.sol";

/// @title Custody of every token
contract CollateralVault is ICollateralVault {
    using SafeERC20 for IERC20;

    /// @inheritdoc ICollateralVault
    address public immutable CLEARING_HOUSE = msg.sender;
    /// @inheritdoc ICollateralVault
    address public immutable PERMIT2;

    modifier onlyClearingHouse() {
        if (msg.sender != CLEARING_HOUSE) revert OnlyClearingHouse(msg.sender);
        _;
    }

    /// @param permit2 Zero where there is none.
    constructor(address permit2) {
        PERMIT2 = permit2;
    }

    /// @inheritdoc ICollateralVault
    function collect(address token, address from, uint256 amount)
        external
        onlyClearingHouse
        returns (uint256 received)
    {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(from, address(this), amount);
        received = _receivedSince(token, before);
    }

    /// @inheritdoc ICollateralVault
    function collectPermit2(
        address token,
        address from,
        uint256 amount,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external onlyClearingHouse returns (uint256 received) {
        if (PERMIT2 == address(0)) revert Permit2Unavailable();
        uint256 before = IERC20(token).balanceOf(address(this));
        IPermit2(PERMIT2)
            .permitTransferFrom({
            permit: IPermit2.PermitTransferFrom({
            permitted: IPermit2.TokenPermissions({token: token, amount: amount}), nonce: nonce, deadline: deadline
        }),
            transferDetails: IPermit2.SignatureTransferDetails({to: address(this), requestedAmount: amount}),
            owner: from,
            signature: signature
        });
        received = _receivedSince(token, before);
    }

    /// @inheritdoc ICollateralVault
    function release(address token, address to, uint256 amount, uint256 claims) external onlyClearingHouse {
        IERC20(token).safeTransfer(to, amount);
        // No balance is below nothing.
        if (claims == 0) return;
        uint256 present = IERC20(token).balanceOf(address(this));
        if (present < claims) revert BalanceBelowClaims(token, present, claims);
    }

    function _receivedSince(address token, uint256 before) private view returns (uint256) {
        uint256 present = IERC20(token).balanceOf(address(this));
        if (present <= before) revert NothingReceived(token);
        return present - before;
    }
}
