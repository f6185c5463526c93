// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC165} from "@openzeppelin/contracts/interfaces/IERC165.sol";
import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {IERC7540Operator, IERC7540Redeem} from "../interfaces/external/IERC7540.sol";
import {IBackstopVault, RedemptionEpoch, Slice, SubAccount} from "../interfaces/IBackstopVault.sol";
import {IClearingHouse} from "../interfaces/IClearingHouse.sol";
import {Kind} from "../interfaces/IHaircutRegistry.sol";
import {ILedger, Pool} from "../interfaces/ILedger.sol";
import {Bid, ILiquidationModule} from "../interfaces/ILiquidationModule.sol";
import {IMarginEngine, Market} from "../interfaces/IMarginEngine.sol";
import {ITradingModule, Leg, Order} from "../interfaces/ITradingModule.sol";
import {Account, Holding, Instrument, Margin, Portfolio, Position, Price, PriceStatus} from "../interfaces/Types.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {BPS, WAD} from "./libraries/Constants.sol";
import {Curves} from "./libraries/Curves.sol";
import {Holdings} from "./libraries/Holdings.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Params} from "./libraries/Params.sol";
import {Positions} from "./libraries/Positions.sol";
import {Provisions} from "./libraries/Provisions.sol";
import {Redemptions} from "./libraries/Redemptions.sol";
import {Rounding} from "./libraries/Rounding.sol";
import {BID_DEPTH, FIRST_SLACK, FUNDING, Slices} from "./libraries/Slices.sol";
import {CLOSING_DELAY} from "./Exits.sol";
import {CASH} from "./Ledger.sol";

/// @dev Sub-accounts in use at once: a valuation reads all of them, and eight tenths of the reserves is what they draw.
uint256 constant MAX_SUB_ACCOUNTS = 8;
/// @dev An order says until when it is meant; none for longer than this.
uint256 constant MAX_ORDER_LIFE = 1 hours;
/// @dev Who owns what lay in the reserves before anybody held shares: nobody, for ever.
address constant NOBODY = address(0xdEaD);

