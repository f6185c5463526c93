// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IMarginEngine} from "../interfaces/IMarginEngine.sol";
import {Holding, Instrument, Margin, Portfolio, Position} from "../interfaces/Types.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {BPS, UNITS_LIMIT, WAD} from "./libraries/Constants.sol";
import {Haircuts} from "./libraries/Haircuts.sol";
import {Holdings} from "./libraries/Holdings.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Observations} from "./libraries/Observations.sol";
import {Params} from "./libraries/Params.sol";
import {Positions} from "./libraries/Positions.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {Quote, Quotes} from "./libraries/Quotes.sol";
import {PAR, RatePairs, Rates} from "./libraries/RatePairs.sol";
import {Row, Rows} from "./libraries/Rows.sol";
import {Scan} from "./libraries/Scan.sol";
import {Sources} from "./libraries/Sources.sol";

/// @title A portfolio read once and concluded: what a margin and its explanation share
/// @dev Runs in the MarginEngine and, on its storage, in the RiskModule.
abstract contract Books is HaircutRegistry {
    using Holdings for Holding;
    using Instruments for Instrument;
    using Observations for uint256;
    using Positions for Position;
    using Quotes for Quote;
    using RatePairs for Rates;
    using Rows for Row;

    /// @dev Concentration is 10^-11 per dollar: with V * V at 36 decimals, 10^29 leaves 18.
    uint256 internal constant CONCENTRATION_UNIT = 1e29;

    /// @dev A portfolio read once: rows, and what needs no row. `Now` is what maintenance takes. Until `_conclude`
    /// charges are sums in bps times dollars with 18 decimals; from then on dollars with 18 decimals, rounded up.
    struct Book {
        /// `Rows`: where they are, and how many.
        uint256 rows;
        uint256 count;
        uint256 global;
        uint256 moment;
        /// Rates of yield tokens by asset; empty when none is held.
        Rates[] rates;
        /// Value of yield tokens that give no new credit, 36 decimals.
        uint256 doubted;
        /// Value of yield tokens that initial equity leaves out, 36 decimals.
        uint256 excess;
        /// Whether some underlying has other terms in maintenance than in initial margin.
        bool ramps;
        /// Cash and quotes.
        int256 cash;
        /// Sum of size times funding index, 36 decimals.
        int256 funding;
        uint256 collateral;
        /// What crowding adds to it in initial margin.
        uint256 crowding;
        uint256 closing;
        /// Dollars with 18 decimals, each position rounded up.
        uint256 concentration;
        /// What ramps in flight add to the three, signed by wrapping.
        uint256 collateralShift;
        uint256 closingShift;
        uint256 concentrationShift;
        uint256 collateralNow;
        uint256 closingNow;
        uint256 scan;
        uint256 scanNow;
        uint256 band;
        uint256 bandNow;
    }

    /// @dev Reads every word, price and rate that a margin needs, once each.
    function _read(Book memory book, Portfolio calldata portfolio) internal view {
        uint256 global = _global;
        book.global = global;
        book.moment = _moment(_hasSequencer(global));
        book.cash = portfolio.cash;
        Holding[] calldata holdings = portfolio.collateral;
        Position[] calldata positions = portfolio.positions;
        // Counts of what is in calldata do not overflow.
        unchecked {
            book.rows = Rows.allocate(PriceMath.min(holdings.length + positions.length, 255));
            for (uint256 i; i < holdings.length; ++i) {
                Holding holding;
                // A word within the array, which the decoder has found within calldata.
                assembly ("memory-safe") {
                    holding := calldataload(add(holdings.offset, shl(5, i)))
                }
                _addHolding(book, holding);
            }
            for (uint256 i; i < positions.length; ++i) {
                Position position;
                // As above.
                assembly ("memory-safe") {
                    position := calldataload(add(positions.offset, shl(5, i)))
                }
                _addPosition(book, position);
            }
        }
    }

    /// @dev The row of an underlying of one to 255, written when it first appears: 255 rows at most.
    function _rowOf(Book memory book, uint256 underlying) private view returns (Row row) {
        uint256 rows = book.rows;
        uint256 place = Rows.find(rows, underlying);
        // Rows are at most 255.
        unchecked {
            if (place != 0) return Rows.at(rows, place - 1);
            place = book.count;
            book.count = place + 1;
        }
        row = Rows.open(rows, place, underlying);
        (uint256 governed, uint256 observed) = _wordsOf(underlying);
        uint256 risk = governed >> Params.SOURCE_BITS;
        uint256 terms = Params.withGauge(risk, observed.gauge());
        // Nothing fixed, the sequencer up, the last observation good and nothing in motion: nearly always.
        uint256 live = book.moment | observed.special() == 0 ? Sources.live(governed) : 0;
        if (live != 0) {
            uint256 stable = observed.stable();
            if (stable != observed.last()) stable = observed.stableAt(Params.range(risk), block.timestamp);
            row.setTerms(terms, terms);
            row.setQuote(Quotes.live(live, stable, risk));
            return row;
        }
        uint256 termsNow = observed.moving() ? _termsNow(underlying, risk, observed) : terms;
        if (termsNow != terms) book.ramps = true;
        row.setTerms(terms, termsNow);
        row.setQuote(_quoteOf(underlying, governed, observed, book.moment));
    }

    function _addHolding(Book memory book, Holding holding) private view {
        uint16 asset = holding.asset();
        uint256 amount = holding.amount();
        uint256 word = _assetWord(asset);
        Row row = _rowOf(book, _underlyingOf(word));
        uint256 units = amount;
        // units < 2^104 and price < 2^94, so worth < 2^139; 15 bits of bps and 96 assets keep the sums below 2^161.
        unchecked {
            // Nothing is to be scaled for a plain token of 18 decimals.
            if (!_isPlain(word)) {
                Rates rates;
                uint256 excess;
                (units, excess, rates) = _unitsOf(asset, word, amount);
                book.excess += excess * row.quote().index();
                _noteRates(book, asset, rates);
                if (rates.stopsCredit()) book.doubted += units * row.quote().index();
            }
            if (units >= UNITS_LIMIT) units = UNITS_LIMIT - 1;
            row.addDelta(int256(units));
            uint256 worth = (units * row.quote().index() + (WAD - 1)) / WAD;
            uint256 own = Haircuts.tiered(word, worth);
            uint256 crowd = worth * _crowdOf(word);
            uint256 basis = worth * Params.basis(word);
            book.collateral += own + basis;
            if (crowd > own) book.crowding += crowd - own;
            if (_isRamping(word)) {
                uint256 wordNow = _assetAt(asset, word & ((1 << Params.ASSET_BITS) - 1));
                // A difference, which may be below zero: it wraps as often as the sum does.
                book.collateralShift += Haircuts.tiered(wordNow, worth) - own + worth * Params.basis(wordNow) - basis;
            }
        }
    }

    /// @dev Units at the maintenance rate, and how many of them initial equity leaves out.
    function _unitsOf(uint16 asset, uint256 word, uint256 amount)
        internal
        view
        returns (uint256 units, uint256 excess, Rates rates)
    {
        (uint256 decimals, uint256 rateKind) = _decimalsAndRateKind(word);
        rates = _rates(asset, decimals, rateKind);
        units = _unitsDown(amount, rates.maintenance(), decimals);
        // The initial rate is never above the maintenance rate.
        excess = units - _unitsDown(amount, rates.initial(), decimals);
    }

    /// @dev Keeps the rates of a yield token, to be fixed.
    function _noteRates(Book memory book, uint16 asset, Rates rates) private pure {
        if (Rates.unwrap(rates) == Rates.unwrap(PAR)) return;
        if (book.rates.length == 0) book.rates = new Rates[](ASSETS);
        book.rates[asset] = rates;
    }

    /// @dev Units of the underlying; cut below 2^104, which favours the protocol: units are what an asset is worth.
    function _unitsDown(uint256 amount, uint256 rate, uint256 decimals) private pure returns (uint256) {
        // 128 bits of amount times 68 of rate; decimals are at most 27.
        unchecked {
            return PriceMath.min(UNITS_LIMIT - 1, amount * rate / 10 ** decimals);
        }
    }

    function _addPosition(Book memory book, Position position) private view {
        Instrument instrument = position.instrument();
        if (!instrument.isPerpetual()) revert IMarginEngine.UnknownInstrument(instrument);
        uint256 underlying = instrument.underlying();
        Row row = _rowOf(book, underlying);
        int256 size = position.size();
        // |size| <= 2^103 and price < 2^94, so notional < 2^138; the funding index has 113 bits, so 255 positions keep
        // sums of size * index below 2^224; closing has 10 bits.
        unchecked {
            book.cash += position.quote();
            book.funding += size * _fundingIndex(underlying);
            row.addDelta(size);
            uint256 notional = (PriceMath.abs(size) * row.quote().index() + (WAD - 1)) / WAD;
            uint256 terms = row.terms();
            uint256 termsNow = row.termsNow();
            uint256 closing = notional * Params.closing(terms);
            uint256 concentration = _concentrationUp(notional, Params.concentration(terms));
            book.closing += closing;
            book.concentration += concentration;
            if (termsNow != terms) {
                // Differences, as in `_addHolding`.
                book.closingShift += notional * Params.closing(termsNow) - closing;
                book.concentrationShift += _concentrationUp(notional, Params.concentration(termsNow)) - concentration;
            }
        }
    }

    function _concentrationUp(uint256 notional, uint256 rate) private pure returns (uint256) {
        // Below 2^120 the product has 240 bits and 14 of the rate, so that 2^97 can be added. Else notional < 2^138:
        // the exact 512-bit quotient is below 2^(138 + 138 + 14 - 96).
        unchecked {
            if (notional < 1 << 120) {
                return (notional * notional * rate + (CONCENTRATION_UNIT - 1)) / CONCENTRATION_UNIT;
            }
        }
        return Math.mulDiv(notional * rate, notional, CONCENTRATION_UNIT, Math.Rounding.Ceil);
    }

    /// @dev Sums the rows and rounds each part of both margins once.
    function _conclude(Book memory book, Margin memory result) internal view {
        uint256 ahead;
        uint256 favour;
        int256 value;
        uint256 doubted;
        (value, ahead, favour, book.band, book.bandNow, doubted) =
            Rows.sum(book.rows, book.count, _bandCeiling(book.global));
        uint256 loss = Scan.loss(book.rows, book.count, false);
        // Without a ramp both levels scan the same.
        uint256 lossNow = book.ramps ? Scan.loss(book.rows, book.count, true) : loss;
        uint256 k = Params.initialFactor(book.global);
        // docs/margin.md, 8, bounds the sum of losses below 2^238, and k below 2^16. Charges are below 2^202: the
        // greatest is concentration, 255 positions of 2^194.
        unchecked {
            book.scan = PriceMath.ceilDiv(k * loss, 300 * WAD * BPS * BPS);
            book.scanNow = PriceMath.ceilDiv(lossNow, 300 * WAD * BPS);
            book.collateralNow = _perBpsUp(book.collateral + book.collateralShift);
            book.collateral = _perBpsUp(book.collateral + book.crowding);
            book.closingNow = _perBpsUp(book.closing + book.closingShift) + book.concentration + book.concentrationShift;
            book.closing = _perBpsUp(book.closing) + book.concentration;
            book.band = _perWadBpsUp(book.band);
            book.bandNow = _perWadBpsUp(book.bandNow);
            uint256 required = book.scanNow + book.collateralNow + book.closingNow + book.bandNow;
            uint256 own = book.scan + book.collateral + book.closing + book.band;
            uint256 least = _perBpsUp(k * required);
            result.maintenanceMargin = required;
            result.initialMargin = own > least ? own : least;
            // Assets round down, what is held back rounds up; cash and the sums' quotients are far from int256's ends.
            int256 equity = book.cash + PriceMath.floorDiv(value - book.funding, int256(WAD));
            result.equity = equity;
            result.initialEquity = equity - int256((ahead + book.excess + (WAD - 1)) / WAD);
            result.maintenanceEquity = equity + int256(favour / (WAD * BPS));
            // Less than a hundredth of what is required anyway is dust: it neither stops credit nor shields from
            // auctions.
            result.doubtful = 100 * ((doubted + book.doubted + (WAD - 1)) / WAD) > required;
        }
    }

    // Sums are below 2^240, so that one divisor less one can be added.

    function _perBpsUp(uint256 sum) private pure returns (uint256) {
        unchecked {
            return (sum + (BPS - 1)) / BPS;
        }
    }

    function _perWadBpsUp(uint256 sum) private pure returns (uint256) {
        unchecked {
            return (sum + (WAD * BPS - 1)) / (WAD * BPS);
        }
    }
}
