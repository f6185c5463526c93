// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ICoverModule} from "../interfaces/ICoverModule.sol";
import {CollateralTerms, CollateralValue, Kind} from "../interfaces/IHaircutRegistry.sol";
import {Factors, IMarginEngine, Market} from "../interfaces/IMarginEngine.sol";
import {IParameterModule} from "../interfaces/IParameterModule.sol";
import {IReportModule} from "../interfaces/IReportModule.sol";
import {PremiumReport, SurfaceReport} from "../interfaces/IReportOracle.sol";
import {IRiskModule} from "../interfaces/IRiskModule.sol";
import {Instrument, Margin, MarginParts, Portfolio, UnderlyingRisk} from "../interfaces/Types.sol";
import {Books} from "./Books.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {Black76} from "./libraries/Black76.sol";
import {BPS, WAD} from "./libraries/Constants.sol";
import {Curves, MOST_MONEYNESS} from "./libraries/Curves.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Modules} from "./libraries/Modules.sol";
import {NORMAL_TABLE_HASH} from "./libraries/Normal.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params} from "./libraries/Params.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {Quote, Quotes} from "./libraries/Quotes.sol";
import {Row, Rows} from "./libraries/Rows.sol";

/// @title Portfolio in; equity and margins out
/// @dev Changes of parameters, reports, explanations and the early exit are immutable modules that run on this storage
/// by delegatecall.
contract MarginEngine is IMarginEngine, Books {
    using Instruments for Instrument;
    using Observations for uint256;
    using Quotes for Quote;
    using Rows for Row;

    /// @dev How long an observation of the peg stands for it.
    uint256 private constant PEG_FRESH = 1 hours;

    /// @inheritdoc IMarginEngine
    address public immutable PARAMETER_MODULE;
    /// @inheritdoc IMarginEngine
    address public immutable RISK_MODULE;
    /// @inheritdoc IMarginEngine
    address public immutable COVER_MODULE;

    constructor(
        address manager,
        address parameterModule,
        address reportModule,
        address riskModule,
        address coverModule,
        address normalTable
    ) HaircutRegistry(manager) Books(normalTable, reportModule) {
        if (normalTable.codehash != NORMAL_TABLE_HASH) {
            revert WrongTable(normalTable, normalTable.codehash);
        }
        (PARAMETER_MODULE, RISK_MODULE, COVER_MODULE) = (parameterModule, riskModule, coverModule);
    }

    /// @inheritdoc IMarginEngine
    // The base keeps the immutable that the interface names.
    // solhint-disable-next-line func-name-mixedcase
    function REPORT_MODULE() external view returns (address) {
        return _reportModule;
    }

    /// @inheritdoc IMarginEngine
    // The base keeps the immutable that the interface names.
    // solhint-disable-next-line func-name-mixedcase
    function NORMAL_TABLE() external view returns (address) {
        return _normalTable;
    }

    /// @inheritdoc IMarginEngine
    function margin(Portfolio calldata portfolio) external view returns (Margin memory result) {
        Book memory book;
        _read(book, portfolio);
        _conclude(book, result);
        // Six static words, in memory as in an answer: they need no second copy.
        assembly ("memory-safe") {
            return(result, 0xc0)
        }
    }

    /// @inheritdoc IMarginEngine
    function assess(Portfolio calldata portfolio) external returns (Margin memory result) {
        Book memory book;
        _read(book, portfolio);
        for (uint256 i; i < book.count; ++i) {
            Row row = Rows.at(book.rows, i);
            _fix(row.underlying(), row.quote());
        }
        if (book.rates.length != 0) _fixYields(book, portfolio.collateral);
        _conclude(book, result);
    }

    /// @inheritdoc ICoverModule
    function isCovered(Portfolio calldata) external returns (bool) {
        Modules.run(COVER_MODULE);
    }

    /// @inheritdoc IRiskModule
    function breakdown(Portfolio calldata)
        external
        view
        returns (Margin memory, MarginParts memory, MarginParts memory, UnderlyingRisk[] memory)
    {
        Modules.answer(RISK_MODULE);
    }

    /// @inheritdoc IMarginEngine
    function market(Instrument instrument) external returns (Market memory result) {
        Quote quote;
        (result, quote) = _market(instrument);
        _fix(instrument.underlying(), quote);
    }

    /// @inheritdoc IMarginEngine
    function marketView(Instrument instrument) external view returns (Market memory result) {
        (result,) = _market(instrument);
    }

    /// @inheritdoc IMarginEngine
    function factors() external view returns (Factors memory result) {
        uint256 global = _global;
        // Complements of the fields of GLOBAL, 32 bits of dollars at most.
        unchecked {
            result.initialFactor = Params.initialFactor(global);
            result.stressShare = ~(global >> 30) & 0xffff;
            result.winnersCap = (~(global >> 46) & 0xffffffff) * WAD;
            result.payoutCap = (~(global >> 78) & 0xffffffff) * WAD;
            result.dust = ((global >> 110) & 0xffff) * WAD;
        }
        result.depegged = _isDepegged(~(global >> 126) & 0x3fff);
    }

    /// @dev By what was last observed of the settlement token, while that is fresh: it spares a trade a feed.
    function _isDepegged(uint256 bound) private view returns (bool) {
        uint256 observed = _observed[0];
        if (observed.age(block.timestamp) <= PEG_FRESH) {
            return observed.statusCode() != OK || !PriceMath.agree(WAD, observed.last(), bound);
        }
        if (_governed[0] == 0) return false;
        Quote peg = _quote(0);
        return !peg.isOk() || !PriceMath.agree(WAD, peg.index(), bound);
    }

    /// @inheritdoc IRiskModule
    function explain(uint16, uint256) external view returns (CollateralValue memory) {
        Modules.answer(RISK_MODULE);
    }

    /// @inheritdoc IRiskModule
    function collateralTerms(uint16) external view returns (CollateralTerms memory) {
        Modules.answer(RISK_MODULE);
    }

    /// @inheritdoc IParameterModule
    function setUp(Kind, uint16, uint256) external {
        Modules.run(PARAMETER_MODULE);
    }

    /// @inheritdoc IParameterModule
    function startFunding(uint16, int112) external {
        Modules.run(PARAMETER_MODULE);
    }

    /// @inheritdoc IParameterModule
    function wire(address) external {
        Modules.run(PARAMETER_MODULE);
    }

    /// @inheritdoc IParameterModule
    function seal() external {
        Modules.run(PARAMETER_MODULE);
    }

    /// @inheritdoc IParameterModule
    function submit(Kind, uint16, uint256) external {
        Modules.run(PARAMETER_MODULE);
    }

    /// @inheritdoc IParameterModule
    function accept(Kind, uint16) external {
        Modules.run(PARAMETER_MODULE);
    }

    /// @inheritdoc IParameterModule
    function revoke(Kind, uint16) external {
        Modules.run(PARAMETER_MODULE);
    }

    /// @inheritdoc IReportModule
    function reportPremium(uint16, PremiumReport[] calldata, bytes[] calldata) external {
        Modules.run(_reportModule);
    }

    /// @inheritdoc IReportModule
    function reportSurface(uint16, SurfaceReport[] calldata, bytes[] calldata) external {
        Modules.run(_reportModule);
    }

    /// @inheritdoc IReportModule
    function recordFixing(uint16, uint16, uint80[] calldata) external {
        Modules.run(_reportModule);
    }

    /// @inheritdoc IReportModule
    function sampleVolatility(uint16, uint80[] calldata) external {
        Modules.run(_reportModule);
    }

    function _market(Instrument instrument) private view returns (Market memory result, Quote quote) {
        uint256 underlying = instrument.underlying();
        uint256 word = _words[_key(Kind.MARKET, underlying)];
        if (!instrument.isCanonical() || word == 0) revert UnknownInstrument(instrument);
        quote = _quote(underlying);
        result.index = quote.index();
        result.status = quote.status();
        // The fields of MARKET: 14, 14, 40 (complement), 14 and 1 bits.
        result.takerFee = word & 0x3fff;
        result.makerFee = (word >> 14) & 0x3fff;
        unchecked {
            result.openInterestCap = (~(word >> 28) & 0xffffffffff) * WAD;
        }
        result.stressJump = (word >> 68) & 0x3fff;
        result.closed = Params.isClosed(word);
        if (instrument.isDated()) {
            _dated(result, instrument);
        } else {
            result.mark = result.index;
            result.fundingIndex = _fundingIndex(underlying);
        }
    }

    /// @dev What differs for a future or an option: docs/options.md, 1 and 4.
    function _dated(Market memory result, Instrument instrument) private view {
        (uint256 slice, uint256 samples) = _datesOf(instrument);
        if (Curves.missing(samples) == 0) {
            (result.isFinal, result.closed) = (true, true);
            result.mark = _payoff(instrument, Curves.settlement(samples));
            return;
        }
        uint256 expiresAt = instrument.expiry();
        uint256 forward = Curves.forwardDown(result.index, Curves.ratioDown(slice, expiresAt), samples);
        result.mark = forward;
        result.stale = Curves.isStale(slice) || Curves.isLate(expiresAt);
        bool isListed = true;
        uint256 options = _words[_key(Kind.OPTIONS, instrument.underlying())];
        if (instrument.kind() == Instruments.OPTION) {
            uint256 strike = instrument.strike();
            int256 moneyness = Curves.logOf(forward, strike);
            // Volatilities below 2^64, roots below 2^62. A call is never below what its forward is above the strike.
            // Marks are below 2^97, and digits at most seven.
            unchecked {
                uint256 deviation = Curves.volatilityDown(slice, moneyness)
                    * (Curves.rootOf(Curves.timeLeft(expiresAt)) * Curves.missing(samples)) / (Curves.SAMPLES * WAD);
                (result.mark,) = Black76.callAt(_normalTable, forward, strike, moneyness, deviation);
                if (instrument.isPut()) result.mark = result.mark + strike - forward;
                isListed = instrument.strikeMantissa() < 10 ** Params.digits(options) && moneyness <= MOST_MONEYNESS
                    && moneyness >= -MOST_MONEYNESS && result.mark * BPS >= result.index;
            }
        }
        if (options == 0 || result.stale || !isListed || !_isNear(instrument, options)) result.closed = true;
    }

    /// @dev Whether a dated instrument expires on a day that may be opened now.
    function _isNear(Instrument instrument, uint256 options) private view returns (bool) {
        uint256 left = Curves.timeLeft(instrument.expiry());
        if (left <= Curves.FIXING_TIME) return false;
        (uint256 horizon, uint256 dailies) = Params.horizons(options);
        // Day 2, the third of 2025, was a Friday. Days have 11 bits.
        unchecked {
            bool isFriday = instrument.expiryDay() % 7 == 2;
            return left <= horizon * 1 days && (isFriday || left <= dailies * 1 days);
        }
    }
}
