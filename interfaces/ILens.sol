// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Account, Instrument, Margin, MarginParts, Portfolio, Price, UnderlyingRisk} from "./Types.sol";
import {CollateralValue} from "./IHaircutRegistry.sol";
import {Auction} from "./ILiquidationModule.sol";
import {Market} from "./IMarginEngine.sol";

/// @notice The risk of an account, portable to any venue. Dollars with 18 decimals.
struct AccountRisk {
    Margin margin;
    /// Maintenance equity over maintenance margin, 18 decimals, rounded down, cut to int128. Without margin
    /// `type(int128).max`, or its negative when there is only debt.
    int256 health;
    /// What could be lost before initial margin binds: `initialEquity - initialMargin`, at least zero.
    uint256 freeCollateral;
    MarginParts initial;
    MarginParts maintenance;
    UnderlyingRisk[] underlyings;
    Portfolio portfolio;
    Auction auction;
    /// Depth of the auction, bps.
    uint256 depth;
}

/// @notice A position that an account would take at a price.
struct Fill {
    Instrument instrument;
    /// Change of size, 18 decimals, signed.
    int256 size;
    /// Dollars per unit, 18 decimals.
    uint256 price;
    /// Whether the taker's fee applies, else the maker's.
    bool isTaker;
}

/// @notice What a liquidation bot decides on. Dollars with 18 decimals.
struct AuctionView {
    /// Whether the account could be read; everything else is zero when not.
    bool readable;
    Margin margin;
    /// As in `AccountRisk`.
    int256 health;
    Auction auction;
    /// Depth of the auction, bps.
    uint256 depth;
    /// The content version that a bid should name.
    uint256 version;
    /// The largest slice that a bid could take now, 18 decimals; zero when none.
    uint256 fraction;
    /// Its price; negative when the bidder is paid.
    int256 price;
}

/// @notice A collateral asset as it stands.
struct AssetView {
    /// Zero when it could not be read, as everything else then.
    address token;
    uint256 decimals;
    uint16 underlying;
    /// What all accounts own of it, in token units.
    uint256 claims;
    /// What the vault holds of it, in token units.
    uint256 held;
    /// What one whole token, held alone, counts for.
    CollateralValue perToken;
}

/// @notice An underlying as it stands.
struct UnderlyingView {
    /// Whether it could be read; everything else is zero when not.
    bool readable;
    Price price;
    /// When the last good observation was made, seconds.
    uint256 observedAt;
    /// The terms of its perpetual.
    Market market;
    /// Sum of the positive sizes of all its instruments, 18 decimals.
    uint256 openInterest;
}

/// @notice Whether the house can pay, and what cash costs and earns now. Dollars with 18 decimals.
struct Solvency {
    uint256 reserves;
    /// The losses that auctions are about to leave.
    uint256 provision;
    /// Losses that nobody has borne yet.
    uint256 deficit;
    /// Whether a loss beyond the reserves has halted new risk.
    bool halted;
    /// Whether the house is being wound down.
    bool shut;
    /// What share of the supply is lent or owed, bps, rounded up.
    uint256 utilisation;
    /// What a dollar borrowed pays a year, 18 decimals, at the terms that the ClearingHouse applies now.
    uint256 borrowRate;
    /// What a dollar supplied earns a year, 18 decimals, rounded down.
    uint256 supplyRate;
    /// Settlement tokens that the vault holds, in token units: what all withdrawals of cash are bounded by.
    uint256 tokens;
}

/// @notice An account as a supplier of cash. Dollars with 18 decimals.
struct LossShare {
    /// What part of the supply the account is, 18 decimals, rounded down; zero for who owes cash.
    uint256 share;
    /// What all suppliers must expect to bear: provisions beyond the reserves.
    uint256 expected;
    /// What the account would bear of it, rounded up.
    uint256 borne;
}

/// @title Views for people and bots
/// @dev Holds no state and no rights: everything here can be had from the ClearingHouse and its engine in more calls.
/// A list never fails because of one of its items.
interface ILens {
    function CLEARING_HOUSE() external view returns (address);

    /// @notice Everything there is to know about the risk of an account.
    function accountRisk(Account account) external view returns (AccountRisk memory);
    /// @return risks All zero for an account that cannot be read.
    /// @return readable Whether each account could be read.
    function accountRisks(Account[] calldata accounts)
        external
        view
        returns (AccountRisk[] memory risks, bool[] memory readable);
    /// @notice Health as in `AccountRisk`, for scanning many accounts in one call; `type(int128).min` for an account
    /// that cannot be read.
    function healths(Account[] calldata accounts) external view returns (int256[] memory);
    /// @notice Margin, auction and the price of the largest slice of an account.
    function auction(Account account) external view returns (AuctionView memory);
    /// @notice The same of many; all zero for one that cannot be read.
    function auctions(Account[] calldata accounts) external view returns (AuctionView[] memory);

    /// @notice Margins before and after trading `fills`, each as an order of one leg: fees paid, quote at the mark.
    /// @dev Not asked is what would refuse the trade: open interest, closed markets, doubtful prices, the margin.
    function previewTrade(Account account, Fill[] calldata fills)
        external
        view
        returns (Margin memory before_, Margin memory after_);
    /// @notice How many units of `benchmark` move like all that the account holds, if each underlying moves by its scan
    /// range at once: docs/options.md, section 7.
    /// @return 18 decimals, signed; each underlying's part is rounded towards zero.
    function betaWeightedDelta(Account account, uint16 benchmark) external view returns (int256);
    /// @notice The largest withdrawal of an asset that passes now, and what the vault could pay; both in token units.
    /// @dev Exact: `withdraw` of `amount` passes and of `amount + 1` fails, as long as the token itself transfers.
    function largestWithdrawal(Account account, uint16 asset) external view returns (uint256 amount, uint256 available);

    /// @notice Reserves, losses to come, and what cash costs: docs/ledger.md, sections 1 and 5.
    function solvency() external view returns (Solvency memory);
    /// @notice What an account would bear of the losses that are known and not yet booked, if they were booked now.
    function lossShare(Account account) external view returns (LossShare memory);

    /// @notice What an instrument is, in words: "ETH perpetual, in dollars", "ETH-25DEC26" for a future,
    /// "ETH-25DEC26-2000-C" for a call, "ETH-25DEC26-2000-P" for a put. Without a name of its underlying the number
    /// stands for it: "perpetual on underlying 7, in dollars", "7-25DEC26". Reverts with
    /// `IMarginEngine.UnknownInstrument` for what is no instrument of a listed underlying.
    function describe(Instrument instrument) external view returns (string memory);
    /// @notice What people call an underlying; empty where governance named none.
    function symbol(uint16 underlying) external view returns (string memory);

    /// @notice The terms and the open interest of each instrument; all zero for one that cannot be read.
    function markets(Instrument[] calldata instruments)
        external
        view
        returns (Market[] memory, uint256[] memory openInterest);
    /// @notice An asset as it stands; asset 0 is the settlement token, whose `perToken` is zero.
    function asset(uint16 id) external view returns (AssetView memory);
    /// @notice The same of many; all zero for one that cannot be read.
    function assets(uint16[] calldata ids) external view returns (AssetView[] memory);
    function underlying(uint16 id) external view returns (UnderlyingView memory);
    /// @notice The same of many.
    function underlyings(uint16[] calldata ids) external view returns (UnderlyingView[] memory);
}
