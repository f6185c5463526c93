// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Delegation} from "../../interfaces/ITradingModule.sol";

/// @notice What binds whoever acts for an account, lowest bits first: reduces only 1, grew 1, granted 1, may bid 1,
/// keeps to markets 1, free 27, greatest leverage uint64 in hundredths. Zero binds nothing: it is the owner's.
type Limits is uint256;

using Delegations for Limits global;

/// @title What the owner of an account grants a delegate
library Delegations {
    using Delegations for Grant;
    using SafeCast for uint256;

    struct Grant {
        /// Its limits, lowest 96 bits; above them the expiry, uint64 in seconds.
        uint256 terms;

        /// The granted underlyings, bit per id: written and read only where the terms keep to markets.
        uint256 markets;
    }

    Limits internal constant NONE = Limits.wrap(0);
    /// An order's own wish, and a delegate who may do nothing else.
    Limits internal constant REDUCES_ONLY = Limits.wrap(1 << 0);

    /// A leg of the running fill did not reduce. Never stored.
    uint256 private constant GREW = 1 << 1;
    /// In every grant, so that one that has ended is told from none.
    uint256 private constant GRANTED = 1 << 2;
    uint256 private constant MAY_BID = 1 << 3;
    uint256 private constant KEEPS_TO_MARKETS = 1 << 4;
    uint256 private constant LEVERAGE_BIT = 32;
    uint256 private constant EXPIRY_BIT = 96;
    uint256 private constant LIMITS_MASK = (1 << EXPIRY_BIT) - 1;

    function write(Grant storage self, Delegation calldata granted) internal {
        uint256 terms = GRANTED;
        if (granted.reduceOnly) terms |= Limits.unwrap(REDUCES_ONLY);
        if (granted.mayBid) terms |= MAY_BID;
        if (granted.markets != 0) {
            terms |= KEEPS_TO_MARKETS;
            self.markets = granted.markets;
        }
        terms |= uint256(granted.maxLeverage.toUint64()) << LEVERAGE_BIT;
        self.terms = terms | uint256(granted.expiry.toUint64()) << EXPIRY_BIT;
    }

    function toView(Grant storage self) internal view returns (Delegation memory) {
        uint256 terms = self.terms;
        Limits limits = Limits.wrap(terms & LIMITS_MASK);
        return Delegation({
            expiry: terms >> EXPIRY_BIT,
            mayBid: limits.mayBid(),
            reduceOnly: limits.reducesOnly(),
            maxLeverage: limits.maxLeverage(),
            markets: limits.keepsToMarkets() ? self.markets : 0
        });
    }

    /// @return isLive Whether the grant holds now.
    /// @return limits What it is bound to; never zero where it is live.
    function read(Grant storage self) internal view returns (bool isLive, Limits limits) {
        uint256 terms = self.terms;
        return (terms >> EXPIRY_BIT >= block.timestamp, Limits.wrap(terms & LIMITS_MASK));
    }

    /// @dev Whether there was a grant that holds no more.
    function hasEnded(Grant storage self) internal view returns (bool) {
        (bool isLive, Limits limits) = self.read();
        return !isLive && !limits.isNone();
    }

    /// @dev Whether it is good for an underlying. An id beyond 255 has no bit: no market has one.
    function covers(Grant storage self, uint16 underlying) internal view returns (bool) {
        return (self.markets >> underlying) & 1 == 1;
    }

    function isNone(Limits limits) internal pure returns (bool) {
        return Limits.unwrap(limits) == 0;
    }

    function reducesOnly(Limits limits) internal pure returns (bool) {
        return Limits.unwrap(limits) & Limits.unwrap(REDUCES_ONLY) != 0;
    }

    function mayBid(Limits limits) internal pure returns (bool) {
        return Limits.unwrap(limits) & MAY_BID != 0;
    }

    function keepsToMarkets(Limits limits) internal pure returns (bool) {
        return Limits.unwrap(limits) & KEEPS_TO_MARKETS != 0;
    }

    /// @return Hundredths; zero for no maximum.
    function maxLeverage(Limits limits) internal pure returns (uint256) {
        return (Limits.unwrap(limits) & LIMITS_MASK) >> LEVERAGE_BIT;
    }

    /// @dev What both bind to.
    function and(Limits limits, Limits others) internal pure returns (Limits) {
        return Limits.wrap(Limits.unwrap(limits) | Limits.unwrap(others));
    }

    function withGrowth(Limits limits) internal pure returns (Limits) {
        return Limits.wrap(Limits.unwrap(limits) | GREW);
    }

    function grew(Limits limits) internal pure returns (bool) {
        return Limits.unwrap(limits) & GREW != 0;
    }
}
