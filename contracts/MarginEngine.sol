// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CollateralTerms, CollateralValue, Kind} from "../interfaces/IHaircutRegistry.sol";
import {Factors, IMarginEngine, Market} from "../interfaces/IMarginEngine.sol";
import {IParameterModule} from "../interfaces/IParameterModule.sol";
import {IReportModule} from "../interfaces/IReportModule.sol";
import {PremiumReport, SurfaceReport} from "../interfaces/IReportOracle.sol";
import {IRiskModule} from "../interfaces/IRiskModule.sol";
import {Holding, Instrument, Margin, MarginParts, Portfolio, UnderlyingRisk} from "../interfaces/Types.sol";
import {Books} from "./Books.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {WAD} from "./libraries/Constants.sol";
import {Holdings} from "./libraries/Holdings.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Modules} from "./libraries/Modules.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params} from "./libraries/Params.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {Quote, Quotes} from "./libraries/Quotes.sol";
import {RatePairs, Rates} from "./libraries/RatePairs.sol";
import {Row, Rows} from "./libraries/Rows.sol";

/// @title Portfolio in; equity and margins out
/// @dev Changes of parameters, reports and explanations are immutable modules that run on this storage by delegatecall.
contract MarginEngine is IMarginEngine, Books {
    using Holdings for Holding;
    using Instruments for Instrument;
    using Observations for uint256;
    using Quotes for Quote;
    using RatePairs for Rates;
    using Rows for Row;

    /// @dev How long an observation of the peg stands for it.
    uint256 private constant PEG_FRESH = 1 hours;

    /// @inheritdoc IMarginEngine
    address public immutable PARAMETER_MODULE;
    /// @inheritdoc IMarginEngine
    address public immutable REPORT_MODULE;
    /// @inheritdoc IMarginEngine
    address public immutable RISK_MODULE;
    /// @inheritdoc IMarginEngine
    address public immutable NORMAL_TABLE;

    constructor(address manager, address parameterModule, address reportModule, address riskModule, address normalTable)
        HaircutRegistry(manager)
    {
        (PARAMETER_MODULE, REPORT_MODULE, RISK_MODULE) = (parameterModule, reportModule, riskModule);
        NORMAL_TABLE = normalTable;
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
        result.initialFactor = Params.initialFactor(global);
        result.stressShare = ~(global >> 30) & 0xffff;
        result.winnersCap = (~(global >> 46) & 0xffffffff) * WAD;
        result.payoutCap = (~(global >> 78) & 0xffffffff) * WAD;
        result.dust = ((global >> 110) & 0xffff) * WAD;
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

    /// @inheritdoc IMarginEngine
    function collateralTerms(uint16 asset) external view returns (CollateralTerms memory terms) {
        uint256 word = _assetWord(asset);
        (uint256 decimals, uint256 rateKind) = _decimalsAndRateKind(word);
        Rates rates = _rates(asset, decimals, rateKind);
        (terms.rate, terms.initialRate, terms.doubtful) = (rates.maintenance(), rates.initial(), rates.stopsCredit());
        terms.crowd = _crowdOf(word);
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
        Modules.run(REPORT_MODULE);
    }

    /// @inheritdoc IReportModule
    function reportSurface(uint16, SurfaceReport[] calldata, bytes[] calldata) external {
        Modules.run(REPORT_MODULE);
    }

    /// @inheritdoc IReportModule
    function recordFixing(uint16, uint16, uint80[] calldata) external {
        Modules.run(REPORT_MODULE);
    }

    /// @inheritdoc IReportModule
    function sampleVolatility(uint16, uint80[] calldata) external {
        Modules.run(REPORT_MODULE);
    }

    /// @dev Fixes the rates of every yield token held.
    function _fixYields(Book memory book, Holding[] calldata holdings) private {
        for (uint256 i; i < holdings.length; ++i) {
            uint16 asset = holdings[i].asset();
            Rates rates = book.rates[asset];
            if (Rates.unwrap(rates) != 0) _fixRates(asset, rates);
        }
    }

    function _market(Instrument instrument) private view returns (Market memory result, Quote quote) {
        uint256 underlying = instrument.underlying();
        uint256 word = _words[_key(Kind.MARKET, underlying)];
        if (!instrument.isPerpetual() || word == 0) revert UnknownInstrument(instrument);
        quote = _quote(underlying);
        result.mark = quote.index();
        result.index = result.mark;
        result.status = quote.status();
        result.fundingIndex = _fundingIndex(underlying);
        // The fields of MARKET: 14, 14, 40 (complement), 14 and 1 bits.
        result.takerFee = word & 0x3fff;
        result.makerFee = (word >> 14) & 0x3fff;
        result.openInterestCap = (~(word >> 28) & 0xffffffffff) * WAD;
        result.stressJump = (word >> 68) & 0x3fff;
        result.closed = word >> 82 == 1;
    }
}
