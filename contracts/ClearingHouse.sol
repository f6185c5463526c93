// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IClearingHouse, IUnlockCallback} from "../interfaces/IClearingHouse.sol";
import {ICollateralVault} from "../interfaces/ICollateralVault.sol";
import {IHaircutRegistry} from "../interfaces/IHaircutRegistry.sol";
import {Bid, ILiquidationModule} from "../interfaces/ILiquidationModule.sol";
import {IMarginEngine} from "../interfaces/IMarginEngine.sol";
import {IParameterModule} from "../interfaces/IParameterModule.sol";
import {Delegation, ITradingModule, Order} from "../interfaces/ITradingModule.sol";
import {Account, Instrument} from "../interfaces/Types.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {CashPool} from "./libraries/CashPool.sol";
import {Custody} from "./libraries/Custody.sol";
import {Delegations} from "./libraries/Delegations.sol";
import {EtherBudget} from "./libraries/EtherBudget.sol";
import {Recall} from "./libraries/Journal.sol";
import {Modules} from "./libraries/Modules.sol";
import {Scope} from "./libraries/Scope.sol";
import {AuctionBook} from "./AuctionBook.sol";
import {CollateralVault} from "./CollateralVault.sol";
import {DEPOSITS, HALTED, LIQUIDATION, SHUT, WITHDRAWALS} from "./Gate.sol";
import {ASSET_LIMIT, CASH, CASH_DECIMALS} from "./Ledger.sol";
import {OrderBook} from "./OrderBook.sol";

/// @dev How long a new engine waits.
uint256 constant ENGINE_DELAY = 2 days;
/// @dev A pause of liquidation ends by itself after the first, and cannot follow another within the second.
uint256 constant MAX_LIQUIDATION_PAUSE = 6 hours;
uint256 constant LIQUIDATION_PAUSE_COOLDOWN = 1 days;

/// @dev What only losses and the shutdown stop.
uint256 constant UNPAUSABLE = 1 << HALTED | 1 << SHUT;

