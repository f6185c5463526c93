// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title What all accounts own of one collateral asset, and how fast that grows
library Custody {
    using SafeCast for uint256;

    struct State {
        /// What all accounts own, in token units.
        uint112 total;
        /// When the running hour of growth began, seconds.
        uint32 windowStart;
        /// Deposits less withdrawals within it, in token units, at least zero.
        uint112 growth;

        /// The token, from a deposit on: exits ask nobody for it. Another engine may name another only once it is gone.
        address token;
    }

    uint256 private constant WINDOW = 1 hours;

    /// @return total What all accounts own afterwards.
    /// @return growth By how much that grew within the running hour.
    function add(State storage self, uint256 amount) internal returns (uint256 total, uint256 growth) {
        uint256 start;
        (start, growth) = _window(self);
        total = self.total + amount;
        growth += amount;
        // 2^32 seconds end in 2106.
        (self.total, self.windowStart, self.growth) = (total.toUint112(), uint32(start), growth.toUint112());
    }

    /// @dev The caller has taken `amount` from an account, so that `total` holds it.
    /// @return total What all accounts own afterwards.
    function remove(State storage self, uint256 amount) internal returns (uint256 total) {
        (uint256 start, uint256 growth) = _window(self);
        total = self.total - amount;
        growth = Math.saturatingSub(growth, amount);
        // As in `add`; both numbers shrink and fit as before.
        (self.total, self.windowStart, self.growth) = (uint112(total), uint32(start), uint112(growth));
    }

    function _window(State storage self) private view returns (uint256 start, uint256 growth) {
        (start, growth) = (self.windowStart, self.growth);
        if (block.timestamp >= start + WINDOW) (start, growth) = (block.timestamp, 0);
    }
}
