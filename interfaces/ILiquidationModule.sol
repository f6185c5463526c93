// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Account} from "./Types.sol";

/// @notice How far the auction of an account is.
enum AuctionState {
    NONE,
    /// Seen below maintenance once; a second look may flag it.
    OBSERVED,
    /// The clock runs.
    RUNNING,
    /// The clock stands: a price is doubtful, or liquidation is paused.
    HALTED,
    /// The account is healthy again but not restored: the clock runs back.
    STANDING
}

struct Auction {
    AuctionState state;
    /// When the account was first seen below maintenance, seconds.
    uint256 observedAt;
    /// The clock at `tickedAt`, seconds.
    uint256 elapsed;
    uint256 tickedAt;
}

struct Bid {
    /// The account to take a slice of.
    Account account;
    /// The account that takes it; the caller's.
    Account bidder;
    /// Fraction wanted, 18 decimals; cut to what restores the account.
    uint256 fraction;
    /// Most to pay in dollars with 18 decimals; negative: least to be paid.
    int256 maxPrice;
    /// Last second at which the bid is good.
    uint256 deadline;
    /// The content version that the bid was made for; zero for any.
    uint256 version;
}

/// @title The auction, slices, the waterfall and its reserves
interface ILiquidationModule {
    event AuctionObserved(Account indexed account, address indexed owner, int256 equity, uint256 maintenanceMargin);
    event AuctionFlagged(Account indexed account, address indexed owner, int256 equity, uint256 maintenanceMargin);
    event AuctionHalted(Account indexed account, address indexed owner, uint256 elapsed);
    event AuctionStanding(Account indexed account, address indexed owner, uint256 elapsed);
    event AuctionReset(Account indexed account, address indexed owner);
    /// A slice changed hands. `price` is negative when the waterfall paid the bidder `payout`.
    event SliceTaken(
        Account indexed account, Account indexed bidder, uint256 fraction, int256 price, uint256 payout, uint256 depth
    );
    event WrittenOff(Account indexed account, address indexed owner, uint256 debt);
    /// Reserves became cash of an account of the backstop; dollars with 18 decimals.
    event ReservesDrawn(Account indexed account, uint256 amount);
    event ReservesReturned(Account indexed account, uint256 amount);
    /// Reserves left as settlement tokens; dollars with 18 decimals.
    event ReservesPaid(address to, uint256 amount);

    /// New risk stopped, or may be taken again.
    event HaltSet(bool halted);
    event ResumeSubmitted(uint256 readyAt);
    event ResumeRevoked();
    event ShutdownSubmitted(uint256 readyAt);
    event ShutdownRevoked();
    event ShutdownAccepted();
    /// What borrowed cash costs from here on: kink and share of the reserves in percent, rates in tenths of a percent a
    /// year.
    event LendingTermsSet(uint256 kink, uint256 rateAtKink, uint256 rateAtFull, uint256 reserveShare);

    error AccountHealthy(Account account, int256 equity, uint256 maintenanceMargin);
    /// The second look came too early.
    error ObservedTooRecently(Account account, uint256 readyAt);
    error NotInAuction(Account account, AuctionState state);
    /// The clock runs, or stands for a doubt that lasts: there is nothing to flag.
    error AuctionAlreadyRunning(Account account);
    /// The bid is in the block of the flag.
    error SameBlock(Account account);
    error NotRestored(Account account, int256 equity, uint256 target);
    error StillUnhealthy(Account account, int256 equity, uint256 maintenanceMargin);
    error PriceAboveLimit(int256 price, int256 maxPrice);
    error BidExpired(uint256 deadline);
    error VersionChanged(uint256 version, uint256 expected);
    /// An account with a check pending in this transaction can be neither flagged, bid on, cured nor settled.
    error CheckPending(Account account);
    error SelfBid(Account account);
    error FractionInvalid(uint256 fraction);
    /// A payout is due, but a price of the slice is doubtful.
    error NoPayoutOnDoubtfulPrice(Account account);
    error PayoutAboveCap(uint256 payout, uint256 cap);
    error NothingToWriteOff(Account account);
    error NotHalted();
    error ResumeNotReady(uint256 readyAt);
    error ShutdownNotReady(uint256 readyAt);
    error OnlyBackstop(address caller);
    /// Losses are about to be booked: more than a thousandth of the reserves.
    error ProvisionOpen(uint256 total);
    error InsufficientReserves(uint256 available, uint256 amount);

    /// @notice Looks at an account, observing its prices first. Below maintenance at two looks at least 12 s apart, its
    /// auction starts; below maintenance again while standing or halted, its clock runs on; while it runs, only the
    /// loss it is about to leave is noted anew. Anyone.
    function flag(Account account) external payable;
    /// @notice Takes a slice. A caller who owns or trades for `bid.bidder`.
    /// @return fraction What was taken, 18 decimals.
    /// @return price What the bidder paid, dollars with 18 decimals; negative when he was paid.
    function bid(Bid calldata bid) external payable returns (uint256 fraction, int256 price);
    /// @notice Says that an auction's clock must not run: the account is healthy, or a price doubtful. Anyone.
    function standStill(Account account) external payable;
    /// @notice Ends the auction of an account restored to its target. Anyone.
    function reset(Account account) external payable;
    /// @notice Writes off an account with debt and nothing else. Anyone.
    function writeOff(Account account) external payable;
    /// @notice Asks that a halt be lifted; it waits two days. A loss of a thousandth of what suppliers have withdraws
    /// it. Governor.
    function submitResume() external;
    /// @notice Lifts a halt, when its time has come. Anyone.
    function acceptResume() external;
    /// @notice Withdraws what was submitted. Governor or guardian.
    function revokeResume() external;
    /// @notice Asks that the house be wound down; it waits two days. Governor.
    function submitShutdown() external;
    /// @notice Shuts the house for good: no trade adds risk, and seven days later `closeOut` opens. Anyone.
    function acceptShutdown() external;
    /// @notice Withdraws what was submitted. Governor or guardian.
    function revokeShutdown() external;
    /// @notice How far the house is from being wound down. Times in seconds, zero for none.
    function windDown() external view returns (bool halted, uint256 resumeReadyAt, uint256 shutReadyAt, uint256 shutAt);
    /// @notice The loss that the auction of an account is about to leave, dollars with 18 decimals.
    function provisionOf(Account account) external view returns (uint256);
    /// @notice Brings the copies of the engine's words for an asset up to those in force: its outflow limit, and for
    /// cash the terms of loans, after booking the interest at the old ones. Of cash it also notes what the vault holds,
    /// from which the outflow of the next hour is measured. Anyone.
    function refresh(uint16 asset) external payable;
    /// @notice Turns reserves into cash of an account of the backstop's. Only the backstop.
    /// @param amount Dollars with 18 decimals.
    function drawReserves(Account account, uint256 amount) external payable;
    /// @notice Turns cash of an account into reserves. Only the owner. Ends in the initial-margin check.
    /// @param amount Dollars with 18 decimals; repays the deficit first.
    function returnReserves(Account account, uint256 amount) external payable;
    /// @notice Pays reserves out to `to`. Only the backstop. Waits where a withdrawal of cash would, while new risk is
    /// halted, and while auctions are about to leave losses of more than a thousandth of the reserves.
    /// @param units Settlement tokens.
    function payReserves(address to, uint256 units) external payable;
    function auction(Account account) external view returns (Auction memory, uint256 depth);
    /// @notice The largest fraction and the price of a slice now; the same calculation as `bid`.
    function quoteBid(Account account, uint256 fraction)
        external
        view
        returns (uint256 taken, int256 price, uint256 depth);
}
