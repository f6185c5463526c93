// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {MICRO} from "./CashLimits.sol";
import {WAD} from "./Constants.sol";

/// @title What a known loss costs who leaves before it is booked: docs/ledger.md, section 5
library Provisions {
    /// @dev Suppliers keep at least a thousandth of what they have.
    uint256 private constant BEARABLE = 999;
    uint256 private constant WHOLE = 1000;

    /// @notice The loss that an account in auction is about to leave: what it owes beyond all it has.
    /// @return Millionths of a dollar, rounded up.
    function ofEquity(int256 maintenanceEquity) internal pure returns (uint256) {
        // At least zero by the maximum; an equity is above -2^170.
        return Math.ceilDiv(uint256(SignedMath.max(-maintenanceEquity, 0)), MICRO);
    }

    /// @notice What is left of it after a slice of `fraction` has gone, 18 decimals, at most one.
    function afterSlice(uint256 provision, uint256 fraction) internal pure returns (uint256) {
        // A provision is below 2^131 and a fraction below 2^60.
        return Math.ceilDiv(provision * (WAD - fraction), WAD);
    }

    /// @notice What suppliers must expect to bear.
    /// @param provisions Losses to come, `reserves` what bears them first, `supplied` what suppliers have; dollars.
    function expected(uint256 provisions, uint256 reserves, uint256 supplied) internal pure returns (uint256) {
        return Math.min(Math.saturatingSub(provisions, reserves), supplied * BEARABLE / WHOLE);
    }

    /// @notice Whether losses to come keep `reserves` from being redeemed: more than a thousandth of them.
    /// @dev Less is subtracted from what shares fetch and keeps nobody: else a cent would lock in all holders.
    function isMaterial(uint256 provisions, uint256 reserves) internal pure returns (bool) {
        // A sum of provisions is below 2^104.
        return provisions * WHOLE > reserves;
    }

    /// @notice Whether a loss beyond the reserves is at least a thousandth of what suppliers had before it.
    function isSevere(uint256 borne, uint256 supplied) internal pure returns (bool) {
        // A loss is below 2^170.
        return borne * WHOLE >= supplied;
    }

    /// @notice What a withdrawal of `amount` leaves behind, so that who stays bears no more than who goes.
    /// @param provisions Losses to come, `reserves` what bears them first, `supplied` what suppliers have; dollars.
    function chargeUp(uint256 amount, uint256 provisions, uint256 reserves, uint256 supplied)
        internal
        pure
        returns (uint256)
    {
        uint256 loss = expected(provisions, reserves, supplied);
        return loss == 0 ? 0 : Math.mulDiv(amount, loss, supplied - loss, Math.Rounding.Ceil);
    }
}
