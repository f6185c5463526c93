// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Account, Instrument} from "./Types.sol";

/// @notice One leg of an order: `ratio` units of the instrument for each unit of the order, 18 decimals, signed.
struct Leg {
    Instrument instrument;
    int256 ratio;
}

/// @notice A signed intent to trade a package of 1 to 8 legs at one net price. The EIP-712 type has the same names.
struct Order {
    /// The account that trades.
    Account account;
    /// Who signs: the account's owner or its delegate.
    address signer;
    /// The only counterparty owner allowed; zero for anyone.
    address taker;
    /// In ascending order of instrument, so that one package has one spelling.
    Leg[] legs;
    /// Units of the package; positive buys it, negative sells it. 18 decimals.
    int256 quantity;
    /// Worst net price per unit, dollars with 18 decimals: most paid by a buyer, least got by a seller. May be
    /// negative.
    int256 price;
    /// Least units of one fill, unless less is left. 18 decimals.
    uint256 minimumFill;
    /// Whether each leg must bring its position closer to zero without crossing it.
    bool reduceOnly;
    /// Last second at which it may be filled.
    uint256 expiry;
    /// Must equal the account's order epoch.
    uint256 epoch;
    uint256 salt;
}

/// @notice What the owner of an account grants a delegate: to sign orders for it, to take them, to raise its epoch, and
/// to bid where that is said. The EIP-712 type `Delegate` has the same fields.
/// @dev Warning: whoever trades for an account can lose what it holds, by trading at a bad price. A grant bounds where,
/// which way and how large; it is no limit on loss.
struct Delegation {
    /// Last second at which it holds; zero ends it.
    uint256 expiry;
    /// Whether he may bid with the account.
    bool mayBid;
    /// Whether each leg that he trades must bring its position closer to zero without crossing it. Says nothing of
    /// bids.
    bool reduceOnly;
    /// The value of all positions, of options at the index price, to equity, in hundredths, that a fill with a leg that
    /// does not reduce, or a bid, may leave; zero for no maximum.
    uint256 maxLeverage;
    /// The underlyings whose instruments he may trade, and hold positions in on whom he may bid: bit per id; zero for
    /// all.
    uint256 markets;
}

/// @title Orders, fills, and who else may trade for an account
interface ITradingModule {
    event OrderFilled(
        bytes32 indexed orderHash,
        Account indexed account,
        Account indexed counterparty,
        int256 quantity,
        int256 price,
        uint256 fee
    );
    event OrderCancelled(bytes32 indexed orderHash, Account indexed account);
    event DelegateSet(Account indexed account, address indexed owner, address indexed delegate, Delegation delegation);
    event EpochRaised(Account indexed account, address indexed owner, uint256 epoch);
    event VariationSettled(
        Account indexed account, address indexed owner, Instrument indexed instrument, int256 amount
    );

    /// What a unit of a position is worth beyond its quote, for everybody: dollars with 18 decimals.
    event MarketFixed(Instrument indexed instrument, int256 basis);
    event ClosedOut(Account indexed account, address indexed owner, Instrument indexed instrument, int256 amount);

