// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CollateralTerms, CollateralValue} from "../interfaces/IHaircutRegistry.sol";
import {IRiskModule} from "../interfaces/IRiskModule.sol";
import {Margin, MarginParts, Portfolio, Price, UnderlyingRisk} from "../interfaces/Types.sol";
import {Books} from "./Books.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {Black76} from "./libraries/Black76.sol";
import {BPS, WAD} from "./libraries/Constants.sol";
import {Curves} from "./libraries/Curves.sol";
import {Grid} from "./libraries/Grid.sol";
import {Haircuts} from "./libraries/Haircuts.sol";
import {Memory} from "./libraries/Memory.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params} from "./libraries/Params.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {Quote, Quotes} from "./libraries/Quotes.sol";
import {RatePairs, Rates} from "./libraries/RatePairs.sol";
import {Row, Rows} from "./libraries/Rows.sol";
import {Scan} from "./libraries/Scan.sol";

/// @title What a margin is made of, for people to look at
/// @dev Runs on the MarginEngine's storage by delegatecall. Its own storage is never read.
contract RiskModule is IRiskModule, Books {
    using Observations for uint256;
    using Memory for uint256;
    using Quotes for Quote;
    using RatePairs for Rates;
    using Rows for Row;

    /// @dev Samples of a fixing, and a probability of one.
    int256 private constant SHARES = 6;
    int256 private constant ONE = 1 << 41;

    constructor(address manager, address reportModule, address normalTable)
        HaircutRegistry(manager)
        Books(normalTable, reportModule)
    {}

    /// @inheritdoc IRiskModule
    function breakdown(Portfolio calldata portfolio)
        external
        view
        returns (
            Margin memory result,
            MarginParts memory initial,
            MarginParts memory maintenance,
            UnderlyingRisk[] memory risks
        )
    {
        Book memory book;
        _read(book, portfolio);
        _conclude(book, result);
        initial = MarginParts(book.scan, book.collateral, book.closing, book.band, book.term);
        maintenance = MarginParts(book.scanNow, book.collateralNow, book.closingNow, book.bandNow, book.term);
        risks = new UnderlyingRisk[](book.count);
        for (uint256 i; i < risks.length; ++i) {
            _describe(risks[i], Rows.at(book.rows, i));
        }
        if (book.dated == 0) {
            int256 state = Scan.worstState(book.rows, book.count);
            for (uint256 i; i < risks.length; ++i) {
                Row row = Rows.at(book.rows, i);
                risks[i].worstCase =
                    PriceMath.floorDiv(-Scan.lossAt(row, row.termsNow(), state), int256(300 * WAD * BPS));
            }
        } else {
            (, uint256 state) = Grid.most(book.totals);
            for (uint256 i; i < risks.length; ++i) {
                uint256 losses = book.losses + i * Grid.SIZE;
                Row row = Rows.at(book.rows, i);
                int256 loss = Grid.worstWithin(losses, state, Params.window(row.termsNow()));
                risks[i].worstCase = PriceMath.floorDiv(-loss, int256(Grid.SCALE));
                if (row.curve() != 0) _addGreeks(risks[i], row.curve(), book.strikes);
            }
        }
    }

    /// @inheritdoc IRiskModule
    function explain(uint16 asset, uint256 amount) external view returns (CollateralValue memory result) {
        uint256 word = _assetWord(asset);
        (uint256 governed, uint256 observed) = _wordsOf(_underlyingOf(word));
        Quote quote = _quoteOf(_underlyingOf(word), governed, observed, _moment(true));
        (uint256 units, uint256 excess,) = _unitsOf(asset, word, PriceMath.min(amount, type(uint128).max));
        uint256 exposure = units * quote.index();
        uint256 worth = PriceMath.ceilDiv(exposure, WAD);
        uint256 reach = Params.reachUp(Params.withGauge(governed >> Params.SOURCE_BITS, observed.gauge()));
        uint256 ahead = quote.index() - PriceMath.min(quote.index(), quote.stable());
        uint256 own = Haircuts.tiered(word, worth);
        uint256 crowd = worth * _crowdOf(word);
        result.units = units;
        result.value = exposure / WAD;
        result.scanLoss = PriceMath.ceilDiv(Params.initialFactor(_global) * reach * exposure, WAD * BPS * BPS);
        result.haircut = PriceMath.ceilDiv(own > crowd ? own : crowd, BPS);
        result.basisCharge = PriceMath.ceilDiv(worth * Params.basis(word), BPS);
        result.priceReserve = PriceMath.ceilDiv(exposure * quote.band(), WAD * BPS)
            + PriceMath.ceilDiv(units * ahead + excess * quote.index(), WAD);
        uint256 charges = result.scanLoss + result.haircut + result.basisCharge + result.priceReserve;
        result.counted = result.value - PriceMath.min(result.value, charges);
    }

    /// @inheritdoc IRiskModule
    function collateralTerms(uint16 asset) external view returns (CollateralTerms memory terms) {
        uint256 word = _assetWord(asset);
        (uint256 decimals, uint256 rateKind) = _decimalsAndRateKind(word);
        Rates rates = _rates(asset, decimals, rateKind);
        (terms.rate, terms.initialRate, terms.doubtful) = (rates.maintenance(), rates.initial(), rates.stopsCredit());
        terms.crowd = _crowdOf(word);
    }

    function _describe(UnderlyingRisk memory risk, Row row) private view {
        Quote quote = row.quote();
        // Underlyings have 8 bits.
        risk.underlying = uint16(row.underlying());
        risk.price = Price({index: quote.index(), stable: quote.stable(), band: quote.band(), status: quote.status()});
        risk.delta = row.delta();
        int256 value = row.exposure();
        uint256 curve = row.curve();
        if (curve != 0) value += curve.signed(Grid.CENTER) + curve.signed(Curves.FIXED);
        risk.value = PriceMath.floorDiv(value, int256(WAD));
        risk.fundingIndex = _fundingIndex(row.underlying());
    }

    /// @dev docs/options.md, 7. `strikes` is the last of all strikes, of every underlying.
    function _addGreeks(UnderlyingRisk memory risk, uint256 curve, uint256 strikes) private view {
        for (uint256 expiry = curve.get(Curves.EXPIRIES); expiry != 0; expiry = expiry.get(Curves.NEXT)) {
            int256 weight = expiry.signed(Curves.LIVE) * expiry.signed(Curves.RATIO);
            risk.delta += expiry.signed(Curves.SLOPE) * weight / (SHARES * 1e9 * ONE);
        }
        for (uint256 strike = strikes; strike != 0; strike = strike.get(Curves.NEXT)) {
            if (strike.get(Curves.EXPIRY).get(Curves.CURVE) == curve) _addStrike(risk, strike);
        }
    }

    function _addStrike(UnderlyingRisk memory risk, uint256 strike) private view {
        uint256 expiry = strike.get(Curves.EXPIRY);
        int256 net = strike.signed(Curves.NET);
        uint256 deviation = strike.get(Curves.DEVIATIONS);
        int256 live = expiry.signed(Curves.LIVE);
        int256 root = expiry.signed(Curves.ROOT);
        // A density has 41 bits.
        int256 density = int256(Black76.densityAt(_normalTable, strike.signed(Curves.MONEYNESS), deviation));
        int256 forward = expiry.signed(Curves.FORWARD);
        int256 wad = int256(WAD);
        int256 width = forward * int256(deviation) / wad;
        int256 share = live * expiry.signed(Curves.RATIO);
        int256 carry = share * share * wad / (SHARES * SHARES * 1e18);
        risk.gamma += net * density / ONE * wad / (width == 0 ? int256(1) : width) * carry / wad;
        int256 notional = net * forward / wad;
        risk.vega += notional * density * root * live / (SHARES * ONE * wad);
        if (root == 0) return;
        risk.theta -= notional * density * strike.signed(Curves.SIGMA) * live / (2 * SHARES * 365 * ONE * root);
    }
}
