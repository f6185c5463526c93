// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC165} from "@openzeppelin/contracts/interfaces/IERC165.sol";
import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";

import {IERC7540Operator, IERC7540Redeem} from "./external/IERC7540.sol";
import {IClearingHouse} from "./IClearingHouse.sol";
import {Order} from "./ITradingModule.sol";
import {Account} from "./Types.sol";

/// @notice A sub-account that holds a slice.
struct SubAccount {
    Account account;
    /// When it took its slice, seconds.
    uint256 since;
    /// The most by which its orders may miss the mark, in parts of their gross value, bps.
    uint256 slackCap;
}

/// @notice What the vault would take of an account now. Dollars with 18 decimals.
struct Slice {
    /// 18 decimals.
    uint256 fraction;
    /// Negative when the waterfall pays the vault.
    int256 price;
    /// What the sub-account gets from the reserves.
    uint256 funding;
    /// Of its positions and collateral, at index prices.
    uint256 gross;
    /// As in `SubAccount`.
    uint256 slackCap;
}

/// @notice The redemptions requested in one epoch.
struct RedemptionEpoch {
    /// Shares that were requested.
    uint256 shares;
    /// What they fetched, in token units; meaningful once settled.
    uint256 assets;
    bool settled;
}

/// @title First-loss capital of the house that buys from its auctions: docs/ledger.md, section 8
/// @dev The reserves of the ClearingHouse belong to the holders of shares. ERC-4626 with two valuations: shares are
/// minted at the upper and redeemed at the lower one, which is `totalAssets`. Redemption is by request, ERC-7540: a
/// request id is an epoch's number, `redeem` and `withdraw` pay what settled, and their previews revert.
///
/// Assumed of the settlement token: what was sent arrives, whole.
interface IBackstopVault is IERC4626, IERC7540Redeem, IERC7540Operator, IERC1271, IERC165 {
    event EpochSettled(uint256 indexed epoch, uint256 shares, uint256 assets);
    event SliceBought(
        Account indexed account,
        Account indexed subAccount,
        uint256 fraction,
        int256 price,
        uint256 funding,
        uint256 slackCap
    );
    event CollateralSold(
        Account indexed subAccount,
        uint16 indexed asset,
        address indexed buyer,
        address to,
        uint256 amount,
        uint256 cost
    );
    /// `amount` in dollars with 18 decimals. `freed`: the sub-account holds nothing any more.
    event Swept(Account indexed subAccount, uint256 amount, bool freed);

    error ZeroAmount();
    /// The settlement token delivered another amount than was sent.
    error TransferIncomplete(uint256 sent, uint256 arrived);
    /// ERC-7540: what a request will fetch is not known before it settles.
    error AsynchronousRedemption();
    error NotOperator(address controller, address caller);
    error NothingToSettle();
    error EpochRunning(uint256 epoch, uint256 endsAt);
    /// A sub-account's price is doubtful: no valuation of now is good enough to settle on.
    error ValuationDoubtful();
    /// The vault takes nothing from itself.
    error OwnSubAccount(Account account);
    error TooManySubAccounts(uint256 inUse);
    error TooShallow(Account account, uint256 depth, uint256 least);
    /// The discount of the slice pays for less slack than an order starts with.
    error DiscountTooSmall(Account account, uint256 slackCap, uint256 least);
    error SliceTooSmall(Account account, uint256 gross, uint256 least);
    error NotInUse(Account account);
    error WrongDigest(bytes32 digest, bytes32 orderHash);
    error WrongSigner(address signer);
    error NotReduceOnly(Account account);
    error ExpiryTooFar(uint256 expiry, uint256 latest);
    /// `worst` is the last price that the vault signs.
    error PriceBeyondSlack(int256 price, int256 worst);
    error CostAboveLimit(uint256 cost, uint256 maxCost);
    error NothingToSweep(Account account);

    function CLEARING_HOUSE() external view returns (IClearingHouse);
    /// @notice ERC-7575: the shares are this contract's.
    function share() external view returns (address);

    /// @notice What the shares are worth, dollars with 18 decimals.
    /// @return upper What is paid for shares: reserves, and the equity of sub-accounts where it is positive.
    /// @return lower What they fetch: reserves less provisions, and the lower equity of each sub-account.
    /// @return doubtful Whether a price of a sub-account is doubtful: then nothing is minted or settled.
    function valuation() external view returns (uint256 upper, uint256 lower, bool doubtful);

    /// @notice Settles the oldest epoch that ended with requests, at the lower valuation of now. Anyone. Reverts while
    /// provisions are open, after a halt, at a doubtful price, or with too little in free reserves or tokens.
    /// @return epoch Which.
    /// @return assets What it fetched in all, in token units.
    function settleEpoch() external returns (uint256 epoch, uint256 assets);
    /// @notice The epoch that requests of now join, and when it ends, seconds.
    function openEpoch() external view returns (uint256 epoch, uint256 endsAt);
    /// @notice The oldest epoch that waits to be settled, and when it ends, seconds; zero when none waits.
    function nextEpoch() external view returns (uint256 epoch, uint256 endsAt);
    function redemptions(uint256 epoch) external view returns (RedemptionEpoch memory);

    /// @notice Takes of an account in auction the largest slice that every limit allows, with a sub-account of its own.
    /// Anyone: the caller chooses nothing but the account and the moment.
    function bid(Account account) external returns (Account subAccount, uint256 fraction, int256 price);
    /// @notice What `bid` would take; reverts as it would, save for what the ClearingHouse finds.
    function quoteSlice(Account account) external view returns (Slice memory);
    /// @notice The sub-accounts in use.
    function subAccounts() external view returns (SubAccount[] memory);
    /// @notice By how much an order of the sub-account may now miss the mark, bps of its gross value.
    function slackOf(Account subAccount) external view returns (uint256);

    /// @notice ERC-1271, for the ClearingHouse: `signature` is the abi-encoded `Order` with the digest `hash`. Any such
    /// order is signed that passes `requireSignable`; reverts for every other.
    function isValidSignature(bytes32 hash, bytes memory signature) external view returns (bytes4);
    /// @notice Reverts unless the order reduces a sub-account in use, lives at most an hour, every leg has a good
    /// price, and its price misses the package's mark by at most the slack.
    function requireSignable(Order calldata order) external view;
    /// @notice Sells collateral of a sub-account, at the index price less the slack. Anyone who has approved this
    /// vault. @param amount In the asset's units.
    /// @param maxCost Most to pay, in units of the settlement token.
    /// @return cost What was paid, in units of the settlement token, rounded up.
    function buyCollateral(Account subAccount, uint16 asset, uint256 amount, uint256 maxCost, address to)
        external
        returns (uint256 cost);
    function quoteCollateral(Account subAccount, uint16 asset, uint256 amount) external view returns (uint256 cost);
    /// @notice Returns to the reserves the cash that a sub-account does not need, and frees one that holds nothing.
    /// Anyone.
    /// @return amount Dollars with 18 decimals.
    function sweep(Account subAccount) external returns (uint256 amount);
}