/// @title The door
/// @dev Trading and liquidation are immutable modules that run on this storage by delegatecall.
contract ClearingHouse is IClearingHouse, OrderBook, AuctionBook, AccessManaged {
    using Accounts for Account;
    using CashPool for CashPool.State;
    using Custody for Custody.State;
    using Delegations for Delegations.Grant;
    using SafeCast for uint256;

    struct EngineSubmission {
        IMarginEngine engine;
        /// Zero when nothing waits.
        uint40 readyAt;
    }

    /// @inheritdoc IClearingHouse
    ICollateralVault public immutable VAULT;
    /// @inheritdoc IClearingHouse
    address public immutable SETTLEMENT_TOKEN;
    /// @inheritdoc IClearingHouse
    address public immutable TRADING_MODULE;
    /// @inheritdoc IClearingHouse
    address public immutable LIQUIDATION_MODULE;

    /// @dev Dollars of 18 decimals in one unit of the settlement token.
    uint256 private immutable _scale;

    EngineSubmission private _submission;

    constructor(
        address manager,
        IMarginEngine engine_,
        address settlementToken,
        address permit2,
        address tradingModule,
        address liquidationModule
    ) AccessManaged(manager) {
        uint256 decimals = IERC20Metadata(settlementToken).decimals();
        if (decimals > CASH_DECIMALS) revert UnsupportedDecimals(decimals);
        _scale = 10 ** (CASH_DECIMALS - decimals);
        SETTLEMENT_TOKEN = settlementToken;
        TRADING_MODULE = tradingModule;
        LIQUIDATION_MODULE = liquidationModule;
        VAULT = new CollateralVault(permit2);
        _control.engine = engine_;
        _pool.initialize();
    }

    /// @dev Only what the engine returns of the value sent with a price update.
    receive() external payable {
        if (msg.sender != address(engine())) revert UnexpectedValue(msg.sender, msg.value);
    }

    /// @inheritdoc IClearingHouse
    function deposit(Account account, uint16 asset, uint256 amount) external payable scoped returns (uint256 received) {
        address token = _admit(account, asset);
        received = VAULT.collect(token, msg.sender, amount);
        _credit(account, asset, received);
    }

    /// @inheritdoc IClearingHouse
    function depositPermit2(
        Account account,
        uint16 asset,
        uint256 amount,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) external payable scoped returns (uint256 received) {
        address token = _admit(account, asset);
        received = VAULT.collectPermit2(token, msg.sender, amount, nonce, deadline, signature);
        _credit(account, asset, received);
    }

    /// @inheritdoc IClearingHouse
    function permit(uint16 asset, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        payable
        scoped
    {
        (address token, address vault) = (_tokenOf(asset), address(VAULT));
        // Whether it fails says nothing: it may have been brought before, and some tokens swallow any call.
        try IERC20Permit(token).permit(msg.sender, vault, amount, deadline, v, r, s) {} catch {}
        uint256 allowance = IERC20Metadata(token).allowance(msg.sender, vault);
        if (allowance < amount) revert PermitFailed(asset, allowance, amount);
    }

    /// @inheritdoc IClearingHouse
    function withdraw(Account account, uint16 asset, uint256 amount, address to) external payable scoped {
        _requireOwner(account);
        _requireNotPaused(WITHDRAWALS, asset);
        if (amount == 0) revert ZeroAmount();
        Edit memory edit = _open(account, Recall.DROPPED);
        (address token, uint256 claimsLeft) =
            asset == CASH ? _takeCash(edit, amount) : _takeCollateral(edit, asset, amount);
        _closeOutgoing(edit);
        _checkUnlessDeferred();
        emit Withdrawn(account, msg.sender, asset, to, amount);
        VAULT.release(token, to, amount, claimsLeft);
    }

    /// @inheritdoc IClearingHouse
    function transfer(Account from, Account to, uint16 asset, uint256 amount) external payable scoped {
        _requireOwner(from);
        if (from.owner() != to.owner() || from.equals(to)) revert NotYourSubAccount(from, to);
        _requireNotPaused(WITHDRAWALS, asset);
        if (amount == 0) revert ZeroAmount();
        Edit memory source = _open(from, Recall.DROPPED);
        Edit memory target = _open(to, Recall.KEPT);
        if (asset == CASH) {
            source.cash = -amount.toInt256();
            target.cash = amount.toInt256();
        } else {
            _reduceCollateral(source, asset, amount);
            _setCollateral(target, asset, _collateralOf(target, asset) + amount);
        }
        _closeOutgoing(source);
        _close(target);
        emit Transferred(from, to, asset, amount);
    }

    /// @inheritdoc IClearingHouse
    function delegation(Account account, address delegate) external view returns (Delegation memory) {
        return _grants[account][delegate].toView();
    }

    /// @inheritdoc IClearingHouse
    function grantNonce(Account account) external view returns (uint256) {
        return _grantNonce[account];
    }

    /// @inheritdoc IClearingHouse
    function addReserves(uint256 amount) external payable scoped {
        uint256 dollars = VAULT.collect(SETTLEMENT_TOKEN, msg.sender, amount) * _scale;
        emit ReservesAdded(msg.sender, dollars, _pool.addCapital(_control.lending, dollars));
    }

    /// @inheritdoc IClearingHouse
    function noteTotal(uint16 asset) external payable scoped {
        engine().noteTotal(asset, _custody[asset].total);
    }

    /// @inheritdoc IClearingHouse
    function multicall(bytes[] calldata calls) external payable returns (bytes[] memory results) {
        if (EtherBudget.isBatched()) revert MulticallNested();
        EtherBudget.begin(msg.value);
        bool outermost = Scope.open();
        results = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            results[i] = Address.functionDelegateCall(address(this), calls[i]);
        }
        if (outermost) _closeScope();
        _refund();
    }

    /// @inheritdoc IClearingHouse
    function unlock(bytes calldata data) external payable returns (bytes memory result) {
        _refuseValue();
        bool outermost = Scope.open();
        uint256 floor = EtherBudget.suspend();
        result = IUnlockCallback(msg.sender).unlockCallback(data);
        EtherBudget.resume(floor);
        if (outermost) _closeScope();
    }

    /// @inheritdoc IClearingHouse
    function updatePyth(address pyth, bytes[] calldata updates) external payable {
        bool alone = !EtherBudget.isBatched();
        if (alone) EtherBudget.begin(msg.value);
        Scope.enter();
        engine().updatePyth{value: EtherBudget.available()}(pyth, updates);
        Scope.leave();
        if (alone) _refund();
    }

    /// @inheritdoc IClearingHouse
    function setPause(uint256 actions, uint256 assets) external restricted {
        (uint256 actionsNow, uint256 assetsNow,) = pauseState();
        bool lifts = actionsNow & ~actions != 0 || assetsNow & ~assets != 0;
        if (lifts && !_isGovernor(msg.sender)) revert AccessManagedUnauthorized(msg.sender);
        _pauseLiquidation(actions >> LIQUIDATION & 1 == 1);
        uint256 kept = _control.pausedActions & UNPAUSABLE;
        _control.pausedActions = ((actions & ~(1 << LIQUIDATION | UNPAUSABLE)) | kept).toUint8();
        _control.someAssetPaused = assets != 0;
        _pausedAssets = assets.toUint96();
        emit PauseSet(actions, assets, msg.sender);
    }

    /// @inheritdoc IClearingHouse
    function pauseState() public view returns (uint256 actions, uint256 assets, uint256 liquidationResumesAt) {
        liquidationResumesAt = _control.liquidationResumesAt;
        actions = _control.pausedActions & ~UNPAUSABLE;
        if (block.timestamp < liquidationResumesAt) actions |= 1 << LIQUIDATION;
        assets = _pausedAssets;
    }

    /// @inheritdoc IClearingHouse
    function submitEngine(address engine_) external restricted {
        uint256 readyAt = block.timestamp + ENGINE_DELAY;
        _submission = EngineSubmission({engine: IMarginEngine(engine_), readyAt: readyAt.toUint40()});
        emit EngineSubmitted(engine_, readyAt);
    }

    /// @inheritdoc IClearingHouse
    function acceptEngine() external {
        EngineSubmission memory submission = _submission;
        address next = address(submission.engine);
        if (submission.readyAt == 0 || block.timestamp < submission.readyAt) revert EngineNotReady(submission.readyAt);
        address old = address(engine());
        _requireFit(submission.engine);
        delete _submission;
        _control.engine = submission.engine;
        emit EngineAccepted(old, next);
    }

    /// @inheritdoc IClearingHouse
    function revokeEngine() external restricted {
        emit EngineRevoked(address(_submission.engine));
        delete _submission;
    }

    /// @inheritdoc IClearingHouse
    function bindBackstop(address backstop_) external restricted {
        if (_backstop != address(0)) revert AlreadyBound(_backstop);
        if (engine().isSealed()) revert IParameterModule.AlreadySealed();
        _backstop = backstop_;
        emit BackstopBound(backstop_);
    }

    /// @inheritdoc ITradingModule
    function trade(Order calldata, bytes calldata, Order calldata, bytes calldata, uint256)
        external
        payable
        returns (uint256)
    {
        Modules.run(TRADING_MODULE);
    }

    /// @inheritdoc ITradingModule
    function take(Order calldata, bytes calldata, Account, uint256) external payable returns (uint256) {
        Modules.run(TRADING_MODULE);
    }

    /// @inheritdoc ITradingModule
    function cancel(Order calldata) external payable {
        Modules.run(TRADING_MODULE);
    }

    /// @inheritdoc ITradingModule
    function raiseEpoch(Account) external payable {
        Modules.run(TRADING_MODULE);
    }

    /// @inheritdoc ITradingModule
    function setDelegate(Account, address, Delegation calldata) external payable {
        Modules.run(TRADING_MODULE);
    }

    /// @inheritdoc ITradingModule
    function setDelegateBySig(Account, address, Delegation calldata, uint256, bytes calldata) external payable {
        Modules.run(TRADING_MODULE);
    }

    /// @inheritdoc ITradingModule
    function settle(Account, Instrument) external payable returns (int256) {
        Modules.run(TRADING_MODULE);
    }

    /// @inheritdoc ITradingModule
    function closeOut(Account, Instrument) external payable returns (int256) {
        Modules.run(TRADING_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function flag(Account) external payable {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function bid(Bid calldata) external payable returns (uint256, int256) {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function standStill(Account) external payable {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function reset(Account) external payable {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function writeOff(Account) external payable {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function refresh(uint16) external payable {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function drawReserves(Account, uint256) external payable {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function returnReserves(Account, uint256) external payable {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function payReserves(address, uint256) external payable {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function submitResume() external restricted {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function acceptResume() external {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function revokeResume() external restricted {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function submitShutdown() external restricted {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function acceptShutdown() external {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @inheritdoc ILiquidationModule
    function revokeShutdown() external restricted {
        Modules.run(LIQUIDATION_MODULE);
    }

    /// @dev The door knows its vault and token.
    function _heldCash() internal view override returns (uint256) {
        return IERC20Metadata(SETTLEMENT_TOKEN).balanceOf(address(VAULT)) * _scale;
    }

    function _requireSealed() private {
        if (!engine().isSealed()) revert NotSealed();
        _control.isSealed = true;
    }

    /// @return token What is to be collected for a deposit that may be made.
    function _admit(Account account, uint16 asset) private returns (address token) {
        _requireNotPaused(DEPOSITS, asset);
        if (!_control.isSealed) _requireSealed();
        if (asset == CASH) return SETTLEMENT_TOKEN;
        token = _custody[asset].token;
        if (token == address(0)) token = _adopt(asset);
        bool opens = !_wordOf(account).holds(asset);
        if (opens && msg.sender != account.owner()) revert OnlyOwnerOpens(account, asset);
    }

    function _credit(Account account, uint16 asset, uint256 received) private {
        if (asset == CASH) _creditCash(account, received);
        else _creditCollateral(account, asset, received);
        emit Deposited(account, account.owner(), asset, msg.sender, received);
    }

    function _creditCash(Account account, uint256 received) private {
        Edit memory edit = _open(account, Recall.KEPT);
        edit.cash = (received * _scale).toInt256();
        _close(edit);
    }

    function _creditCollateral(Account account, uint16 asset, uint256 received) private {
        Edit memory edit = _open(account, Recall.KEPT);
        uint256 holding = _collateralOf(edit, asset) + received;
        _setCollateral(edit, asset, holding);
        _close(edit);
        (uint256 total, uint256 growth) = _custody[asset].add(received);
        engine().admit(asset, total, growth, holding);
    }

    /// @dev The token of an asset that may never have been deposited.
    function _tokenOf(uint16 asset) private view returns (address token) {
        if (asset == CASH) return SETTLEMENT_TOKEN;
        token = _custody[asset].token;
        if (token == address(0)) token = engine().tokenOf(asset);
    }

    /// @dev Takes the token of an asset from the engine, once.
    function _adopt(uint16 asset) private returns (address token) {
        if (asset >= ASSET_LIMIT) revert IHaircutRegistry.UnknownAsset(asset);
        token = engine().tokenOf(asset);
        if (token == SETTLEMENT_TOKEN) revert SettlementTokenListed(asset);
        _custody[asset].token = token;
    }

    /// @return token The settlement token.
    /// @return claimsLeft Nothing: what the vault lends out it does not hold.
    function _takeCash(Edit memory edit, uint256 amount) private returns (address token, uint256 claimsLeft) {
        uint256 held = _requireCashFree(VAULT, SETTLEMENT_TOKEN, amount) * _scale;
        // `amount` is at most what the vault holds.
        uint256 dollars = amount * _scale;
        edit.cash = -(dollars + _countCashOut(edit.account, dollars, held)).toInt256();
        return (SETTLEMENT_TOKEN, 0);
    }

    /// @return token The asset's.
    /// @return claimsLeft What all accounts still own of it.
    function _takeCollateral(Edit memory edit, uint16 asset, uint256 amount)
        private
        returns (address token, uint256 claimsLeft)
    {
        _reduceCollateral(edit, asset, amount);
        Custody.State storage custody = _custody[asset];
        return (custody.token, custody.remove(asset, amount));
    }

    function _reduceCollateral(Edit memory edit, uint16 asset, uint256 amount) private {
        uint256 held = edit.word.holds(asset) ? _collateralOf(edit, asset) : 0;
        if (amount > held) revert InsufficientCollateral(edit.account, asset, held, amount);
        _setCollateral(edit, asset, held - amount);
    }

    function _closeScope() private {
        Scope.close();
        _checkUnlessDeferred();
        Scope.leave();
    }

    /// @dev Ends the batch and returns what it did not spend.
    function _refund() private {
        uint256 left = EtherBudget.available();
        EtherBudget.end();
        if (left != 0) Address.sendValue(payable(msg.sender), left);
    }

    function _pauseLiquidation(bool pause) private {
        uint256 resumesAt = _control.liquidationResumesAt;
        bool isPaused = block.timestamp < resumesAt;
        if (pause == isPaused) return;
        if (pause) {
            uint256 readyAt = resumesAt + LIQUIDATION_PAUSE_COOLDOWN;
            if (resumesAt != 0 && block.timestamp < readyAt) revert PausedTooRecently(readyAt);
        }
        resumesAt = pause ? block.timestamp + MAX_LIQUIDATION_PAUSE : block.timestamp;
        _control.liquidationResumesAt = resumesAt.toUint32();
    }

    /// @dev The governor is who may replace the engine.
    function _isGovernor(address who) private view returns (bool immediate) {
        (immediate,) = IAccessManager(authority()).canCall(who, address(this), this.submitEngine.selector);
    }

    /// @dev A new engine is sealed and knows every asset that accounts own by the same token.
    function _requireFit(IMarginEngine next) private {
        if (address(next).code.length == 0 || !next.isSealed()) revert EngineInvalid(address(next));
        for (uint16 asset = 1; asset < ASSET_LIMIT; ++asset) {
            Custody.State storage custody = _custody[asset];
            address token = custody.token;
            if (token == address(0)) continue;
            if (custody.total == 0) (custody.token, custody.word) = (address(0), 0);
            else if (next.tokenOf(asset) != token) revert EngineInvalid(address(next));
        }
    }
}
