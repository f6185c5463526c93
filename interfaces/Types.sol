// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice A margin account: the owner's address in the high 160 bits, a sub-account number in the low 96.
/// No registration: whoever controls the owner's address controls all 2^96 accounts.
type Account is bytes32;

/// @notice A packed instrument id in the low 48 bits, from the highest bit down:
/// kind 2 (1 perpetual, 2 future, 3 option), underlying 9, expiry day 12, strike mantissa 20, strike exponent 4,
/// put 1. Zero is no instrument. A perpetual has zeros below its underlying.
type Instrument is uint48;

/// @notice A position in one word: instrument 48 (high) | size int104 | quote int104 (low).
/// Size is in units of the underlying, quote in dollars, both with 18 decimals.
/// Equity of a perpetual position = size * (mark - funding index) + quote.
type Position is uint256;

/// @notice A collateral balance in one word: asset id 16 (bits 128 to 143) | amount uint128 in the token's units.
type Holding is uint256;

/// @notice Everything an account holds, as a value.
struct Portfolio {
    /// Settlement-token balance in dollars, 18 decimals, negative when borrowed.
    int256 cash;
    /// Collateral, in ascending order of asset id, no asset twice.
    Holding[] collateral;
    /// Positions in any order, no instrument twice.
    Position[] positions;
}

/// @notice The condition of one price. Everything but `OK` is doubtful; docs/margin.md has the matrix status x action.
enum PriceStatus {
    OK,
    /// The source has not answered within its maximum age.
    STALE,
    /// The source reverted, ran out of gas, or answered zero, a negative or an unreadable value.
    INVALID,
    /// The answer lies outside the hard bounds of the source.
    OUT_OF_BOUNDS,
    /// The two sources disagree by more than the bound.
    DEVIATING,
    /// Only one of two configured sources answers; the price is that one's.
    UNCONFIRMED,
    /// The sequencer is down, or its grace period runs.
    SEQUENCER_DOWN,
    /// The feed was broken for long and governance set the price.
    FROZEN
}

/// @notice One checked price. All prices have 18 decimals, in dollars per unit of the underlying.
struct Price {
    /// The index price: the live one when `status` is `OK`, else the last good one.
    uint256 index;
    /// The slow stable price of this moment.
    uint256 stable;
    /// Half-width of the band in basis points of the index price.
    uint256 band;
    PriceStatus status;
}

/// @notice The result of a margin check, in dollars with 18 decimals.
struct Margin {
    /// Equity at index prices, rounded down.
    int256 equity;
    /// Equity that may be borrowed against: never above `equity`, never credits a price above its stable price.
    int256 initialEquity;
    /// Equity at the favourable end of the bands of doubtful prices; equals `equity` when every price is `OK`.
    int256 maintenanceEquity;
    /// Initial margin, rounded up.
    uint256 initialMargin;
    /// Maintenance margin, rounded up.
    uint256 maintenanceMargin;
    /// Whether any underlying of the portfolio has a price that is not `OK`.
    bool doubtful;
}

/// @notice The parts of a margin, for people. Dollars with 18 decimals, rounded up.
struct MarginParts {
    uint256 scan;
    uint256 collateralCharge;
    uint256 positionCharge;
    uint256 band;
    /// What a grid without slopes in time does not see: the carry and the volatility of each expiry apart.
    uint256 term;
}

/// @notice What one underlying contributes to an account's risk.
struct UnderlyingRisk {
    uint16 underlying;
    Price price;
    /// Net units held through collateral and positions, options by their deltas, 18 decimals, signed.
    int256 delta;
    /// Everything on it at its marks, without quotes; dollars with 18 decimals, rounded down.
    int256 value;
    /// Gain (positive) or loss of this underlying in the worst joint scenario, dollars with 18 decimals, rounded down.
    int256 worstCase;
    /// The funding index of its perpetual, dollars per unit with 18 decimals.
    int256 fundingIndex;
    /// By how much `delta` grows with the price, units per dollar, 18 decimals, signed.
    int256 gamma;
    /// By how much the value grows with volatility, dollars per 1.00, 18 decimals, signed.
    int256 vega;
    /// By how much the value grows in a day, dollars with 18 decimals, signed.
    int256 theta;
}
