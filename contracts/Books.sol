// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {FixingState, Funding, IHaircutRegistry, Kind, Parameter, Surface} from "../interfaces/IHaircutRegistry.sol";
import {IMarginEngine} from "../interfaces/IMarginEngine.sol";
import {IOracleAdapter, Volatility} from "../interfaces/IOracleAdapter.sol";
import {Holding, Instrument, Margin, Portfolio, Position} from "../interfaces/Types.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {Black76} from "./libraries/Black76.sol";
import {BPS, UNITS_LIMIT, WAD} from "./libraries/Constants.sol";
import {Curves} from "./libraries/Curves.sol";
import {Grid} from "./libraries/Grid.sol";
import {Haircuts} from "./libraries/Haircuts.sol";
import {Holdings} from "./libraries/Holdings.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Memory} from "./libraries/Memory.sol";
import {Modules} from "./libraries/Modules.sol";
import {Normal} from "./libraries/Normal.sol";
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
/// @dev Runs in the MarginEngine and, on its storage, in the RiskModule and the CoverModule.
abstract contract Books is HaircutRegistry {
    using Holdings for Holding;
    using Instruments for Instrument;
    using Memory for uint256;
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
        /// Net dollars; what prices above their stable ones add to them; bands of doubtful prices: 36 decimals, the
        /// last times bps.
        int256 value;
        uint256 ahead;
        uint256 favour;
        /// What only books with something dated have. `Curves.table`, zero without; the strike that was opened last.
        uint256 dated;
        uint256 positions;
        uint256 strikes;
        /// Whether something dated is not a long option.
        bool owes;
        /// Value of options that are held long, 36 decimals.
        uint256 paid;
        /// Charges of options, dollars with 18 decimals, each rounded up: those of both levels, and at each.
        uint256 term;
        uint256 options;
        uint256 optionsNow;
        /// `Grid`: losses of each row in maintenance, and the totals in its eleven states.
        uint256 losses;
        uint256 totals;
    }

    /// @dev Where the cubics of the normal distribution are.
    address internal immutable _normalTable;

    /// @dev What observes: it runs on the engine's storage.
    address internal immutable _reportModule;

    constructor(address normalTable, address reportModule) {
        (_normalTable, _reportModule) = (normalTable, reportModule);
    }

    // What a margin does not need stands in the module that has its code anyway.

    /// @inheritdoc IOracleAdapter
    function observe(uint16[] calldata) external override {
        Modules.run(_reportModule);
    }

    /// @inheritdoc IOracleAdapter
    function observeRates(uint16[] calldata) external override {
        Modules.run(_reportModule);
    }

    /// @inheritdoc IOracleAdapter
    function updatePyth(address, bytes[] calldata) external payable override {
        Modules.run(_reportModule);
    }

    /// @inheritdoc IOracleAdapter
    function volatility(uint16) external view override returns (Volatility memory) {
        Modules.answer(_reportModule);
    }

    /// @inheritdoc IHaircutRegistry
    function parameter(Kind, uint16) external view override returns (Parameter memory) {
        Modules.answer(_reportModule);
    }

    /// @inheritdoc IHaircutRegistry
    function funding(uint16) external view override returns (Funding memory) {
        Modules.answer(_reportModule);
    }

    /// @inheritdoc IHaircutRegistry
    function surface(uint16, uint16) external view override returns (Surface memory) {
        Modules.answer(_reportModule);
    }

    /// @inheritdoc IHaircutRegistry
    function fixing(uint16, uint16) external view override returns (FixingState memory) {
        Modules.answer(_reportModule);
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
            book.positions = positions.length;
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
    function _rowOf(Book memory book, uint256 underlying) internal view returns (Row row) {
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

    function _addHolding(Book memory book, Holding holding) internal view {
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

    /// @dev Fixes the rates of every yield token held.
    function _fixYields(Book memory book, Holding[] calldata holdings) internal {
        for (uint256 i; i < holdings.length; ++i) {
            uint16 asset = holdings[i].asset();
            Rates rates = book.rates[asset];
            if (Rates.unwrap(rates) != 0) _fixRates(asset, rates);
        }
    }

    /// @dev Units of the underlying; cut below 2^104, which favours the protocol: units are what an asset is worth.
    function _unitsDown(uint256 amount, uint256 rate, uint256 decimals) private pure returns (uint256) {
        // 128 bits of amount times 68 of rate; decimals are at most 27.
        unchecked {
            return PriceMath.min(UNITS_LIMIT - 1, amount * rate / 10 ** decimals);
        }
    }

    function _addPosition(Book memory book, Position position) internal view {
        Instrument instrument = position.instrument();
        if (!instrument.isPerpetual()) {
            _addDated(book, instrument, position);
            return;
        }
        uint256 underlying = instrument.underlying();
        Row row = _rowOf(book, underlying);
        int256 size = position.size();
        // |size| <= 2^103 and price < 2^94, so notional < 2^138; the funding index has 113 bits, so 255 positions keep
        // sums of size * index below 2^224; closing has 10 bits.
        unchecked {
            book.cash += position.quote();
            book.funding += size * _fundingIndex(underlying);
            row.addDelta(size);
            _charge(book, row, PriceMath.abs(size), row.quote().index());
        }
    }

    /// @dev Closing cost and concentration of a perpetual or a future.
    function _charge(Book memory book, Row row, uint256 size, uint256 mark) internal pure {
        // As in `_addPosition`; a forward is below 2^96.
        unchecked {
            uint256 notional = (size * mark + (WAD - 1)) / WAD;
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

    /// @dev A future or an option: into its expiry, or into its strike, to be priced with all that is held of it.
    function _addDated(Book memory book, Instrument instrument, Position position) private view {
        if (!instrument.isDated() || !instrument.isCanonical()) revert IMarginEngine.UnknownInstrument(instrument);
        if (book.dated == 0) book.dated = Curves.table(book.positions);
        uint256 expiry = _expiryOf(book, instrument);
        int256 size = position.size();
        bool isOption = instrument.kind() == Instruments.OPTION;
        // Sums of sizes are below 2^111; a settlement is below 2^97, and so is a strike.
        unchecked {
            book.cash += position.quote();
            if (size < 0 || !isOption) book.owes = true;
            if (expiry.get(Curves.LIVE) == 0) {
                int256 value = size * int256(_payoff(instrument, expiry.get(Curves.FORWARD)));
                expiry.get(Curves.CURVE).add(Curves.FIXED, value);
                if (value > 0) book.paid += uint256(value);
                return;
            }
            if (!isOption) {
                expiry.add(Curves.FUTURES, size);
                Row row = Row.wrap(expiry.get(Curves.CURVE).get(Curves.ROW));
                _charge(book, row, PriceMath.abs(size), expiry.get(Curves.FORWARD));
                return;
            }
            (uint256 place, uint256 strike) = Curves.find(book.dated, instrument.strikeKey());
            if (strike == 0) {
                strike = Curves.openStrike(expiry, instrument.strikeKey(), instrument.strike());
                place.set(0, strike);
                strike.set(Curves.NEXT, book.strikes);
                book.strikes = strike;
            }
            if (instrument.isPut()) {
                strike.add(Curves.PUT_SIZE, size);
                expiry.add(Curves.PUTS, size);
                expiry.get(Curves.CURVE).add(Curves.FIXED, size * int256(strike.get(Curves.STRIKE)));
            } else {
                strike.add(Curves.CALL_SIZE, size);
            }
        }
    }

    /// @dev The expiry of a dated instrument, opened with its underlying when it first appears.
    function _expiryOf(Book memory book, Instrument instrument) private view returns (uint256 expiry) {
        uint256 key = instrument.expiryKey();
        uint256 place;
        (place, expiry) = Curves.find(book.dated, key);
        if (expiry != 0) return expiry;
        Row row = _rowOf(book, instrument.underlying());
        (uint256 slice, uint256 samples) = _datesOf(instrument);
        uint256 curve = row.curve();
        if (curve == 0) curve = Curves.open(row, _words[_key(Kind.OPTIONS, instrument.underlying())]);
        expiry = Curves.openExpiry(curve, key, instrument.expiry(), slice, samples);
        place.set(0, expiry);
    }

    /// @dev The surface of a dated instrument's expiry and the samples of its fixing; without the first once the second
    /// is complete.
    function _datesOf(Instrument instrument) internal view returns (uint256 slice, uint256 samples) {
        uint256 key = instrument.expiryKey();
        if (Curves.timeLeft(instrument.expiry()) <= Curves.FIXING_TIME) samples = _samples[key];
        if (Curves.missing(samples) == 0) return (0, samples);
        slice = _surfaces[key];
        if (slice == 0) revert IMarginEngine.UnknownInstrument(instrument);
    }

    /// @dev What a unit is worth at a settlement price.
    function _payoff(Instrument instrument, uint256 price) internal pure returns (uint256) {
        if (instrument.kind() == Instruments.FUTURE) return price;
        uint256 strike = instrument.strike();
        (uint256 more, uint256 less) = instrument.isPut() ? (strike, price) : (price, strike);
        return more > less ? more - less : 0;
    }

    function _concentrationUp(uint256 notional, uint256 rate) internal pure returns (uint256) {
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
        // docs/margin.md, 8: charges are below 2^202, the greatest is concentration: 255 positions of 2^194.
        unchecked {
            book.collateralNow = _perBpsUp(book.collateral + book.collateralShift);
            book.collateral = _perBpsUp(book.collateral + book.crowding);
            book.closingNow = _perBpsUp(book.closing + book.closingShift) + book.concentration + book.concentrationShift;
            book.closing = _perBpsUp(book.closing) + book.concentration;
        }
        if (book.dated == 0) {
            _scan(book);
            (result.initialMargin, result.maintenanceMargin) = _required(book);
        } else {
            _concludeDated(book, result);
        }
        uint256 required = result.maintenanceMargin;
        // Assets round down, what is held back rounds up; cash and the sums' quotients are far from int256's ends.
        unchecked {
            int256 equity = book.cash + PriceMath.floorDiv(book.value - book.funding, int256(WAD));
            result.equity = equity;
            result.initialEquity = equity - int256((book.ahead + book.excess + (WAD - 1)) / WAD);
            result.maintenanceEquity = equity + int256(book.favour / (WAD * BPS));
            // Less than a hundredth of what is required anyway is dust: it neither stops credit nor shields from
            // auctions.
            result.doubtful = 100 * ((book.doubted + (WAD - 1)) / WAD) > required;
        }
    }

    /// @dev Both margins as the sum of their parts.
    function _required(Book memory book) private pure returns (uint256 initial, uint256 maintenance) {
        // Parts are below 2^240, k below 2^16.
        unchecked {
            maintenance = book.scanNow + book.collateralNow + book.closingNow + book.bandNow + book.term;
            initial = book.scan + book.collateral + book.closing + book.band + book.term;
            uint256 least = _perBpsUp(Params.initialFactor(book.global) * maintenance);
            if (initial < least) initial = least;
        }
    }

    /// @dev Scan and bands of what is linear, in closed form.
    function _scan(Book memory book) private view {
        uint256 doubted;
        (book.value, book.ahead, book.favour, book.band, book.bandNow, doubted) =
            Rows.sum(book.rows, book.count, _bandCeiling(book.global));
        uint256 loss = Scan.loss(book.rows, book.count, false);
        // Without a ramp both levels scan the same.
        uint256 lossNow = book.ramps ? Scan.loss(book.rows, book.count, true) : loss;
        // docs/margin.md, 8, bounds the sum of losses below 2^238, and k below 2^16.
        unchecked {
            book.doubted += doubted;
            book.scan = PriceMath.ceilDiv(Params.initialFactor(book.global) * loss, 300 * WAD * BPS * BPS);
            book.scanNow = PriceMath.ceilDiv(lossNow, 300 * WAD * BPS);
            book.band = _perWadBpsUp(book.band);
            book.bandNow = _perWadBpsUp(book.bandNow);
        }
    }

    /// @dev Margins of a book with something dated.
    function _concludeDated(Book memory book, Margin memory result) private view {
        _priceStrikes(book);
        uint256 initialMost = type(uint256).max;
        uint256 maintenanceMost = type(uint256).max;
        // Who owes nothing loses at most what his options are worth, beside what is linear.
        if (!book.owes) {
            uint256 doubted = book.doubted;
            _scan(book);
            book.doubted = doubted;
            (initialMost, maintenanceMost) = _required(book);
            // Marks of 255 sizes: below 2^208. Down, or who holds nothing else were a wei short of it.
            unchecked {
                uint256 paid = book.paid / WAD;
                initialMost += paid;
                maintenanceMost += paid;
            }
        }
        _scanGrid(book);
        // Below 2^210 each.
        unchecked {
            book.closing += book.options;
            book.closingNow += book.optionsNow;
        }
        (uint256 initial, uint256 maintenance) = _required(book);
        result.initialMargin = PriceMath.min(initial, initialMost);
        result.maintenanceMargin = PriceMath.min(maintenance, maintenanceMost);
    }

    /// @dev Values of every strike in all states, and the charges of its options.
    function _priceStrikes(Book memory book) private view {
        uint256 strike = book.strikes;
        if (strike == 0) return;
        uint256 table = Normal.load(_normalTable);
        for (; strike != 0; strike = strike.get(Curves.NEXT)) {
            uint256 expiry = strike.get(Curves.EXPIRY);
            // Sizes below 2^111, prices below 2^97: sums below 2^208.
            unchecked {
                int256 net = strike.signed(Curves.CALL_SIZE) + strike.signed(Curves.PUT_SIZE);
                strike.setSigned(Curves.NET, net);
                Black76.addStates(
                    table, strike + Curves.KERNEL, expiry + Curves.PAIRS, expiry.get(Curves.CURVE) + Curves.SUMS
                );
                expiry.add(Curves.SLOPE, net * strike.signed(Curves.DELTA));
                expiry.add(
                    Curves.VEGA, net * (strike.signed(Curves.PRICES + 0x20) - strike.signed(Curves.PRICES + 0x40))
                );
                _chargeStrike(book, strike, expiry, net);
            }
        }
    }

    /// @dev docs/options.md, 6, Liquidity.
    function _chargeStrike(Book memory book, uint256 strike, uint256 expiry, int256 net) private pure {
        uint256 curve = expiry.get(Curves.CURVE);
        Row row = Row.wrap(curve.get(Curves.ROW));
        uint256 mark = strike.get(Curves.PRICES);
        _chargeOption(book, row, curve, strike.signed(Curves.CALL_SIZE), mark);
        // A put by parity; a call is never below what its forward is above the strike.
        unchecked {
            mark = mark + strike.get(Curves.STRIKE) - expiry.get(Curves.FORWARD);
        }
        _chargeOption(book, row, curve, strike.signed(Curves.PUT_SIZE), mark);
        if (net == 0) return;
        uint256 reach = Params.reachUp(row.termsNow());
        // Dollars below 2^146, range 2^14, weight 2^60; a deviation is not zero beneath the weight.
        unchecked {
            uint256 weight = WAD;
            if (net > 0) {
                uint256 deviation = strike.get(Curves.DEVIATIONS);
                if (deviation == 0) deviation = 1;
                weight = PriceMath.min(WAD, PriceMath.ceilDiv(2 * reach * 1e32, 15 * deviation));
            }
            uint256 notional = (PriceMath.abs(net) * row.quote().index() + (WAD - 1)) / WAD;
            uint256 kink =
                PriceMath.ceilDiv(notional * reach * expiry.get(Curves.LIVE) * weight, 12 * Curves.SAMPLES * BPS * WAD);
            book.options += kink;
            book.optionsNow += kink;
        }
    }

    /// @dev What closing an option costs, of a long one at most what it is worth.
    function _chargeOption(Book memory book, Row row, uint256 curve, int256 size, uint256 mark) private pure {
        if (size == 0) return;
        // As in `_addPosition`; marks are below 2^97.
        unchecked {
            uint256 units = PriceMath.abs(size);
            uint256 notional = (units * row.quote().index() + (WAD - 1)) / WAD;
            uint256 closing = _perBpsUp(notional * Params.optionClosing(curve.get(Curves.OPTIONS)));
            uint256 terms = row.terms();
            uint256 termsNow = row.termsNow();
            uint256 charge = closing + _concentrationUp(notional, Params.concentration(terms));
            uint256 chargeNow =
                termsNow == terms ? charge : closing + _concentrationUp(notional, Params.concentration(termsNow));
            if (size > 0) {
                uint256 worth = units * mark;
                book.paid += worth;
                worth /= WAD;
                charge = PriceMath.min(charge, worth);
                chargeNow = PriceMath.min(chargeNow, worth);
            }
            book.options += charge;
            book.optionsNow += chargeNow;
        }
    }

    /// @dev Scan, bands and equity over the whole grid.
    function _scanGrid(Book memory book) private view {
        (book.value, book.ahead, book.favour, book.band, book.bandNow) = (0, 0, 0, 0, 0);
        // Losses of all rows in maintenance, the totals of both levels, and room for those of one row.
        uint256 losses = Memory.take((book.count + 4) * Grid.SIZE);
        book.losses = losses;
        // A row that is alone is worst in the state that is worst for it, whatever its window: its losses are the
        // totals.
        bool isAlone = book.count == 1;
        // 255 rows at most; docs/options.md, 5, bounds what is summed.
        unchecked {
            uint256 totals = isAlone ? losses : losses + book.count * Grid.SIZE;
            book.totals = totals;
            uint256 totalsInitial = losses + (book.count + 1) * Grid.SIZE;
            uint256 steady = totalsInitial + Grid.SIZE;
            uint256 initial = isAlone ? totalsInitial : steady + Grid.SIZE;
            uint256 k = Params.initialFactor(book.global);
            for (uint256 i; i < book.count; ++i) {
                Row row = Rows.at(book.rows, i);
                _sumRow(book, row, losses, steady);
                uint256 terms = row.terms();
                uint256 termsNow = row.termsNow();
                uint256 reach = Params.reachUp(termsNow);
                uint256 wide = k * Params.reachUp(terms);
                if (row.curve() == 0) {
                    Grid.fillLinear(losses, initial, row.exposure(), reach, wide);
                } else {
                    Grid.fillInitial(initial, losses, reach, wide);
                    Grid.weigh(losses);
                }
                if (isAlone) break;
                Grid.addWindows(totals, losses, Params.window(termsNow));
                Grid.addWindows(totalsInitial, initial, Params.window(terms));
                losses += Grid.SIZE;
            }
            uint256 unit = isAlone ? Grid.LOSS_UNIT : Grid.SCALE;
            book.scanNow = Grid.dollarsUp(totals, unit);
            book.scan = Grid.dollarsUp(totalsInitial, unit);
            book.band = _perWadBpsUp(book.band);
            book.bandNow = _perWadBpsUp(book.bandNow);
        }
    }

    /// @dev Losses of a row, and what it adds to equity and to the bands.
    /// @param steady Where losses at the volatility of now go.
    function _sumRow(Book memory book, Row row, uint256 losses, uint256 steady) private view {
        Quote quote = row.quote();
        uint256 curve = row.curve();
        // Deltas below 2^112, prices below 2^94; docs/options.md, 5.
        unchecked {
            int256 exposure = row.delta() * int256(quote.index());
            row.setExposure(exposure);
            uint256 reach = Params.reachUp(row.termsNow());
            int256 over = exposure - row.delta() * int256(quote.stable());
            int256 value = exposure;
            if (curve != 0) {
                _sumExpiries(book, curve);
                int256 held = curve.signed(Grid.CENTER);
                over += held - curve.signed(Grid.AT_STABLE);
                value += held + curve.signed(Curves.FIXED);
                Grid.fill(losses, steady, curve, exposure, reach);
            }
            book.value += value;
            if (over > 0) book.ahead += uint256(over);
            uint256 doubts = curve == 0 ? 0 : curve.get(Curves.DOUBTS);
            if (!quote.isOk() || doubts & Curves.LATE != 0) {
                book.doubted += PriceMath.abs(exposure);
                if (curve != 0) book.doubted += (Grid.largest(losses) + 29_999) / 30_000;
            } else if (doubts != 0) {
                book.doubted += (Grid.furthest(losses, steady) + 29_999) / 30_000;
            }
            uint256 band = quote.band();
            uint256 lost = Grid.bandUp(steady, curve, exposure, band, reach);
            book.band += lost;
            if (quote.isOk()) {
                uint256 bandNow = PriceMath.min(Params.band(row.termsNow()), _bandCeiling(book.global));
                book.bandNow += bandNow == band ? lost : Grid.bandUp(steady, curve, exposure, bandNow, reach);
            } else {
                book.favour += Grid.favourDown(steady, curve, exposure, band, reach);
            }
        }
    }

    /// @dev Adds futures, and puts by parity, to the values of a curve, and takes the term charges of its expiries.
    function _sumExpiries(Book memory book, uint256 curve) private pure {
        uint256 options = curve.get(Curves.OPTIONS);
        // Sizes below 2^111, forwards below 2^97, deltas with 41 bits more: charges below 2^210.
        unchecked {
            for (uint256 expiry = curve.get(Curves.EXPIRIES); expiry != 0; expiry = expiry.get(Curves.NEXT)) {
                if (expiry.get(Curves.LIVE) == 0) continue;
                int256 linear = expiry.signed(Curves.FUTURES) - expiry.signed(Curves.PUTS);
                if (linear != 0) Grid.addLinear(curve + Curves.SUMS, expiry + Curves.PAIRS, linear);
                int256 slope = expiry.signed(Curves.SLOPE) + (linear << 41);
                expiry.setSigned(Curves.SLOPE, slope);
                uint256 moved = (PriceMath.abs(slope) * expiry.get(Curves.FORWARD) + ((1 << 41) - 1)) >> 41;
                // Of a time in years, 6 decimals: the floor of a root, divided, is the floor of the divided root.
                uint256 root = expiry.get(Curves.ROOT) / 1e12;
                uint256 term = PriceMath.ceilDiv(moved * Params.termForward(options) * root, BPS * 1e6 * WAD);
                uint256 twist = PriceMath.abs(expiry.signed(Curves.VEGA));
                book.term += term + PriceMath.ceilDiv(twist * Params.termVol(options), 2 * BPS * WAD);
            }
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
