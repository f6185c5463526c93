// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Account} from "./Types.sol";
import {ICollateralVault} from "./ICollateralVault.sol";
import {ILedger} from "./ILedger.sol";
import {ILiquidationModule} from "./ILiquidationModule.sol";
import {Delegation, ITradingModule} from "./ITradingModule.sol";

/// @notice Called by `unlock`; may call the ClearingHouse as often as it likes.
interface IUnlockCallback {
    function unlockCallback(bytes calldata data) external returns (bytes memory);
}

/// @title The door: accounts, cash, collateral, delegation, batches, and the one check
/// @dev Every entry that `multicall` may carry is payable, because the parts of a batch see its value; outside a batch
/// only `updatePyth` accepts any.
interface IClearingHouse is ILedger, ITradingModule, ILiquidationModule {
    event Deposited(
        Account indexed account, address indexed owner, uint16 indexed asset, address payer, uint256 amount
    );
    event Withdrawn(Account indexed account, address indexed owner, uint16 indexed asset, address to, uint256 amount);
    event Transferred(Account indexed from, Account indexed to, uint16 indexed asset, uint256 amount);
    event PauseSet(uint256 actions, uint256 assets, address by);
    event EngineSubmitted(address engine, uint256 readyAt);
    event EngineAccepted(address oldEngine, address newEngine);
    event EngineRevoked(address engine);
    event BackstopBound(address backstop);

    /// Strangers can add to what an account holds, never open a new slot in it.
    error OnlyOwnerOpens(Account account, uint16 asset);
    error InsufficientCollateral(Account account, uint16 asset, uint256 balance, uint256 amount);
    /// The permit gave the vault no allowance.
    error PermitFailed(uint16 asset, uint256 allowance, uint256 amount);
    error NotYourSubAccount(Account from, Account to);
    error NotSealed();
    error UnsupportedDecimals(uint256 decimals);
    /// The settlement token is cash; it cannot be collateral beside.
    error SettlementTokenListed(uint16 asset);
    error EngineNotReady(uint256 readyAt);
    error EngineInvalid(address engine);
    /// Liquidation was paused within the last day.
    error PausedTooRecently(uint256 readyAt);
    /// A `multicall` inside a `multicall`.
    error MulticallNested();
    error UnexpectedValue(address from, uint256 amount);
    /// The backstop is bound once.
    error AlreadyBound(address backstop);

    /// @notice Pays `amount` of an asset into an account, from the caller, who has approved the vault.
    /// @param asset Asset id; 0 is the settlement token and becomes cash.
    /// @return received What arrived and was credited, in token units.
    function deposit(Account account, uint16 asset, uint256 amount) external payable returns (uint256 received);
    /// @notice The same by Permit2: the caller has approved that, not the vault, and signed a transfer of `amount` by
    /// the vault.
    /// @param nonce Permit2's, unused.
    /// @param deadline Last second at which the signature is good.
    function depositPermit2(
        Account account,
        uint16 asset,
        uint256 amount,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external payable returns (uint256 received);
    /// @notice Approves the vault for the caller by his ERC-2612 signature, to deposit in the same batch.
    /// @dev A permit that somebody else has already brought is no failure: only the allowance counts.
    function permit(uint16 asset, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external payable;
    /// @notice Pays out to `to`. Only the owner. Ends in the initial-margin check.
    function withdraw(Account account, uint16 asset, uint256 amount, address to) external payable;
    /// @notice Moves an asset between two accounts of one owner. `amount` in token units; of cash in 18 decimals.
    function transfer(Account from, Account to, uint16 asset, uint256 amount) external payable;
    /// @notice What a delegate was granted last, over or not.
    function delegation(Account account, address delegate) external view returns (Delegation memory);
    /// @notice How many grants were made for an account: what the next signed one must name.
    function grantNonce(Account account) external view returns (uint256);
    /// @notice Gives settlement tokens to the reserves; repays the deficit first.
    function addReserves(uint256 amount) external payable;
    /// @notice Runs calls to this contract in one go and checks every touched account once, at the end.
    function multicall(bytes[] calldata calls) external payable returns (bytes[] memory results);
    /// @notice Calls the caller back and checks every account touched meanwhile once, at the end.
    function unlock(bytes calldata data) external payable returns (bytes memory);
    /// @notice Passes signed price updates on to Pyth, from `msg.value`; what is left returns to the caller.
    function updatePyth(address pyth, bytes[] calldata updates) external payable;
    /// @notice Moves the crowd rate of an asset towards what the vault holds. Anyone.
    function noteTotal(uint16 asset) external payable;

    /// @notice Sets which actions and assets are paused. The guardian adds, the governor also lifts.
    /// @param actions Bit 0 deposits, 1 withdrawals and transfers, 2 trades that add risk, 3 liquidation.
    /// @param assets Bit per asset id.
    /// @dev A pause of liquidation ends by itself after `MAX_LIQUIDATION_PAUSE`. No pause blocks a trade that reduces.
    function setPause(uint256 actions, uint256 assets) external;
    function pauseState() external view returns (uint256 actions, uint256 assets, uint256 liquidationResumesAt);
    function submitEngine(address engine) external;
    function acceptEngine() external;
    function revokeEngine() external;

    /// @notice Gives the reserves to the holders of a backstop's shares, for good. Before the engine is sealed.
    function bindBackstop(address backstop) external;

    function VAULT() external view returns (ICollateralVault);
    function SETTLEMENT_TOKEN() external view returns (address);
    function TRADING_MODULE() external view returns (address);
    function LIQUIDATION_MODULE() external view returns (address);
}
