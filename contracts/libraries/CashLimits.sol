// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Outflows} from "./Outflows.sol";

/// @dev Dollars with 18 decimals in a millionth of a dollar.
uint256 constant MICRO = 1e12;

/// @title What limits the cash that leaves, in one slot: its outflow, and the losses that are to come
/// @dev docs/ledger.md, sections 4 and 5.
library CashLimits {
    struct State {
        /// When the running hour of withdrawals began, seconds.
        uint32 windowStart;
        /// What was withdrawn within it, millionths of a dollar.
        uint64 outflow;
        /// A copy of the word OUTFLOW of cash: dollars, complement; zero for no limit.
        uint40 word;
        /// Sum of the provisions of all accounts in auction, millionths of a dollar.
        uint64 provisions;
    }

    /// @dev Millionths in a dollar.
    uint256 private constant MILLION = 1e6;

    /// @notice Counts a withdrawal of `dollars` and reverts where it is beyond the limit.
    function count(State storage self, uint16 cash, uint256 dollars) internal {
        uint256 word = self.word;
        if (word == 0) return;
        uint256 amount = Math.ceilDiv(dollars, MICRO);
        (uint256 start, uint256 outflow) = _window(self);
        outflow += amount;
        Outflows.requireWithin(cash, amount, outflow, Outflows.limitOf(word, MILLION));
        // 2^32 seconds end in 2106; five quarters of 2^40 dollars have 61 bits in millionths.
        (self.windowStart, self.outflow) = (uint32(start), uint64(outflow));
    }

    /// @return limit Millionths of a dollar; the maximum where there is none.
    /// @return used What the running hour has counted.
    /// @return start When the last hour began, seconds.
    function toView(State storage self) internal view returns (uint256 limit, uint256 used, uint256 start) {
        (, used) = _window(self);
        return (Outflows.limitOf(self.word, MILLION), used, self.windowStart);
    }

    /// @return Dollars with 18 decimals.
    function total(State storage self) internal view returns (uint256) {
        return self.provisions * MICRO;
    }

    function _window(State storage self) private view returns (uint256 start, uint256 outflow) {
        (start, outflow) = (self.windowStart, self.outflow);
        if (block.timestamp >= start + Outflows.WINDOW) (start, outflow) = (block.timestamp, 0);
    }
}
