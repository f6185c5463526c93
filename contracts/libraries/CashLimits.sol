// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Outflows} from "./Outflows.sol";
import {PriceMath} from "./PriceMath.sol";

/// @dev Dollars with 18 decimals in a millionth of a dollar.
uint256 constant MICRO = 1e12;

/// @title What limits the cash that leaves, in one slot: how far the vault has sunk, and the losses that are to come
/// @dev docs/ledger.md, sections 4 and 5. Levels are what the vault holds, millionths of a dollar, rounded down and at
/// most the largest number of 56 bits. They are read where cash leaves: deposits write nothing here.
library CashLimits {
    using CashLimits for State;

    struct State {
        /// When the running hour of withdrawals began, seconds.
        uint32 windowStart;
        /// The level from which that hour is measured.
        uint56 opening;
        /// The level after the latest withdrawal.
        uint56 last;
        /// A copy of the word OUTFLOW of cash: dollars, complement; zero for no limit, and then levels mean nothing.
        uint40 word;
        /// Sum of the provisions of all accounts in auction, millionths of a dollar.
        uint64 provisions;
    }

    /// @dev Millionths in a dollar.
    uint256 private constant MILLION = 1e6;

    /// @notice Counts a withdrawal of `dollars` out of `held`, and reverts where it is beyond the limit.
    function count(State storage self, uint16 cash, uint256 dollars, uint256 held) internal {
        uint256 word = self.word;
        if (word == 0) return;
        (uint256 start, uint256 opening) = _window(self.windowStart, self.opening, self.last, held);
        uint256 left = _level(held - dollars);
        uint256 sunk = opening > left ? opening - left : 0;
        Outflows.requireWithin(cash, PriceMath.ceilDiv(dollars, MICRO), sunk, Outflows.limitOf(word, MILLION));
        // 2^32 seconds end in 2106; levels have 56 bits.
        (self.windowStart, self.opening, self.last) = (uint32(start), uint56(opening), uint56(left));
    }

    /// @notice What leaves by another way than a withdrawal is not measured.
    function exempt(State storage self, uint256 dollars) internal {
        if (self.word == 0) return;
        uint256 micros = Math.ceilDiv(dollars, MICRO);
        // They only shrink.
        self.opening = uint56(Math.saturatingSub(self.opening, micros));
        self.last = uint56(Math.saturatingSub(self.last, micros));
    }

    /// @notice Puts a limit in force, and looks at the level as a withdrawal of nothing would: the hour goes on, or the
    /// next one begins. A limit where there was none measures from the level of now.
    function refresh(State storage self, uint40 word, uint256 held) internal {
        State memory state = self;
        uint256 level = _level(held);
        (uint256 start, uint256 opening) = state.word == 0 ? (block.timestamp, level) : state.window(held);
        // As in `count`.
        (self.windowStart, self.opening, self.last) = (uint32(start), uint56(opening), uint56(level));
        self.word = word;
    }

    /// @return start When the hour begins in which a withdrawal of now is counted, seconds.
    /// @return opening The level from which it is measured. A new hour starts no higher than the latest withdrawal left
    /// the vault: what came since may be a loan of the same transaction, and leaves as it came.
    function window(State memory self, uint256 held) internal view returns (uint256 start, uint256 opening) {
        return _window(self.windowStart, self.opening, self.last, held);
    }

    /// @return Millionths of a dollar; the maximum where there is none.
    function limit(State memory self) internal pure returns (uint256) {
        return Outflows.limitOf(self.word, MILLION);
    }

    /// @param held What the vault holds, dollars with 18 decimals.
    /// @return most Millionths of a dollar; the maximum where there is none.
    /// @return used By how much the vault sank within the running hour.
    /// @return start When the last hour began, seconds.
    function toView(State memory self, uint256 held) internal view returns (uint256 most, uint256 used, uint256 start) {
        (most, start) = (self.limit(), self.windowStart);
        if (self.word == 0) return (most, 0, start);
        (, uint256 opening) = self.window(held);
        used = Math.saturatingSub(opening, _level(held));
    }

    /// @notice The slot as `extsload` tells it.
    function fromSlot(uint256 slot) internal pure returns (State memory) {
        // Truncation takes the fields apart, the lowest first.
        return State(uint32(slot), uint56(slot >> 32), uint56(slot >> 88), uint40(slot >> 144), uint64(slot >> 184));
    }

    /// @return Dollars with 18 decimals.
    function total(State storage self) internal view returns (uint256) {
        return self.provisions * MICRO;
    }

    /// @dev `window`, of the hour that ran last.
    function _window(uint256 start, uint256 opening, uint256 last, uint256 held)
        private
        view
        returns (uint256, uint256)
    {
        if (block.timestamp < start + Outflows.WINDOW) return (start, opening);
        return (block.timestamp, PriceMath.min(last, _level(held)));
    }

    function _level(uint256 dollars) private pure returns (uint256) {
        return PriceMath.min(dollars / MICRO, type(uint56).max);
    }
}
