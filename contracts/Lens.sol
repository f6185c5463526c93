// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

import {IClearingHouse} from "../interfaces/IClearingHouse.sol";
import {Kind} from "../interfaces/IHaircutRegistry.sol";
import {
    AccountRisk,
    AssetView,
    AuctionView,
    Fill,
    ILens,
    LossShare,
    Solvency,
    UnderlyingView
} from "../interfaces/ILens.sol";
import {Pool} from "../interfaces/ILedger.sol";
import {IMarginEngine, Market} from "../interfaces/IMarginEngine.sol";
import {IOracleAdapter} from "../interfaces/IOracleAdapter.sol";
import {Account, Holding, Instrument, Margin, Portfolio, UnderlyingRisk} from "../interfaces/Types.sol";
import {CashLimits, MICRO} from "./libraries/CashLimits.sol";
import {RAY} from "./libraries/CashPool.sol";
import {WAD} from "./libraries/Constants.sol";
import {Holdings} from "./libraries/Holdings.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Lending} from "./libraries/Lending.sol";
import {Names} from "./libraries/Names.sol";
import {Notionals} from "./libraries/Notionals.sol";
import {Params} from "./libraries/Params.sol";
import {Portfolios} from "./libraries/Portfolios.sol";
import {Provisions} from "./libraries/Provisions.sol";
import {Rounding} from "./libraries/Rounding.sol";
import {WITHDRAWALS} from "./Gate.sol";
import {CASH} from "./Ledger.sol";

