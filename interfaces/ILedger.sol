// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Account, Instrument, Margin, Portfolio} from "./Types.sol";
import {IMarginEngine} from "./IMarginEngine.sol";

/// @notice The cash pool with the interest up to now. Values in dollars with 18 decimals; indices in 27.
struct Pool {
    uint256 supplyIndex;
    uint256 borrowIndex;
    /// When interest was last booked, seconds.
    uint256 accruedAt;
    /// Sum of positive balances, at the supply index, rounded up.
    uint256 supplied;
    /// Sum of negative balances, at the borrow index, rounded down.
    uint256 borrowed;
    /// Sum of every position's quote: cash minus this, over all accounts, is what was paid in.
    int256 netQuote;
    /// First-loss capital: fees and what anybody gave.
    uint256 reserves;
    /// Losses that nobody has borne yet.
    uint256 deficit;
}

/// @title What every part of the ClearingHouse shares: storage views, events of the books, common errors
interface ILedger {
    /// The cash of an account changed for a reason other than a deposit, withdrawal or transfer.
    event CashMoved(Account indexed account, address indexed owner, int256 change);
    /// A position changed. `size` and `quote` are what the account holds now.
    event PositionChanged(
        Account indexed account, address indexed owner, Instrument indexed instrument, int256 size, int256 quote
    );
    /// A loss was borne, in this order; dollars with 18 decimals.
    event LossBooked(Account indexed account, uint256 fromReserves, uint256 fromSuppliers, uint256 toDeficit);
    /// What may leave of an asset within an hour; the maximum for no limit.
    event OutflowLimitSet(uint16 indexed asset, uint256 limit);
    /// The loss that the auction of an account is about to leave, dollars with 18 decimals.
    event ProvisionSet(Account indexed account, uint256 amount);
    /// Who withdrew cash left this to the reserves for losses to come, dollars with 18 decimals.
    event ProvisionCharged(Account indexed account, address indexed owner, uint256 charge);
    event ReservesAdded(address indexed from, uint256 amount, uint256 repaidDeficit);

    /// Neither owner nor, where that is enough, a delegate.
    error NotAuthorised(Account account, address caller);
    /// A delegate acts only in the markets that he was granted.
    error DelegateMarket(Account account, address delegate, Instrument instrument);
    /// What a delegate does may not leave more than this: the value of all positions at their marks, rounded up, to
    /// equity, in hundredths.
    error LeverageExceeded(Account account, uint256 value, int256 equity, uint256 maxLeverage);
    error Reentered();
    error Paused(uint256 action, uint16 asset);
    error BelowInitialMargin(Account account, int256 initialEquity, uint256 initialMargin);
    /// The account is below initial margin and this change would worsen a ratio.
    error RatioWorsened(Account account, Margin before_, Margin after_);
    /// A doubtful price forbids what adds risk.
    error DoubtfulPrice(Account account);
    error TooManyPositions(Account account, uint256 count);
    /// Ether is accepted only by `updatePyth` and `multicall`.
    error ValueNotAccepted(uint256 value);
    /// Cash leaves no account in a transaction that books a loss.
    error CashOutWithLoss();
    error ZeroAmount();
    /// More of an asset would leave within the hour than may.
    error OutflowLimited(uint16 asset, uint256 outflow, uint256 limit);
    /// A loss went beyond the reserves: only trades that reduce both sides, until the halt is lifted.
    error RiskHalted();
    /// The house is being wound down: only trades that reduce both sides, and none from the seventh day on.
    error Shut();
    /// Positions are being closed out: from an account that has any nothing leaves, and no auction judges it.
    error PositionsOpen(Account account);
    /// The pool has lent out what it would have to pay.
    error InsufficientLiquidity(uint256 available, uint256 amount);
    /// Winners have turned more into cash than losers have settled: settle the losers first.
    error WinnersCapExceeded(uint256 unpaid, uint256 cap);

    function engine() external view returns (IMarginEngine);
    /// @notice Everything an account holds.
    function portfolio(Account account) external view returns (Portfolio memory);
    /// @notice Equity and margins of an account: one cold call.
    function margin(Account account) external view returns (Margin memory);
    /// @notice The order epoch and the content version of an account.
    function versions(Account account) external view returns (uint256 epoch, uint256 version);
    function pool() external view returns (Pool memory);
    /// @notice What may leave of an asset within an hour, and what has: token units, of cash millionths of a dollar.
    /// @return limit The maximum where there is none.
    /// @return used What left within the running hour on balance; of cash, none without a limit.
    /// @return windowStart When the last hour began, seconds.
    function outflow(uint16 asset) external view returns (uint256 limit, uint256 used, uint256 windowStart);
    /// @notice The losses that auctions are about to leave, dollars with 18 decimals. Beyond the reserves, whoever
    /// withdraws cash pays for them.
    function provisions() external view returns (uint256 total);
    /// @notice Who alone may draw on the reserves; zero before it is bound.
    function backstop() external view returns (address);
    /// @notice Sum of the positive sizes of all instruments of the instrument's underlying, 18 decimals.
    function openInterest(Instrument instrument) external view returns (uint256);
    /// @notice What all accounts own of an asset, in token units. Asset 0 is the settlement token: zero, see `pool`.
    function claims(uint16 asset) external view returns (uint256);
    /// @notice The raw storage of the ClearingHouse, for views that live elsewhere.
    function extsload(bytes32[] calldata slots) external view returns (bytes32[] memory);
}
