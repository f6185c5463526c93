// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Margin} from "../../interfaces/Types.sol";
import {Auction, AuctionState} from "../../interfaces/ILiquidationModule.sol";
import {Factors} from "../../interfaces/IMarginEngine.sol";
import {BPS, WAD} from "./Constants.sol";
import {Rounding} from "./Rounding.sol";

/// @dev The least time between the two looks that start an auction.
uint256 constant LOOK_INTERVAL = 12 seconds;
/// @dev A first look is forgotten after this.
uint256 constant LOOK_EXPIRY = 10 minutes;

/// @dev The depth of an auction in bps of maintenance margin: 2 % at once, 100 % after ten minutes, 115 % after
/// seventy.
uint256 constant FIRST_DEPTH = 200;
uint256 constant PAR_DEPTH = 10_000;
uint256 constant LAST_DEPTH = 11_500;
uint256 constant PAR_TIME = 10 minutes;
uint256 constant LAST_TIME = 70 minutes;

/// @title The clock of an auction and the price of a slice: docs/margin.md, section 7
library Auctions {
    using Auctions for Record;

    struct Record {
        AuctionState state;
        /// When the account was first seen below maintenance, seconds.
        uint40 observedAt;
        /// The clock at `tickedAt`, seconds.
        uint40 elapsed;
        uint40 tickedAt;
        /// The loss it is about to leave, millionths of a dollar.
        uint64 provision;
    }

    /// @notice The clock of this moment.
    /// @param liveSince The clock counts no time before this: prices or liquidation were not to be had.
    function elapsedNow(Record memory self, uint256 liveSince) internal view returns (uint256) {
        if (self.state == AuctionState.RUNNING) {
            uint256 since = Math.max(self.tickedAt, liveSince);
            return Math.min(LAST_TIME, self.elapsed + Math.saturatingSub(block.timestamp, since));
        }
        if (self.state == AuctionState.STANDING) {
            return Math.saturatingSub(self.elapsed, block.timestamp - self.tickedAt);
        }
        return self.elapsed;
    }

    /// @notice Brings the clock up to this moment and goes on in another state.
    function enter(Record memory self, AuctionState state, uint256 liveSince) internal view {
        // `elapsedNow` is at most LAST_TIME; 40 bits of seconds last 34,000 years.
        self.elapsed = uint40(self.elapsedNow(liveSince));
        self.tickedAt = uint40(block.timestamp);
        self.state = state;
    }

    /// @notice Whether a first look was taken and is not forgotten.
    function isObserved(Record memory self) internal view returns (bool) {
        return self.state == AuctionState.OBSERVED && block.timestamp <= self.observedAt + LOOK_EXPIRY;
    }

    /// @notice Whether the account has been flagged and not restored.
    function isFlagged(Record memory self) internal pure returns (bool) {
        return self.state >= AuctionState.RUNNING;
    }

    function depthAt(uint256 elapsed) internal pure returns (uint256) {
        if (elapsed <= PAR_TIME) return FIRST_DEPTH + (PAR_DEPTH - FIRST_DEPTH) * elapsed / PAR_TIME;
        uint256 late = Math.min(elapsed, LAST_TIME) - PAR_TIME;
        return PAR_DEPTH + (LAST_DEPTH - PAR_DEPTH) * late / (LAST_TIME - PAR_TIME);
    }

    function isHealthy(Margin memory margin) internal pure returns (bool) {
        // A margin is below 2^170: docs/margin.md, section 8.
        return margin.maintenanceEquity >= int256(margin.maintenanceMargin);
    }

    /// @notice What a bidder who wants `wanted` of an unhealthy account gets, and for how much.
    /// @return fraction 18 decimals, cut to what restores the account.
    /// @return price Dollars with 18 decimals, rounded up; negative when the bidder is paid.
    function calculate(Margin memory margin, Factors memory factors, uint256 depth, uint256 wanted)
        internal
        pure
        returns (uint256 fraction, int256 price)
    {
        fraction = Math.min(wanted, largestFraction(margin, factors, depth));
        price = priceUp(margin, depth, fraction);
    }

    /// @notice The fraction that restores `maintenanceEquity = initialFactor * maintenanceMargin`, rounded up.
    function largestFraction(Margin memory margin, Factors memory factors, uint256 depth)
        internal
        pure
        returns (uint256)
    {
        if (margin.maintenanceMargin == 0 || margin.maintenanceMargin < factors.dust) return WAD;
        // Equities and margins are below 2^170, factors below 2^16: everything here is below 2^250. An unhealthy
        // account misses its target, and the depth ends below the initial factor, so both differences are positive.
        int256 missing =
            int256(factors.initialFactor * margin.maintenanceMargin) - int256(BPS) * margin.maintenanceEquity;
        uint256 restored = (factors.initialFactor - depth) * margin.maintenanceMargin;
        return Math.min(WAD, Math.ceilDiv(uint256(missing) * WAD, restored));
    }

    /// @notice `fraction * (maintenanceEquity - depth * maintenanceMargin)`.
    function priceUp(Margin memory margin, uint256 depth, uint256 fraction) internal pure returns (int256) {
        // As in `largestFraction`.
        int256 whole = int256(BPS) * margin.maintenanceEquity - int256(depth * margin.maintenanceMargin);
        return Rounding.divUp(int256(fraction) * whole, WAD * BPS);
    }

    function toView(Record memory self) internal pure returns (Auction memory) {
        return Auction({state: self.state, observedAt: self.observedAt, elapsed: self.elapsed, tickedAt: self.tickedAt});
    }
}