/// @title Views for people and bots
contract Lens is ILens {
    using CashLimits for CashLimits.State;
    using Holdings for Holding;
    using Instruments for Instrument;
    using Lending for uint256;
    using Notionals for Instrument;
    using Portfolios for Portfolio;
    using SafeCast for uint256;

    /// @dev What the pool owes and is owed, as the ClearingHouse stores it. Dollars with 18 decimals, exact.
    struct Book {
        /// The LENDING word that interest runs at.
        uint256 terms;
        /// Supplied principal at the supply index of now, rounded down.
        uint256 supply;
        /// The same in dollars times RAY, exact; of the borrowed principal at the borrow index too.
        uint256 supplyRay;
        uint256 debtRay;
    }

    /// @dev Slots of the ClearingHouse, as Ledger.sol lays them out: principals of the pool, and the lending terms in
    /// the highest 40 bits of the second; and what limits the cash that leaves.
    uint256 private constant PRINCIPALS_SLOT = 8;
    uint256 private constant CONTROL_SLOT = 10;
    uint256 private constant LIMITS_SLOT = 12;
    uint256 private constant LENDING_BIT = 216;

    uint256 private constant MILLION = 1e6;
    /// @dev Tenths of a percent in one.
    uint256 private constant RATE_SCALE = 1000;
    /// @dev Up to so small a part of its limit, an outflow may be a quarter beyond it.
    uint256 private constant SMALL_PART = 1000;
    uint256 private constant CASH_DECIMALS = 18;
    int256 private constant MAX_HEALTH = type(int128).max;
    int256 private constant UNREADABLE = type(int128).min;

    /// @inheritdoc ILens
    address public immutable CLEARING_HOUSE;
    IClearingHouse private immutable _house;

    constructor(IClearingHouse house) {
        CLEARING_HOUSE = address(house);
        _house = house;
    }

    /// @inheritdoc ILens
    function accountRisk(Account account) public view returns (AccountRisk memory risk) {
        risk.portfolio = _house.portfolio(account);
        (risk.margin, risk.initial, risk.maintenance, risk.underlyings) = _house.engine().breakdown(risk.portfolio);
        risk.health = _health(risk.margin);
        risk.freeCollateral = _freeCollateral(risk.margin);
        (risk.auction, risk.depth) = _house.auction(account);
    }

    /// @inheritdoc ILens
    function accountRisks(Account[] calldata accounts)
        external
        view
        returns (AccountRisk[] memory risks, bool[] memory readable)
    {
        risks = new AccountRisk[](accounts.length);
        readable = new bool[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            // Through the door, so that one account that cannot be read does not take the others along.
            try this.accountRisk(accounts[i]) returns (AccountRisk memory risk) {
                (risks[i], readable[i]) = (risk, true);
            } catch {}
        }
    }

    /// @inheritdoc ILens
    function healths(Account[] calldata accounts) external view returns (int256[] memory result) {
        result = new int256[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            try _house.margin(accounts[i]) returns (Margin memory margin) {
                result[i] = _health(margin);
            } catch {
                result[i] = UNREADABLE;
            }
        }
    }

    /// @inheritdoc ILens
    function auctions(Account[] calldata accounts) external view returns (AuctionView[] memory views) {
        views = new AuctionView[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            try this.auction(accounts[i]) returns (AuctionView memory read) {
                views[i] = read;
            } catch {}
        }
    }

    /// @inheritdoc ILens
    function auction(Account account) external view returns (AuctionView memory read) {
        read.margin = _house.margin(account);
        read.health = _health(read.margin);
        (read.auction, read.depth) = _house.auction(account);
        (, read.version) = _house.versions(account);
        // Whoever cannot be bid on has no slice to show.
        try _house.quoteBid(account, WAD) returns (uint256 fraction, int256 price, uint256) {
            (read.fraction, read.price) = (fraction, price);
        } catch {}
        read.readable = true;
    }

    /// @inheritdoc ILens
    function betaWeightedDelta(Account account, uint16 benchmark) external view returns (int256 delta) {
        IMarginEngine engine = _house.engine();
        int256 move = _moveOf(engine, benchmark, engine.price(benchmark).index);
        if (move == 0) revert IOracleAdapter.UnknownUnderlying(benchmark);
        (,,, UnderlyingRisk[] memory risks) = engine.breakdown(_house.portfolio(account));
        for (uint256 i; i < risks.length; ++i) {
            // A delta below 2^112, a price below 2^94 and a range below 2^16.
            delta += risks[i].delta * _moveOf(engine, risks[i].underlying, risks[i].price.index) / move;
        }
    }

    /// @inheritdoc ILens
    function previewTrade(Account account, Fill[] calldata fills)
        external
        view
        returns (Margin memory before_, Margin memory after_)
    {
        IMarginEngine engine = _house.engine();
        Portfolio memory portfolio = _house.portfolio(account);
        Pool memory pool = _house.pool();
        before_ = engine.margin(portfolio);
        for (uint256 i; i < fills.length; ++i) {
            _apply(portfolio, fills[i], engine.marketView(fills[i].instrument), pool);
        }
        after_ = engine.margin(portfolio);
    }

    /// @inheritdoc ILens
    function markets(Instrument[] calldata instruments)
        external
        view
        returns (Market[] memory terms, uint256[] memory openInterest)
    {
        IMarginEngine engine = _house.engine();
        terms = new Market[](instruments.length);
        openInterest = new uint256[](instruments.length);
        for (uint256 i; i < instruments.length; ++i) {
            try engine.marketView(instruments[i]) returns (Market memory market) {
                terms[i] = market;
                openInterest[i] = _house.openInterest(instruments[i]);
            } catch {}
        }
    }

    /// @inheritdoc ILens
    function assets(uint16[] calldata ids) external view returns (AssetView[] memory views) {
        views = new AssetView[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            try this.asset(ids[i]) returns (AssetView memory read) {
                views[i] = read;
            } catch {}
        }
    }

    /// @inheritdoc ILens
    function asset(uint16 id) external view returns (AssetView memory read) {
        IMarginEngine engine = _house.engine();
        read.token = id == CASH ? _house.SETTLEMENT_TOKEN() : engine.tokenOf(id);
        read.decimals = IERC20Metadata(read.token).decimals();
        read.held = _held(read.token);
        read.claims = _house.claims(id);
        if (id != CASH) {
            read.underlying = _underlyingOf(engine, id);
            read.perToken = engine.explain(id, 10 ** read.decimals);
        }
    }

    /// @inheritdoc ILens
    function underlyings(uint16[] calldata ids) external view returns (UnderlyingView[] memory views) {
        views = new UnderlyingView[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            try this.underlying(ids[i]) returns (UnderlyingView memory read) {
                views[i] = read;
            } catch {}
        }
    }

    /// @inheritdoc ILens
    function underlying(uint16 id) external view returns (UnderlyingView memory read) {
        IMarginEngine engine = _house.engine();
        Instrument perpetual = Instruments.perpetual(id);
        read.price = engine.price(id);
        read.observedAt = engine.observedAt(id);
        read.market = engine.marketView(perpetual);
        read.openInterest = _house.openInterest(perpetual);
        read.readable = true;
    }

    /// @inheritdoc ILens
    function solvency() external view returns (Solvency memory result) {
        Pool memory pool = _house.pool();
        Book memory book = _book(pool);
        (result.reserves, result.deficit) = (pool.reserves, pool.deficit);
        result.provision = _house.provisions();
        uint256 shutAt;
        (result.halted,,, shutAt) = _house.windDown();
        result.shut = shutAt != 0;
        result.tokens = _held(_house.SETTLEMENT_TOKEN());
        uint256 lent = Math.ceilDiv(book.debtRay, RAY) + uint256(SignedMath.max(0, -pool.netQuote));
        result.utilisation = Lending.utilisation(book.supply, lent);
        // Without terms cash costs nothing.
        if (book.terms == 0) return result;
        result.borrowRate = book.terms.rateUp(result.utilisation) * (WAD / RATE_SCALE);
        result.supplyRate = _supplyRate(result.borrowRate, book);
    }

    /// @inheritdoc ILens
    function lossShare(Account account) external view returns (LossShare memory result) {
        Pool memory pool = _house.pool();
        uint256 supply = _book(pool).supply;
        result.expected = Provisions.expected(_house.provisions(), pool.reserves, supply);
        int256 cash = _house.portfolio(account).cash;
        // Who has cash is part of the supply, so that it is not zero.
        if (cash <= 0) return result;
        result.share = uint256(cash) * WAD / supply;
        result.borne = Math.mulDiv(uint256(cash), result.expected, supply, Math.Rounding.Ceil);
    }

    /// @inheritdoc ILens
    function describe(Instrument instrument) external view returns (string memory) {
        uint16 id = instrument.underlying();
        bool listed = instrument.isCanonical() && _house.engine().parameter(Kind.UNDERLYING, id).target != 0;
        if (!listed) revert IMarginEngine.UnknownInstrument(instrument);
        string memory name = symbol(id);
        if (instrument.isDated()) {
            return Names.dated(instrument, bytes(name).length == 0 ? Strings.toString(id) : name);
        }
        return bytes(name).length == 0
            ? string.concat("perpetual on underlying ", Strings.toString(id), ", in dollars")
            : string.concat(name, " perpetual, in dollars");
    }

    /// @inheritdoc ILens
    function symbol(uint16 id) public view returns (string memory) {
        bytes32 word = bytes32(_house.engine().parameter(Kind.SYMBOL, id).target);
        uint256 length;
        while (length < 32 && word[length] != 0) ++length;
        bytes memory text = new bytes(length);
        for (uint256 i; i < length; ++i) {
            text[i] = word[i];
        }
        return string(text);
    }

    /// @inheritdoc ILens
    function largestWithdrawal(Account account, uint16 id) external view returns (uint256 amount, uint256 available) {
        (uint256 actions, uint256 assets_,) = _house.pauseState();
        available = id == CASH ? _availableCash() : _availableCollateral(id);
        if (actions >> WITHDRAWALS & 1 == 1 || assets_ >> id & 1 == 1) return (0, available);
        amount = id == CASH ? _largestCash(account) : _largestCollateral(account, id);
        uint256 room = id == CASH ? _roomOfCash(available) : _roomOf(id);
        amount = Math.min(amount, Math.min(available, room));
    }

    /// @dev What the hourly limit lets leave at once of what the vault holds, in token units.
    function _roomOfCash(uint256 units) private view returns (uint256) {
        bytes32[] memory slots = new bytes32[](1);
        slots[0] = bytes32(LIMITS_SLOT);
        CashLimits.State memory limits = CashLimits.fromSlot(uint256(_house.extsload(slots)[0]));
        uint256 limit = limits.limit();
        if (limit == type(uint256).max) return limit;
        uint256 scale = _cashScale();
        uint256 held = units * scale;
        (, uint256 opening) = limits.window(held);
        // Levels have 56 bits, a limit 60.
        uint256 small = Math.min(limit / SMALL_PART * MICRO, _above(held, opening, limit * 5 / 4));
        return Math.max(_above(held, opening, limit), small) / scale;
    }

    /// @dev What the vault holds above the level to which it may sink, dollars.
    function _above(uint256 held, uint256 opening, uint256 sinking) private pure returns (uint256) {
        return Math.saturatingSub(held, Math.saturatingSub(opening, sinking) * MICRO);
    }

    /// @dev What its hourly limit lets leave at once, in token units; at least, where more came in than went out.
    function _roomOf(uint16 id) private view returns (uint256 room) {
        (uint256 limit, uint256 used,) = _house.outflow(id);
        if (limit == type(uint256).max) return limit;
        // A limit is below 2^168.
        uint256 small = Math.min(limit / SMALL_PART, Math.saturatingSub(limit * 5 / 4, used));
        room = Math.max(Math.saturatingSub(limit, used), small);
    }

    function _largestCollateral(Account account, uint16 id) private view returns (uint256) {
        Portfolio memory portfolio = _house.portfolio(account);
        uint256 at = portfolio.indexOf(id);
        if (at == portfolio.collateral.length) return 0;
        uint256 held = portfolio.collateral[at].amount();
        // Everything first: what is gone cannot have a doubtful price.
        if (_passes(portfolio, at, held, held)) return held;
        if (!_passes(portfolio, at, held, 0)) return 0;
        return _bisect(portfolio, at, held);
    }

    /// @dev Initial equity less initial margin is concave in the amount withdrawn, so what passes is an interval from
    /// zero; of fully paid options it is the greater of two such. The end found passes and the next unit fails,
    /// whatever rounding does.
    function _bisect(Portfolio memory portfolio, uint256 at, uint256 held) private view returns (uint256 passing) {
        uint256 failing = held;
        while (failing - passing > 1) {
            uint256 middle = (passing + failing) / 2;
            if (_passes(portfolio, at, held, middle)) passing = middle;
            else failing = middle;
        }
    }

    /// @dev Whether the account may hold `amount` less than `held` of the holding at `at`.
    function _passes(Portfolio memory portfolio, uint256 at, uint256 held, uint256 amount) private view returns (bool) {
        // Lossless: a holding has 128 bits.
        Portfolio memory left = portfolio.withAmount(at, uint128(held - amount));
        if (left.positions.length == 0 && left.cash >= 0) return true;
        Margin memory margin = _house.engine().margin(left);
        return !margin.doubtful && margin.initialEquity >= int256(margin.initialMargin);
    }

    /// @dev Only `cash` enters equity, one for one: the check reads as a bound on what is left.
    function _largestCash(Account account) private view returns (uint256 units) {
        Portfolio memory portfolio = _house.portfolio(account);
        int256 least = _leastCash(portfolio);
        Pool memory pool = _house.pool();
        if (portfolio.cash < least || _areWinnersUnpaid(pool)) return 0;
        uint256 scale = _cashScale();
        // At least zero by the comparison above.
        uint256 free = uint256(portfolio.cash - least);
        uint256 provisions = _house.provisions();
        uint256 supply = provisions == 0 ? 0 : _book(pool).supply;
        uint256 expected = Provisions.expected(provisions, pool.reserves, supply);
        if (expected != 0) free = Math.mulDiv(free, supply - expected, supply);
        units = free / scale;
        // A balance is booked as principal, rounded down: the last unit or two may not pass.
        while (units > 0) {
            uint256 dollars = units * scale;
            uint256 charge = Provisions.chargeUp(dollars, provisions, pool.reserves, supply);
            // At most what the account has, and a thousand times that.
            if (_booked(portfolio.cash - int256(dollars + charge), pool) >= least) break;
            --units;
        }
    }

    /// @dev Whether winners have turned more into cash than losers have settled, beyond the cap.
    function _areWinnersUnpaid(Pool memory pool) private view returns (bool) {
        return -pool.netQuote > _house.engine().factors().winnersCap.toInt256();
    }

    /// @dev The least cash with which the account passes the check of a withdrawal.
    function _leastCash(Portfolio memory portfolio) private view returns (int256) {
        if (portfolio.positions.length == 0 && portfolio.collateral.length == 0) return 0;
        Margin memory margin = _house.engine().margin(portfolio);
        int256 least = portfolio.cash - (margin.initialEquity - int256(margin.initialMargin));
        if (portfolio.positions.length > 0) return margin.doubtful ? type(int256).max : least;
        return margin.doubtful ? int256(0) : SignedMath.min(0, least);
    }

    /// @dev What an account owns after its cash was set to `value`: a balance is kept as principal, rounded down.
    function _booked(int256 value, Pool memory pool) private pure returns (int256) {
        (uint256 index, uint256 size) = (value < 0 ? pool.borrowIndex : pool.supplyIndex, SignedMath.abs(value));
        // Cash is an int120 times an index below 2^112.
        if (value < 0) return -int256(Math.ceilDiv(Math.ceilDiv(size * RAY, index) * index, RAY));
        return int256(size * RAY / index * index / RAY);
    }

    /// @dev As the ledger books one leg: quote and payment of the maker round against him, those of the taker oppose.
    function _apply(Portfolio memory portfolio, Fill calldata fill, Market memory market, Pool memory pool)
        private
        pure
    {
        int256 mark = market.mark.toInt256();
        int256 basis = fill.size * (mark - market.fundingIndex);
        int256 premium = fill.size * (fill.price.toInt256() - mark);
        uint256 notional = SignedMath.abs(fill.size) * fill.instrument.feePriceOf(market);
        int256 cash = portfolio.cash;
        if (fill.isTaker) {
            portfolio.addPosition(fill.instrument, fill.size, -Rounding.divDown(basis, WAD));
            portfolio.cash -= Rounding.divDown(premium, WAD) + _feeUp(notional, market.takerFee);
        } else {
            portfolio.addPosition(fill.instrument, fill.size, -Rounding.divUp(basis, WAD));
            portfolio.cash -= Rounding.divUp(premium, WAD) + _feeUp(notional, market.makerFee);
        }
        if (portfolio.cash != cash) portfolio.cash = _booked(portfolio.cash, pool);
    }

    /// @dev `notional` is what fees are a share of, 36 decimals; a rate counts millionths.
    function _feeUp(uint256 notional, uint256 rate) private pure returns (int256) {
        return Math.ceilDiv(notional * rate, WAD * MILLION).toInt256();
    }

    /// @dev What the vault can pay out without touching what others hold of the asset: all of it or, once the token has
    /// lost balance by itself, nothing.
    function _availableCollateral(uint16 id) private view returns (uint256) {
        uint256 claims = _house.claims(id);
        return _held(_house.engine().tokenOf(id)) < claims ? 0 : claims;
    }

    function _availableCash() private view returns (uint256) {
        return _held(_house.SETTLEMENT_TOKEN());
    }

    function _held(address token) private view returns (uint256) {
        return IERC20Metadata(token).balanceOf(address(_house.VAULT()));
    }

    /// @dev Dollars with 18 decimals per unit of the settlement token.
    function _cashScale() private view returns (uint256) {
        return 10 ** (CASH_DECIMALS - IERC20Metadata(_house.SETTLEMENT_TOKEN()).decimals());
    }

    function _book(Pool memory pool) private view returns (Book memory book) {
        bytes32[] memory slots = new bytes32[](2);
        (slots[0], slots[1]) = (bytes32(PRINCIPALS_SLOT), bytes32(CONTROL_SLOT));
        bytes32[] memory words = _house.extsload(slots);
        (uint256 principals, uint256 control) = (uint256(words[0]), uint256(words[1]));
        book.terms = control >> LENDING_BIT;
        // A principal has 128 bits, an index 112.
        book.supplyRay = uint256(uint128(principals)) * pool.supplyIndex;
        book.debtRay = (principals >> 128) * pool.borrowIndex;
        book.supply = book.supplyRay / RAY;
    }

    /// @dev Suppliers share what borrowers pay, less the reserves' part, and earn at most the rate that those pay.
    function _supplyRate(uint256 borrowRate, Book memory book) private pure returns (uint256) {
        if (book.debtRay == 0 || book.supplyRay == 0) return 0;
        // A rate has 63 bits, so the dividend has 70 beside the 240 of a product of principal and index.
        uint256 shared = borrowRate * (100 - book.terms.reserveShare());
        return Math.min(borrowRate, Math.mulDiv(shared, book.debtRay, 100 * book.supplyRay));
    }

    /// @dev How far a price goes within its scan range in maintenance: dollars with 18 decimals times bps.
    function _moveOf(IMarginEngine engine, uint16 id, uint256 price) private view returns (int256) {
        uint256 risk = engine.parameter(Kind.UNDERLYING, id).current;
        return (price * Params.reachUp(Params.withGauge(risk, engine.volatility(id).maintenanceGauge))).toInt256();
    }

    function _underlyingOf(IMarginEngine engine, uint16 id) private view returns (uint16) {
        // TOKEN: address 160, underlying 16, decimals 8.
        return uint16(engine.parameter(Kind.TOKEN, id).target >> 160);
    }

    /// @dev Rounded down, towards minus infinity.
    function _health(Margin memory margin) private pure returns (int256) {
        if (margin.maintenanceMargin == 0) return margin.maintenanceEquity >= 0 ? MAX_HEALTH : -MAX_HEALTH;
        // Equity is below 2^170: docs/margin.md, section 8.
        int256 health = Rounding.divDown(margin.maintenanceEquity * int256(WAD), margin.maintenanceMargin);
        return SignedMath.max(-MAX_HEALTH, SignedMath.min(MAX_HEALTH, health));
    }

    function _freeCollateral(Margin memory margin) private pure returns (uint256) {
        // A margin is below 2^170; what is left after the maximum is at least zero.
        return uint256(SignedMath.max(0, margin.initialEquity - int256(margin.initialMargin)));
    }
}
