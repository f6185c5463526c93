// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Outflows} from "./Outflows.sol";

/// @title What all accounts own of one collateral asset, and how fast that changes
library Custody {
    using Custody for State;
    using SafeCast for uint256;

    struct State {
        /// What all accounts own, in token units.
        uint112 total;
        /// When the running hour began, seconds.
        uint32 windowStart;
        /// What all accounts owned then: with the total it tells what came or left on balance.
        uint112 opening;

        /// The token, from a deposit on: exits ask nobody for it. Another engine may name another only once it is gone.
        address token;
        /// A copy of the word OUTFLOW: whole tokens, complement; zero for no limit.
        uint40 word;
        /// Decimals of the token, where there is a limit.
        uint8 decimals;
    }

    /// @return total What all accounts own afterwards.
    /// @return growth By how much that grew on balance within the running hour, at least zero.
    function add(State storage self, uint256 amount) internal returns (uint256 total, uint256 growth) {
        (uint256 start, uint256 opening) = _window(self);
        total = self.total + amount;
        growth = Math.saturatingSub(total, opening);
        // 2^32 seconds end in 2106; an opening is an earlier total.
        (self.total, self.windowStart, self.opening) = (total.toUint112(), uint32(start), uint112(opening));
    }

    /// @dev The caller has taken `amount` from an account, so that `total` holds it.
    /// @return total What all accounts own afterwards.
    function remove(State storage self, uint16 asset, uint256 amount) internal returns (uint256 total) {
        (uint256 start, uint256 opening) = _window(self);
        total = self.total - amount;
        // As in `add`; the total shrinks and fits as before.
        (self.total, self.windowStart, self.opening) = (uint112(total), uint32(start), uint112(opening));
        if (self.word != 0) {
            Outflows.requireWithin(asset, amount, Math.saturatingSub(opening, total), self.limit());
        }
    }

    /// @return In token units; the maximum where there is no limit.
    function limit(State storage self) internal view returns (uint256) {
        // A token has at most 27 decimals.
        return Outflows.limitOf(self.word, 10 ** self.decimals);
    }

    /// @return used What has left on balance within the running hour, in token units.
    function outflow(State storage self) internal view returns (uint256 used) {
        (, uint256 opening) = _window(self);
        return Math.saturatingSub(opening, self.total);
    }

    function _window(State storage self) private view returns (uint256 start, uint256 opening) {
        (start, opening) = (self.windowStart, self.opening);
        if (block.timestamp >= start + Outflows.WINDOW) (start, opening) = (block.timestamp, self.total);
    }
}
