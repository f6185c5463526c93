// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SurfaceSlice} from "./IReportOracle.sol";

/// @notice What a parameter word describes.
enum Kind {
    /// Id 0. Factors of the margin and of the waterfall.
    GLOBAL,
    /// Id = underlying. Scan range, window, closing cost, concentration, band.
    UNDERLYING,
    /// Id = asset. Tiers, haircuts, basis charge, caps.
    ASSET,
    /// Id = underlying. Fees, open-interest cap, stress jump of its perpetual.
    MARKET,
    /// Id = underlying. The most that the funding of its perpetual may be.
    FUNDING,
    /// Id = underlying. The primary price source.
    SOURCE,
    /// Id = underlying. The second, independent price source and the bound on their deviation.
    SECOND_SOURCE,
    /// Id = underlying. The Pyth price id of the primary source.
    PYTH_ID,
    /// Id = underlying. The Pyth price id of the second source.
    SECOND_PYTH_ID,
    /// Id = asset. Token, underlying and decimals. Set once.
    TOKEN,
    /// Id = asset. Redemption-rate source and growth cap of a yield token.
    RATE_SOURCE,
    /// Id = asset. Market feed of a yield token, in units of its underlying.
    RATE_MARKET,
    /// Id 0. Sequencer uptime feed and grace period.
    SEQUENCER,
    /// Id = underlying. The price of a feed that has been broken for long.
    FROZEN_PRICE,
    /// Id 0. What cash costs and pays: a kinked curve of rates, and the share of the reserves.
    LENDING,
    /// Id = asset, 0 for cash. What may leave within an hour.
    OUTFLOW,
    /// Id = underlying. The volatility at which its gauge is 1.
    VOLATILITY,
    /// Id 0. The ReportOracle, whose reporters sign premiums.
    REPORTS,
    /// Id = underlying. What people call it.
    SYMBOL,
    /// Id = underlying. Volatility shift, term charges and closing cost of its options and futures, and which may be
    /// opened.
    OPTIONS
}

/// @notice A parameter as it stands now. Words are packed; `contracts/libraries/Params.sol` lists every field.
struct Parameter {
    /// The word in force for initial margin and new risk: the end of a ramp in flight.
    uint256 target;
    /// The word in force for maintenance margin now, interpolated field by field.
    uint256 current;
    /// When the ramp ends, seconds; in the past when none is in flight.
    uint256 rampEnd;
    /// The word that waits to be accepted; meaningful only when `readyAt` is not zero.
    uint256 submitted;
    /// The earliest time at which `submitted` can be accepted, seconds; zero when nothing waits.
    uint256 readyAt;
}

/// @notice What an amount of an asset counts for, and why. Dollars with 18 decimals.
struct CollateralValue {
    /// Units of the underlying, 18 decimals, at the redemption rate.
    uint256 units;
    /// At the index price.
    uint256 value;
    /// The loss of this amount alone at the scan range, in initial margin.
    uint256 scanLoss;
    /// Tiered haircut, crowding included, in initial margin.
    uint256 haircut;
    uint256 basisCharge;
    /// Band and stable-price reserve in initial margin.
    uint256 priceReserve;
    /// What it counts for when nothing else is held: `value` less all of the above, never below zero.
    uint256 counted;
}

/// @notice What moves in the terms of an asset without anybody setting it. docs/margin.md, sections 4 and 9.
struct CollateralTerms {
    /// Units of the underlying per whole token that maintenance counts, 18 decimals.
    uint256 rate;
    /// The same in initial margin: the lower of redemption rate and market.
    uint256 initialRate;
    /// Whether rate or market feed is unusable, or the market too far below: no new credit.
    bool doubtful;
    /// Least average haircut in initial margin, from what the whole system holds, bps.
    uint256 crowd;
}

/// @notice The funding of a perpetual now. docs/ledger.md, section 2.
struct Funding {
    /// Cumulative funding, dollars per unit with 18 decimals, signed: what a long has paid and a short received.
    int256 index;
    /// By how much the index moves, dollars per unit and hour with 18 decimals, signed; zero without a recent report.
    int256 rate;
    /// When the reporters saw the premium, seconds; zero before the first report.
    uint256 observedAt;
    /// Since when the rate stands, seconds.
    uint256 since;
}

/// @notice What reporters last agreed on about an expiry. docs/options.md, section 2.
struct Surface {
    SurfaceSlice slice;
    /// The oldest of their times, seconds; zero, like everything else, before the first report.
    uint256 observedAt;
}

/// @notice How far the settlement price of an expiry is fixed. docs/options.md, section 3.
struct FixingState {
    /// How many of six samples are taken.
    uint256 samples;
    /// Their sum, dollars with 18 decimals: a sixth of it, rounded down, is the settlement price once there are six.
    uint256 sum;
}

/// @title Every risk parameter, packed so that bigger is tighter
/// @dev How they change is `IParameterModule`.
interface IHaircutRegistry {
    event CrowdMoved(uint16 indexed asset, uint256 oldRate, uint256 newRate);
    /// From now on the index moves by `rate` dollars per unit and hour, 18 decimals, for at most two hours.
    event FundingSet(uint16 indexed underlying, int256 premium, int256 rate, int256 index, uint256 observedAt);

    error OnlyClearingHouse(address caller);
    /// Beyond the calendar of instrument ids.
    error ExpiryOutOfBounds(uint16 expiryDay);
    error UnknownAsset(uint16 asset);
    error CapExceeded(uint16 asset, uint256 value, uint256 cap);
    error GrowthExceeded(uint16 asset, uint256 value, uint256 cap);
    error HoldingTooLarge(uint16 asset, uint256 units);

    /// @notice How long a submitted word waits, seconds. Every step of a loosening waits anew, so no word loosens twice
    /// within a day.
    function DELAY() external view returns (uint256);
    /// @notice How long a submitted word can be accepted once it is ready, seconds.
    function EXPIRY() external view returns (uint256);
    function isSealed() external view returns (bool);
    function parameter(Kind kind, uint16 id) external view returns (Parameter memory);
    /// @notice The funding of an underlying's perpetual now; reverts with `UnknownUnderlying` if it has no source.
    function funding(uint16 underlying) external view returns (Funding memory);
    /// @notice The last report on an expiry of an underlying; zeros before the first.
    function surface(uint16 underlying, uint16 expiryDay) external view returns (Surface memory);
    /// @notice The fixing of an expiry of an underlying; zeros before the first sample.
    function fixing(uint16 underlying, uint16 expiryDay) external view returns (FixingState memory);

    /// @notice Checks the caps of an asset for a deposit and moves its crowd rate one step. Only the ClearingHouse.
    /// @param asset Must have a token and risk parameters, else `UnknownAsset`.
    /// @param total All the vault's claims on the asset after the deposit, in token units.
    /// @param grown Net growth within the running hour after the deposit, in token units.
    /// @param holding What the account holds of the asset after the deposit, in token units.
    /// @dev Values at the last observed price: a deposit never depends on a feed.
    function admit(uint16 asset, uint256 total, uint256 grown, uint256 holding) external;
    /// @notice Moves the crowd rate of an asset towards the average haircut of `total`. Only the ClearingHouse.
    function noteTotal(uint16 asset, uint256 total) external;

    /// @notice The token of an asset; reverts with `UnknownAsset` if it is not listed.
    function tokenOf(uint16 asset) external view returns (address);
}
