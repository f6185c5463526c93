// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {Slice} from "../../interfaces/IBackstopVault.sol";
import {Kind} from "../../interfaces/IHaircutRegistry.sol";
import {IMarginEngine} from "../../interfaces/IMarginEngine.sol";
import {Holding, Instrument, Margin, Portfolio, Position} from "../../interfaces/Types.sol";
import {Auctions} from "./Auctions.sol";
import {BPS, WAD} from "./Constants.sol";
import {Holdings} from "./Holdings.sol";
import {Instruments} from "./Instruments.sol";
import {Positions} from "./Positions.sol";

/// @dev Least depth at which the vault bids, bps: half of the maintenance margin of what it takes is its pay.
uint256 constant BID_DEPTH = 5_000;
/// @dev Funding in bps of the slice's initial margin: all of it and a twentieth, so that the first tick is no breach.
uint256 constant FUNDING = 10_500;
/// @dev Most that one bid draws, bps of the reserves: eight in a row leave 43 % of them free.
uint256 constant MAX_FUNDING = 1_000;
/// @dev Most gross value that all sub-accounts hold on one underlying, bps of the reserves: what one market can do.
uint256 constant MAX_GROSS = 5_000;
/// @dev Least gross value of a slice, bps of the reserves; twice as much for each sub-account in use, so that the last
/// of eight is not to be had for less than an eighth of the reserves.
uint256 constant LEAST_GROSS = 10;
/// @dev Slack of an order: bps of the package's gross value, at once and from a day after the bid on. The first is a
/// tight market's spread, the second a wide one's.
uint256 constant FIRST_SLACK = 20;
uint256 constant LAST_SLACK = 200;
uint256 constant SLACK_TIME = 1 days;

/// @title How much of an account the vault takes, and how far from the mark it may unwind
library Slices {
    using Holdings for Holding;
    using Instruments for Instrument;
    using Math for uint256;
    using Positions for Position;

    /// @dev Underlyings have 8 bits.
    uint256 internal constant UNDERLYINGS = 256;

    /// @dev What bounds a slice; dollars with 18 decimals, fractions too.
    struct Limits {
        /// What the auction gives at most.
        uint256 largest;
        /// What the caps on gross value leave.
        uint256 room;
        uint256 reserves;
        uint256 provisions;
        uint256 payoutCap;
    }

    /// @notice The largest slice within every limit.
    /// @dev What is drawn bears no loss while it is with a sub-account, so that neither funding nor pay comes out of
    /// what is provisioned, and no payout of the vault's own bid reaches the suppliers.
    /// @param gross Of the whole account, dollars with 18 decimals.
    function size(Margin memory margin, uint256 depth, uint256 gross, Limits memory limits)
        internal
        pure
        returns (Slice memory slice)
    {
        uint256 funding = margin.initialMargin.mulDiv(FUNDING, BPS, Math.Rounding.Ceil);
        uint256 drawable = limits.reserves * MAX_FUNDING / BPS;
        // The negation is of what is at most zero, and the price of all of it: one more bounds the rounding of a part.
        uint256 payout = uint256(-SignedMath.min(Auctions.priceUp(margin, depth, WAD), 0)) + 1;
        // As above. The account's own loss is part of the provisions.
        uint256 ownLoss = uint256(-SignedMath.min(margin.maintenanceEquity, 0));

        uint256 fraction = Math.min(limits.largest, limits.room);
        fraction = Math.min(fraction, affordable(drawable, funding));
        fraction = Math.min(fraction, affordable(Math.min(limits.payoutCap, limits.reserves - drawable), payout));
        uint256 free = limits.reserves.saturatingSub(limits.provisions);
        fraction = Math.min(fraction, affordable(free, funding + payout.saturatingSub(ownLoss)));

        slice.fraction = fraction;
        slice.price = Auctions.priceUp(margin, depth, fraction);
        slice.funding = funding.mulDiv(fraction, WAD, Math.Rounding.Ceil);
        slice.gross = gross.mulDiv(fraction, WAD);
        slice.slackCap = gross == 0 ? 0 : slackCapOf(margin.maintenanceMargin, depth, gross);
    }

    /// @notice Half of what the vault is paid for a slice, in bps of its gross value: the other half pays for a wrong
    /// mark.
    function slackCapOf(uint256 maintenanceMargin, uint256 depth, uint256 gross) internal pure returns (uint256) {
        return Math.min(LAST_SLACK, maintenanceMargin.mulDiv(depth, 2 * gross));
    }

    /// @notice The slack of a sub-account that took its slice so long ago.
    function slackAt(uint256 elapsed, uint256 slackCap) internal pure returns (uint256) {
        uint256 risen = FIRST_SLACK + (LAST_SLACK - FIRST_SLACK) * Math.min(elapsed, SLACK_TIME) / SLACK_TIME;
        return Math.min(risen, slackCap);
    }

    /// @notice Least gross value of the next slice, dollars with 18 decimals.
    function leastGross(uint256 reserves, uint256 inUse) internal pure returns (uint256) {
        return (reserves * LEAST_GROSS / BPS) << inUse;
    }

    /// @notice The fraction of `value` on one underlying that its cap has room for, beside what is `taken`.
    function roomFor(uint256 value, uint256 taken, uint256 reserves) internal pure returns (uint256) {
        return affordable((reserves * MAX_GROSS / BPS).saturatingSub(taken), value);
    }

    /// @notice The fraction of `cost` that `limit` pays for, 18 decimals, at most all.
    function affordable(uint256 limit, uint256 cost) internal pure returns (uint256) {
        return cost <= limit ? WAD : limit.mulDiv(WAD, cost);
    }

    /// @notice Adds what a portfolio holds of each underlying, long or short, in units with 18 decimals, rounded up.
    function addGross(uint256[] memory units, IMarginEngine engine, Portfolio memory held) internal view {
        for (uint256 i = 0; i < held.positions.length; ++i) {
            Position position = held.positions[i];
            units[position.instrument().underlying()] += SignedMath.abs(position.size());
        }
        for (uint256 i = 0; i < held.collateral.length; ++i) {
            (uint16 underlying, uint256 amount) =
                unitsUp(engine, held.collateral[i].asset(), held.collateral[i].amount());
            units[underlying] += amount;
        }
    }

    /// @return underlying Of the asset.
    /// @return units Of the underlying, 18 decimals, at the maintenance rate, rounded up.
    function unitsUp(IMarginEngine engine, uint16 asset, uint256 amount)
        internal
        view
        returns (uint16 underlying, uint256 units)
    {
        uint256 token = engine.parameter(Kind.TOKEN, asset).target;
        // Truncation is the purpose: 16 bits above the token's address, and 8 of decimals, as Params.sol lays them out.
        underlying = uint16(token >> 160);
        uint256 decimals = uint8(token >> 176);
        units = amount.mulDiv(engine.collateralTerms(asset).rate, 10 ** decimals, Math.Rounding.Ceil);
    }
}
