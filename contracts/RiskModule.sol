// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {CollateralValue} from "../interfaces/IHaircutRegistry.sol";
import {IRiskModule} from "../interfaces/IRiskModule.sol";
import {Margin, MarginParts, Portfolio, Price, UnderlyingRisk} from "../interfaces/Types.sol";
import {Books} from "./Books.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {BPS, WAD} from "./libraries/Constants.sol";
import {Haircuts} from "./libraries/Haircuts.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params} from "./libraries/Params.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {Quote, Quotes} from "./libraries/Quotes.sol";
import {Row, Rows} from "./libraries/Rows.sol";
import {Scan} from "./libraries/Scan.sol";

/// @title What a margin is made of, for people to look at
/// @dev Runs on the MarginEngine's storage by delegatecall. Its own storage is never read.
contract RiskModule is IRiskModule, Books {
    using Observations for uint256;
    using Quotes for Quote;
    using Rows for Row;

    /// @dev Where the cubics of the normal distribution are.
    address internal immutable NORMAL_TABLE;

    constructor(address manager, address normalTable) HaircutRegistry(manager) {
        NORMAL_TABLE = normalTable;
    }

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
        initial = MarginParts(book.scan, book.collateral, book.closing, book.band);
        maintenance = MarginParts(book.scanNow, book.collateralNow, book.closingNow, book.bandNow);
        int256 state = Scan.worstState(book.rows, book.count);
        risks = new UnderlyingRisk[](book.count);
        for (uint256 i; i < risks.length; ++i) {
            _describe(risks[i], Rows.at(book.rows, i), state);
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

    function _describe(UnderlyingRisk memory risk, Row row, int256 state) private view {
        Quote quote = row.quote();
        // Underlyings have 8 bits.
        risk.underlying = uint16(row.underlying());
        risk.price = Price({index: quote.index(), stable: quote.stable(), band: quote.band(), status: quote.status()});
        risk.delta = row.delta();
        risk.value = PriceMath.floorDiv(row.delta() * int256(quote.index()), int256(WAD));
        risk.worstCase = PriceMath.floorDiv(-Scan.lossAt(row, row.termsNow(), state), int256(300 * WAD * BPS));
        risk.fundingIndex = _fundingIndex(row.underlying());
    }
}