    error OrderExpired(bytes32 orderHash, uint256 expiry);
    error OrderEpochPassed(bytes32 orderHash, uint256 orderEpoch, uint256 accountEpoch);
    error OrderSpent(bytes32 orderHash, uint256 filled);
    error WrongTaker(bytes32 orderHash, address taker);
    /// @param digest Of the order or grant.
    error InvalidSignature(bytes32 digest, address signer);
    /// The grant was not brought in time.
    error GrantExpired(bytes32 digest, uint256 deadline);
    error BelowMinimumFill(bytes32 orderHash, uint256 quantity, uint256 minimum);
    error NotReducing(bytes32 orderHash, Instrument instrument, int256 held, int256 change);
    /// Not 1 to 8 legs in ascending order of instrument, or a leg without a ratio.
    error LegsInvalid(bytes32 orderHash);
    error OrdersDoNotMatch(bytes32 orderHash, bytes32 otherHash);
    error PricesDoNotCross(int256 buyPrice, int256 sellPrice);
    /// Trading with oneself would only print.
    error SelfTrade(Account account);
    error MarketClosed(Instrument instrument);
    /// The surface that the instrument is priced with is too old: no new risk, and no variation becomes cash.
    error SurfaceStale(Instrument instrument);
    /// Expired, but its fixing lacks samples: record them first, `IReportModule.recordFixing`.
    error FixingIncomplete(Instrument instrument);
    /// `value` is what is held long of all instruments of the underlying, at its index price; `cap` the lower of the
    /// market's cap and of what the reserves can carry. Dollars with 18 decimals.
    error OpenInterestCapExceeded(Instrument instrument, uint256 value, uint256 cap);
    error PriceNotOk(Instrument instrument, uint256 status);
    error SettlementTokenDepegged();
    /// The value of the instrument is fixed: its positions are closed out, nothing else.
    error MarketEnded(Instrument instrument);
    error NotShut();
    error TooEarlyToClose(uint256 closesAt);

    /// @notice Matches two orders at the maker's price. Anyone may call.
    /// @param quantity Units to fill, 18 decimals, unsigned.
    /// @return filled What was filled: `quantity`, or what was left of either order.
    function trade(
        Order calldata maker,
        bytes calldata makerSignature,
        Order calldata taker,
        bytes calldata takerSignature,
        uint256 quantity
    ) external payable returns (uint256 filled);
    /// @notice Takes a signed order with an account that the caller owns or trades for.
    function take(Order calldata maker, bytes calldata makerSignature, Account account, uint256 quantity)
        external
        payable
        returns (uint256 filled);
    /// @notice Makes an order unfillable. Its signer or the account's owner.
    function cancel(Order calldata order) external payable;
    /// @notice Makes every order of the account's present epoch unfillable.
    function raiseEpoch(Account account) external payable;
    /// @notice Grants `delegate` what the terms say, instead of what he was granted before. Only the owner.
    /// @dev Raises the account's grant nonce, and its epoch where an earlier grant to him has ended and this one holds:
    /// what he signed then stays dead.
    function setDelegate(Account account, address delegate, Delegation calldata terms) external payable;
    /// @notice The same, by the owner's signature over the account's present grant nonce. Anyone may bring it.
    /// @param deadline Last second at which it may be brought.
    function setDelegateBySig(
        Account account,
        address delegate,
        Delegation calldata terms,
        uint256 deadline,
        bytes calldata signature
    ) external payable;
    /// @notice Turns a position's variation into cash at the mark. Anyone. Changes nobody's equity. Only at a good
    /// price and, of a dated instrument, with a surface that is not stale. Once its fixing is complete the whole
    /// position becomes cash for good, whatever price and surface are by then.
    /// @return amount The cash moved, dollars with 18 decimals, rounded down; zero without a position.
    function settle(Account account, Instrument instrument) external payable returns (int256 amount);
    /// @notice Turns a position into cash for good, seven days after the house was shut. Anyone. The first one fixes
    /// the value of the instrument, at a price that is good or frozen and with the last surface there is; after its
    /// expiry only at what it was fixed at.
    /// @return amount The cash moved, dollars with 18 decimals, rounded down; zero without a position.
    function closeOut(Account account, Instrument instrument) external payable returns (int256 amount);
    /// @notice How much of an order is filled, 18 decimals; the maximum when it was cancelled.
    function filledOf(bytes32 orderHash) external view returns (uint256);
    /// @notice The EIP-712 digest of an order.
    function hashOrder(Order calldata order) external view returns (bytes32);
    /// @notice The EIP-712 digest of a grant.
    function hashDelegate(Account account, address delegate, Delegation calldata terms, uint256 nonce, uint256 deadline)
        external
        view
        returns (bytes32);
}