/// @title First-loss capital of the house that buys from its auctions
contract BackstopVault is IBackstopVault, ERC4626, ERC20Permit, ReentrancyGuardTransient {
    using Accounts for Account;
    using Holdings for Holding;
    using Instruments for Instrument;
    using Math for uint256;
    using Positions for Position;
    using Provisions for uint256;
    using Redemptions for Redemptions.State;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;
    using Slices for uint256[];

    struct Use {
        /// The sub-account's number.
        uint96 number;
        /// When it took its slice, seconds.
        uint40 since;
        /// At most `LAST_SLACK`, bps.
        uint16 slackCap;
    }

    /// @dev An account that a bid looks at.
    struct Target {
        Account account;
        Portfolio held;
        IMarginEngine engine;
        uint256 reserves;
    }

    /// @dev Virtual decimals: a donation that rounds a deposit of a dollar away costs a thousand.
    uint8 private constant VIRTUAL_DECIMALS = 3;
    uint256 private constant VIRTUAL_SHARES = 10 ** VIRTUAL_DECIMALS;
    /// @dev Bounds every product of shares and assets below 2^256. A price of a share near zero reaches it: a gift to
    /// the reserves lifts that.
    uint256 private constant MAX_SHARES = type(uint128).max;
    /// @dev What the capital of the house holds.
    uint256 private constant MAX_RESERVES = uint256(uint128(type(int128).max));
    bytes4 private constant ERC7540_OPERATOR = 0xe3bc4e65;
    bytes4 private constant ERC7540_REDEEM = 0x620ee8e4;
    bytes4 private constant ERC7575 = 0x2f0a18c5;

    /// @inheritdoc IBackstopVault
    IClearingHouse public immutable CLEARING_HOUSE;
    /// @dev Dollars of 18 decimals in one unit of the settlement token.
    uint256 private immutable _scale;

    Redemptions.State private _redemptions;
    mapping(address controller => mapping(address operator => bool)) public isOperator;
    Use[] private _inUse;
    uint96 private _lastNumber;

    constructor(IClearingHouse house)
        ERC20("Plimsoll Backstop", "plBACK")
        ERC20Permit("Plimsoll Backstop")
        ERC4626(IERC20(house.SETTLEMENT_TOKEN()))
    {
        CLEARING_HOUSE = house;
        // The house takes no token of more than 18 decimals.
        _scale = 10 ** (18 - IERC20Metadata(asset()).decimals());
        IERC20(asset()).forceApprove(address(house.VAULT()), type(uint256).max);
    }

    /// @inheritdoc IBackstopVault
    function share() external view returns (address) {
        return address(this);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == type(IERC165).interfaceId || id == type(IERC1271).interfaceId || id == ERC7540_OPERATOR
            || id == ERC7540_REDEEM || id == ERC7575;
    }

    /// @inheritdoc IERC20Metadata
    function decimals() public view override(ERC20, ERC4626, IERC20Metadata) returns (uint8) {
        return ERC4626.decimals();
    }

    // Valuation

    /// @inheritdoc IBackstopVault
    function valuation() public view returns (uint256 upper, uint256 lower, bool doubtful) {
        upper = CLEARING_HOUSE.pool().reserves;
        int256 sum = upper.toInt256() - CLEARING_HOUSE.provisions().toInt256();
        for (uint256 i = 0; i < _inUse.length; ++i) {
            Account account = _accountOf(_inUse[i].number);
            Margin memory margin = CLEARING_HOUSE.margin(account);
            // At least zero by the maximum.
            upper += uint256(SignedMath.max(margin.equity, 0));
            sum += SignedMath.min(margin.equity, margin.initialEquity);
            doubtful = doubtful || margin.doubtful || _awaitsCloseOut(account);
        }
        // As above.
        lower = uint256(SignedMath.max(sum, 0));
    }

    /// @inheritdoc IERC4626
    function totalAssets() public view override(ERC4626, IERC4626) returns (uint256 assets) {
        (, assets) = _valuationUnits();
    }

    /// @inheritdoc IERC4626
    function previewDeposit(uint256 assets) public view override(ERC4626, IERC4626) returns (uint256) {
        (uint256 upper,) = _valuationUnits();
        return assets.mulDiv(_supply(upper) + VIRTUAL_SHARES, upper + 1);
    }

    /// @inheritdoc IERC4626
    function previewMint(uint256 shares) public view override(ERC4626, IERC4626) returns (uint256) {
        (uint256 upper,) = _valuationUnits();
        return shares.mulDiv(upper + 1, _supply(upper) + VIRTUAL_SHARES, Math.Rounding.Ceil);
    }

    /// @inheritdoc IERC4626
    function previewRedeem(uint256) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert AsynchronousRedemption();
    }

    /// @inheritdoc IERC4626
    function previewWithdraw(uint256) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert AsynchronousRedemption();
    }

    // Deposits

    /// @inheritdoc IERC4626
    function maxDeposit(address) public view override(ERC4626, IERC4626) returns (uint256 assets) {
        (assets,) = _room();
    }

    /// @inheritdoc IERC4626
    function maxMint(address) public view override(ERC4626, IERC4626) returns (uint256 shares) {
        (, shares) = _room();
    }

    // Redemptions

    /// @inheritdoc IERC7540Redeem
    function requestRedeem(uint256 shares, address controller, address owner) external returns (uint256 requestId) {
        if (shares == 0) revert ZeroAmount();
        if (msg.sender != owner && !isOperator[owner][msg.sender]) _spendAllowance(owner, msg.sender, shares);
        _transfer(owner, address(this), shares);
        requestId = _redemptions.request(controller, shares);
        emit RedeemRequest(controller, owner, requestId, msg.sender, shares);
    }

    /// @inheritdoc IBackstopVault
    function settleEpoch() external nonReentrant returns (uint256 epoch, uint256 assets) {
        uint256 shares;
        (epoch, shares) = _redemptions.nextToSettle();
        _requireSettled();
        (, uint256 lower, bool doubtful) = valuation();
        if (doubtful) revert ValuationDoubtful();
        assets = shares.mulDiv(lower / _scale + 1, totalSupply() + VIRTUAL_SHARES);
        _redemptions.settle(epoch, assets);
        _burn(address(this), shares);
        if (assets != 0) _drawOut(assets);
        emit EpochSettled(epoch, shares, assets);
    }

    /// @inheritdoc IERC4626
    function redeem(uint256 shares, address receiver, address controller)
        public
        override(ERC4626, IERC4626)
        nonReentrant
        returns (uint256 assets)
    {
        uint256 most = maxRedeem(controller);
        if (shares > most) revert ERC4626ExceededMaxRedeem(controller, shares, most);
        _requireController(controller);
        assets = _redemptions.takeShares(controller, shares);
        _pay(receiver, controller, assets, shares);
    }

    /// @inheritdoc IERC4626
    function withdraw(uint256 assets, address receiver, address controller)
        public
        override(ERC4626, IERC4626)
        nonReentrant
        returns (uint256 shares)
    {
        uint256 most = maxWithdraw(controller);
        if (assets > most) revert ERC4626ExceededMaxWithdraw(controller, assets, most);
        _requireController(controller);
        shares = _redemptions.takeAssets(controller, assets);
        _pay(receiver, controller, assets, shares);
    }

    /// @inheritdoc IERC4626
    function maxRedeem(address controller) public view override(ERC4626, IERC4626) returns (uint256 shares) {
        (shares,) = _redemptions.claimable(controller);
    }

    /// @inheritdoc IERC4626
    function maxWithdraw(address controller) public view override(ERC4626, IERC4626) returns (uint256 assets) {
        (, assets) = _redemptions.claimable(controller);
    }

    /// @inheritdoc IERC7540Redeem
    function pendingRedeemRequest(uint256 requestId, address controller) external view returns (uint256) {
        return _redemptions.epochs[requestId].settled ? 0 : _redemptions.requested[requestId][controller];
    }

    /// @inheritdoc IERC7540Redeem
    function claimableRedeemRequest(uint256 requestId, address controller) external view returns (uint256) {
        return _redemptions.epochs[requestId].settled ? _redemptions.requested[requestId][controller] : 0;
    }

    /// @inheritdoc IBackstopVault
    function openEpoch() external view returns (uint256 epoch, uint256 endsAt) {
        return Redemptions.openEpoch();
    }

    /// @inheritdoc IBackstopVault
    function nextEpoch() external view returns (uint256 epoch, uint256 endsAt) {
        return _redemptions.nextEpoch();
    }

    /// @inheritdoc IBackstopVault
    function redemptions(uint256 epoch) external view returns (RedemptionEpoch memory) {
        return _redemptions.epochs[epoch];
    }

    /// @inheritdoc IERC7540Operator
    function setOperator(address operator, bool approved) external returns (bool) {
        isOperator[msg.sender][operator] = approved;
        emit OperatorSet(msg.sender, operator, approved);
        return true;
    }

    // Bids

    /// @inheritdoc IBackstopVault
    function bid(Account account) external nonReentrant returns (Account subAccount, uint256 fraction, int256 price) {
        Slice memory slice = quoteSlice(account);
        uint96 number = ++_lastNumber;
        // 40 bits of seconds last 34,000 years; a slack is at most LAST_SLACK.
        _inUse.push(Use({number: number, since: uint40(block.timestamp), slackCap: uint16(slice.slackCap)}));
        subAccount = _accountOf(number);
        CLEARING_HOUSE.drawReserves(subAccount, slice.funding);
        (fraction, price) = CLEARING_HOUSE.bid(
            Bid({
                account: account,
                bidder: subAccount,
                fraction: slice.fraction,
                maxPrice: slice.price,
                deadline: block.timestamp,
                version: 0
            })
        );
        emit SliceBought(account, subAccount, fraction, price, slice.funding, slice.slackCap);
    }

    /// @inheritdoc IBackstopVault
    function quoteSlice(Account account) public view returns (Slice memory slice) {
        if (account.owner() == address(this)) revert OwnSubAccount(account);
        uint256 inUse = _inUse.length;
        if (inUse == MAX_SUB_ACCOUNTS) revert TooManySubAccounts(inUse);
        (uint256 largest,, uint256 depth) = CLEARING_HOUSE.quoteBid(account, WAD);
        if (depth < BID_DEPTH) revert TooShallow(account, depth, BID_DEPTH);

        Target memory target = Target({
            account: account,
            held: CLEARING_HOUSE.portfolio(account),
            engine: CLEARING_HOUSE.engine(),
            reserves: CLEARING_HOUSE.pool().reserves
        });
        slice = _sizeUp(target, depth, largest);
        if (slice.slackCap < FIRST_SLACK) revert DiscountTooSmall(account, slice.slackCap, FIRST_SLACK);
        uint256 least = Slices.leastGross(target.reserves, inUse);
        if (slice.fraction == 0 || slice.gross < least) revert SliceTooSmall(account, slice.gross, least);
    }

    /// @inheritdoc IBackstopVault
    function subAccounts() external view returns (SubAccount[] memory list) {
        list = new SubAccount[](_inUse.length);
        for (uint256 i = 0; i < list.length; ++i) {
            Use memory use = _inUse[i];
            list[i] = SubAccount({account: _accountOf(use.number), since: use.since, slackCap: use.slackCap});
        }
    }

    // Unwinding

    /// @inheritdoc IBackstopVault
    function slackOf(Account subAccount) public view returns (uint256) {
        (bool found, uint256 index) = _find(subAccount);
        if (!found) revert NotInUse(subAccount);
        Use memory use = _inUse[index];
        return Slices.slackAt(block.timestamp - use.since, use.slackCap);
    }

    /// @inheritdoc IBackstopVault
    function isValidSignature(bytes32 hash, bytes memory signature) external view returns (bytes4) {
        Order memory order = abi.decode(signature, (Order));
        bytes32 orderHash = CLEARING_HOUSE.hashOrder(order);
        if (orderHash != hash) revert WrongDigest(hash, orderHash);
        _requireSignable(order);
        return IERC1271.isValidSignature.selector;
    }

    /// @inheritdoc IBackstopVault
    function requireSignable(Order calldata order) external view {
        _requireSignable(order);
    }

    /// @inheritdoc IBackstopVault
    function buyCollateral(Account subAccount, uint16 asset_, uint256 amount, uint256 maxCost, address to)
        external
        nonReentrant
        returns (uint256 cost)
    {
        cost = quoteCollateral(subAccount, asset_, amount);
        if (cost > maxCost) revert CostAboveLimit(cost, maxCost);
        _pullIn(msg.sender, cost);
        uint256 received = CLEARING_HOUSE.deposit(subAccount, CASH, cost);
        if (received != cost) revert TransferIncomplete(cost, received);
        // The asset may be anybody's token: it moves last.
        emit CollateralSold(subAccount, asset_, msg.sender, to, amount, cost);
        CLEARING_HOUSE.withdraw(subAccount, asset_, amount, to);
    }

    /// @inheritdoc IBackstopVault
    function quoteCollateral(Account subAccount, uint16 asset_, uint256 amount) public view returns (uint256 cost) {
        uint256 slack = slackOf(subAccount);
        if (amount == 0) revert ZeroAmount();
        IMarginEngine engine = CLEARING_HOUSE.engine();
        (uint16 underlying, uint256 units) = Slices.unitsUp(engine, asset_, amount);
        Price memory price = engine.price(underlying);
        bool doubtful = price.status != PriceStatus.OK || engine.collateralTerms(asset_).doubtful;
        if (doubtful) revert ILedger.DoubtfulPrice(subAccount);
        uint256 dollars = units.mulDiv(price.index * (BPS - slack), WAD * BPS, Math.Rounding.Ceil);
        return dollars.ceilDiv(_scale);
    }

    /// @inheritdoc IBackstopVault
    function sweep(Account subAccount) external nonReentrant returns (uint256 amount) {
        if (subAccount.owner() != address(this)) revert NotInUse(subAccount);
        Portfolio memory held = CLEARING_HOUSE.portfolio(subAccount);
        bool bare = held.positions.length == 0 && held.collateral.length == 0;
        amount = _spareCash(subAccount, held.cash, bare);
        if (amount != 0) CLEARING_HOUSE.returnReserves(subAccount, amount);
        bool freed = bare && held.cash == amount.toInt256() && _free(subAccount);
        if (amount == 0 && !freed) revert NothingToSweep(subAccount);
        emit Swept(subAccount, amount, freed);
    }

    // Shares and units

    /// @dev Conversions are at the lower valuation; `previewDeposit` and `previewMint` at the upper one.
    function _convertToShares(uint256 assets, Math.Rounding rounding) internal view override returns (uint256) {
        (uint256 upper, uint256 lower) = _valuationUnits();
        return assets.mulDiv(_supply(upper) + VIRTUAL_SHARES, lower + 1, rounding);
    }

    function _convertToAssets(uint256 shares, Math.Rounding rounding) internal view override returns (uint256) {
        (uint256 upper, uint256 lower) = _valuationUnits();
        return shares.mulDiv(lower + 1, _supply(upper) + VIRTUAL_SHARES, rounding);
    }

    function _decimalsOffset() internal pure override returns (uint8) {
        return VIRTUAL_DECIMALS;
    }

    /// @dev Both round against who comes or goes.
    function _valuationUnits() private view returns (uint256 upperUp, uint256 lowerDown) {
        (uint256 upper, uint256 lower,) = valuation();
        return (upper.ceilDiv(_scale), lower / _scale);
    }

    /// @dev The shares there are, or those that the first deposit gives to `NOBODY` for what is there without him.
    function _supply(uint256 upperUnits) private view returns (uint256) {
        uint256 supply = totalSupply();
        return supply == 0 ? upperUnits * VIRTUAL_SHARES : supply;
    }

    /// @dev What `deposit` and `mint` take at most: nothing at a doubtful price, nor while a deficit would swallow it.
    function _room() private view returns (uint256 assets, uint256 shares) {
        (uint256 value,, bool doubtful) = valuation();
        Pool memory pool = CLEARING_HOUSE.pool();
        if (doubtful || pool.deficit != 0) return (0, 0);
        uint256 upper = value.ceilDiv(_scale);
        uint256 supply = _supply(upper);
        if (supply >= MAX_SHARES) return (0, 0);
        // Reserves are at most MAX_RESERVES: an int128 holds them.
        assets = (MAX_RESERVES - pool.reserves) / _scale;
        shares = MAX_SHARES - supply;
        uint256 sharesOfAssets = assets.mulDiv(supply + VIRTUAL_SHARES, upper + 1);
        uint256 assetsOfShares = shares.mulDiv(upper + 1, supply + VIRTUAL_SHARES);
        return (Math.min(assets, assetsOfShares), Math.min(shares, sharesOfAssets));
    }

    // Moving tokens

    function _deposit(address caller, address receiver, uint256 assets, uint256 shares) internal override nonReentrant {
        if (assets == 0 || shares == 0) revert ZeroAmount();
        if (totalSupply() == 0) {
            (uint256 upper,) = _valuationUnits();
            if (upper != 0) _mint(NOBODY, upper * VIRTUAL_SHARES);
        }
        super._deposit(caller, receiver, assets, shares);
    }

    /// @dev On to the reserves.
    function _transferIn(address from, uint256 assets) internal override {
        _pullIn(from, assets);
        uint256 before = CLEARING_HOUSE.pool().reserves;
        CLEARING_HOUSE.addReserves(assets);
        uint256 arrived = (CLEARING_HOUSE.pool().reserves - before) / _scale;
        if (arrived != assets) revert TransferIncomplete(assets, arrived);
    }

    function _pullIn(address from, uint256 units) private {
        IERC20 token = IERC20(asset());
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), units);
        uint256 arrived = token.balanceOf(address(this)) - before;
        if (arrived != units) revert TransferIncomplete(units, arrived);
    }

    /// @dev From the reserves into this contract, to be claimed.
    function _drawOut(uint256 units) private {
        IERC20 token = IERC20(asset());
        uint256 before = token.balanceOf(address(this));
        CLEARING_HOUSE.payReserves(address(this), units);
        uint256 arrived = token.balanceOf(address(this)) - before;
        if (arrived != units) revert TransferIncomplete(units, arrived);
    }

    function _pay(address receiver, address controller, uint256 assets, uint256 shares) private {
        emit Withdraw(msg.sender, receiver, controller, assets, shares);
        IERC20(asset()).safeTransfer(receiver, assets);
    }

    function _requireController(address controller) private view {
        bool may = msg.sender == controller || isOperator[controller][msg.sender];
        if (!may) revert NotOperator(controller, msg.sender);
    }

    /// @dev Redemption at nothing asks the reserves for nothing: what it waits for is checked here, too.
    function _requireSettled() private view {
        uint256 open = CLEARING_HOUSE.provisions();
        if (open.isMaterial(CLEARING_HOUSE.pool().reserves)) revert ILiquidationModule.ProvisionOpen(open);
        (bool halted,,,) = CLEARING_HOUSE.windDown();
        if (halted) revert ILedger.RiskHalted();
    }

    // Sub-accounts

    /// @dev Margins know no market that was fixed.
    function _awaitsCloseOut(Account account) private view returns (bool) {
        (,,, uint256 shutAt) = CLEARING_HOUSE.windDown();
        bool hasEnded = shutAt != 0 && block.timestamp >= shutAt + CLOSING_DELAY;
        return hasEnded && CLEARING_HOUSE.portfolio(account).positions.length != 0;
    }

    function _accountOf(uint96 number) private view returns (Account) {
        return Accounts.pack(address(this), number);
    }

    function _find(Account subAccount) private view returns (bool found, uint256 index) {
        if (subAccount.owner() != address(this)) return (false, 0);
        for (; index < _inUse.length; ++index) {
            if (_inUse[index].number == subAccount.subAccount()) return (true, index);
        }
    }

    /// @dev The last one takes the place of the one that leaves.
    function _free(Account subAccount) private returns (bool found) {
        uint256 index;
        (found, index) = _find(subAccount);
        if (!found) return false;
        _inUse[index] = _inUse[_inUse.length - 1];
        _inUse.pop();
    }

    /// @dev Cash beyond the funding that what is held would get anew.
    function _spareCash(Account subAccount, int256 cash, bool bare) private view returns (uint256) {
        if (cash <= 0) return 0;
        // Positive by the comparison above.
        if (bare) return uint256(cash);
        Margin memory margin = CLEARING_HOUSE.margin(subAccount);
        uint256 kept = margin.initialMargin.mulDiv(FUNDING, BPS, Math.Rounding.Ceil);
        int256 spare = margin.initialEquity - kept.toInt256();
        // At least zero by the maximum.
        return uint256(SignedMath.max(0, SignedMath.min(cash, spare)));
    }

    function _sizeUp(Target memory target, uint256 depth, uint256 largest) private view returns (Slice memory) {
        _requireListed(target);
        (uint256 gross, uint256 room) = _measure(target);
        Slices.Limits memory limits = Slices.Limits({
            largest: largest,
            room: room,
            reserves: target.reserves,
            provisions: CLEARING_HOUSE.provisions(),
            payoutCap: target.engine.factors().payoutCap
        });
        return Slices.size(target.engine.margin(target.held), depth, gross, limits);
    }

    /// @dev Every position trades, and every asset can be sold.
    function _requireListed(Target memory target) private view {
        Portfolio memory held = target.held;
        for (uint256 i = 0; i < held.positions.length; ++i) {
            Instrument instrument = held.positions[i].instrument();
            if (!_canEnd(target.engine, instrument)) revert ITradingModule.MarketClosed(instrument);
        }
        for (uint256 i = 0; i < held.collateral.length; ++i) {
            bool doubtful = target.engine.collateralTerms(held.collateral[i].asset()).doubtful;
            if (doubtful) revert ILedger.DoubtfulPrice(target.account);
        }
    }

    /// @dev Whether a position can be traded away, or kept until it settles: a dated one that may only be reduced, as
    /// far from the money or worth next to nothing, would else keep the vault off any book it is in. Reverts with
    /// `UnknownInstrument` for what there is no market of.
    function _canEnd(IMarginEngine engine, Instrument instrument) private view returns (bool) {
        Market memory market = engine.marketView(instrument);
        if (!instrument.isDated()) return !market.closed;
        bool isClosed = Params.isClosed(engine.parameter(Kind.MARKET, instrument.underlying()).target);
        return !isClosed && !market.stale && block.timestamp + Curves.FIXING_TIME < instrument.expiry();
    }

    /// @return gross Of the account, dollars with 18 decimals, rounded up.
    /// @return room The fraction of it that keeps every underlying within its cap, 18 decimals.
    function _measure(Target memory target) private view returns (uint256 gross, uint256 room) {
        uint256[] memory wanted = new uint256[](Slices.UNDERLYINGS);
        wanted.addGross(target.engine, target.held);
        uint256[] memory own = _ownGross(target.engine);
        room = WAD;
        for (uint16 u = 0; u < Slices.UNDERLYINGS; ++u) {
            if (wanted[u] == 0) continue;
            uint256 price = _goodPrice(target, u);
            uint256 value = wanted[u].mulDiv(price, WAD, Math.Rounding.Ceil);
            uint256 taken = own[u].mulDiv(price, WAD, Math.Rounding.Ceil);
            gross += value;
            room = Math.min(room, Slices.roomFor(value, taken, target.reserves));
        }
    }

    function _goodPrice(Target memory target, uint16 underlying) private view returns (uint256) {
        Price memory price = target.engine.price(underlying);
        if (price.status != PriceStatus.OK) revert ILedger.DoubtfulPrice(target.account);
        return price.index;
    }

    /// @dev What the sub-accounts hold of each underlying, units with 18 decimals.
    function _ownGross(IMarginEngine engine) private view returns (uint256[] memory own) {
        own = new uint256[](Slices.UNDERLYINGS);
        for (uint256 i = 0; i < _inUse.length; ++i) {
            own.addGross(engine, CLEARING_HOUSE.portfolio(_accountOf(_inUse[i].number)));
        }
    }

    function _requireSignable(Order memory order) private view {
        if (order.signer != address(this)) revert WrongSigner(order.signer);
        uint256 slack = slackOf(order.account);
        if (!order.reduceOnly) revert NotReduceOnly(order.account);
        uint256 latest = block.timestamp + MAX_ORDER_LIFE;
        if (order.expiry > latest) revert ExpiryTooFar(order.expiry, latest);
        (int256 mark, uint256 gross) = _packageAtMark(order.legs);
        int256 allowance = (gross * slack).toInt256();
        bool buys = order.quantity > 0;
        // Exact to the last digit of a price, and against who trades with the vault beyond it.
        int256 worst = buys
            ? Rounding.divDown(mark * int256(BPS) + allowance, WAD * BPS)
            : Rounding.divUp(mark * int256(BPS) - allowance, WAD * BPS);
        if (buys ? order.price > worst : order.price < worst) revert PriceBeyondSlack(order.price, worst);
    }

    function _requireGood(Instrument instrument, Market memory market) private pure {
        bool good = market.status == PriceStatus.OK;
        if (!good) revert ITradingModule.PriceNotOk(instrument, uint256(market.status));
        if (market.stale) revert ITradingModule.SurfaceStale(instrument);
    }

    /// @return mark The net price of a unit of the package, 36 decimals.
    /// @return gross The same with every leg counted positive, and none above its index price.
    function _packageAtMark(Leg[] memory legs) private view returns (int256 mark, uint256 gross) {
        IMarginEngine engine = CLEARING_HOUSE.engine();
        for (uint256 i = 0; i < legs.length; ++i) {
            Market memory market = engine.marketView(legs[i].instrument);
            _requireGood(legs[i].instrument, market);
            mark += legs[i].ratio * market.mark.toInt256();
            // What a bid weighs a unit at, at most: a put deep in the money costs more.
            gross += SignedMath.abs(legs[i].ratio) * Math.min(market.mark, market.index);
        }
    }
}
