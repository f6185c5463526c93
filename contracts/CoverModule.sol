// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {Kind} from "../interfaces/IHaircutRegistry.sol";
import {ICoverModule} from "../interfaces/ICoverModule.sol";
import {IMarginEngine} from "../interfaces/IMarginEngine.sol";
import {Holding, Instrument, Portfolio, Position} from "../interfaces/Types.sol";
import {Books} from "./Books.sol";
import {HaircutRegistry} from "./HaircutRegistry.sol";
import {Black76} from "./libraries/Black76.sol";
import {BPS, WAD} from "./libraries/Constants.sol";
import {Curves} from "./libraries/Curves.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Memory} from "./libraries/Memory.sol";
import {Params} from "./libraries/Params.sol";
import {Positions} from "./libraries/Positions.sol";
import {PriceMath} from "./libraries/PriceMath.sol";
import {Quote, Quotes} from "./libraries/Quotes.sol";
import {Row, Rows} from "./libraries/Rows.sol";
import {Surfaces} from "./libraries/Surfaces.sol";

/// @title A lower bound of initial equity and an upper bound of initial margin: docs/options.md, section 9
/// @dev Runs on the MarginEngine's storage by delegatecall. Its own storage is never read. Every bound is the sum of
/// what the positions need one by one, with each option priced once: no grid.
contract CoverModule is ICoverModule, Books {
    using Instruments for Instrument;
    using Memory for uint256;
    using Positions for Position;
    using Quotes for Quote;
    using Rows for Row;

    // What an expiry has here beyond the fields of `Curves` before its pairs, which it lacks.
    uint256 private constant ROW = Curves.PAIRS;
    /// @dev The forward at the stable price.
    uint256 private constant AT_STABLE = Curves.PAIRS + 0x20;
    /// @dev The term charge of a dollar forward, bps with six decimals.
    uint256 private constant TERM = Curves.PAIRS + 0x40;
    uint256 private constant OPTIONS = Curves.PAIRS + 0x60;
    uint256 private constant EXPIRY_SIZE = Curves.PAIRS + 0x80;

    /// @dev Forwards below this are so coarse that a wei counts: a millionth of a dollar.
    uint256 private constant LEAST_FORWARD = 1e12;
    /// @dev What the table of the normal distribution may be wrong by, in all that is taken from a price, is less than
    /// a 2^26-th of it; and what is rounded is less than 8 wei.
    uint256 private constant ERROR_BITS = 26;
    uint256 private constant ROUNDINGS = 8;

    /// @dev Sums over what is dated, 36 decimals.
    struct Bound {
        /// What it is worth, exactly.
        int256 value;
        /// By how much more than at the stable price, at most.
        uint256 ahead;
        /// Scan, band and term charge at most, times bps.
        uint256 loss;
    }

    constructor(address manager, address reportModule, address normalTable)
        HaircutRegistry(manager)
        Books(normalTable, reportModule)
    {}

    /// @inheritdoc ICoverModule
    function isCovered(Portfolio calldata portfolio) external returns (bool) {
        Book memory book;
        Bound memory bound;
        book.global = _global;
        book.moment = _moment(_hasSequencer(book.global));
        book.cash = portfolio.cash;
        Holding[] calldata holdings = portfolio.collateral;
        Position[] calldata positions = portfolio.positions;
        book.rows = Rows.allocate(PriceMath.min(holdings.length + positions.length, 255));
        book.positions = positions.length;
        for (uint256 i; i < holdings.length; ++i) {
            _addHolding(book, holdings[i]);
        }
        for (uint256 i; i < positions.length; ++i) {
            Position position = positions[i];
            if (!position.instrument().isDated()) _addPosition(book, position);
            else if (!_addBounded(book, bound, position)) return false;
        }
        // Terms that differ between the levels, and yield tokens in doubt: the grid tells.
        if (book.ramps || book.collateralShift != 0 || book.doubted != 0) return false;
        if (!_addRows(book, bound) || !_isEnough(book, bound)) return false;
        if (book.rates.length != 0) _fixYields(book, holdings);
        return true;
    }

    /// @dev What is linear on each underlying. False when its price is not OK, or its band beyond the grid.
    function _addRows(Book memory book, Bound memory bound) private returns (bool) {
        for (uint256 i; i < book.count; ++i) {
            Row row = Rows.at(book.rows, i);
            Quote quote = row.quote();
            uint256 reach = Params.reachUp(row.terms());
            if (!quote.isOk() || quote.band() > 3 * reach) return false;
            _fix(row.underlying(), quote);
            // Deltas below 2^112, prices below 2^94, rates below 2^17: sums of 255 rows below 2^232.
            unchecked {
                int256 exposure = row.delta() * int256(quote.index());
                int256 over = exposure - row.delta() * int256(quote.stable());
                bound.value += exposure;
                if (over > 0) bound.ahead += uint256(over);
                bound.loss += PriceMath.abs(exposure) * (reach + quote.band());
            }
        }
        return true;
    }

    function _isEnough(Book memory book, Bound memory bound) private pure returns (bool) {
        // Losses are below 2^248, charges below 2^202, k below 2^16; cash and quotients are far from int256's ends.
        unchecked {
            uint256 charges = (book.collateral + book.closing) / BPS + book.concentration;
            uint256 most = bound.loss / (WAD * BPS) + charges + ROUNDINGS;
            most = (Params.initialFactor(book.global) * most + book.crowding) / BPS + 2;
            uint256 ahead = (bound.ahead + book.excess + (WAD - 1)) / WAD;
            int256 equity = book.cash + PriceMath.floorDiv(bound.value - book.funding, int256(WAD));
            return equity - int256(ahead) >= int256(most);
        }
    }

    /// @dev A future or an option. False when its expiry is in doubt.
    function _addBounded(Book memory book, Bound memory bound, Position position) private view returns (bool) {
        Instrument instrument = position.instrument();
        if (!instrument.isCanonical()) revert IMarginEngine.UnknownInstrument(instrument);
        uint256 expiry = _termsOf(book, instrument);
        if (expiry == 0) return false;
        int256 size = position.size();
        uint256 forward = expiry.get(Curves.FORWARD);
        // Sizes below 2^104, forwards below 2^97, rates below 2^34: 255 losses are below 2^243.
        unchecked {
            book.cash += position.quote();
            if (expiry.get(Curves.LIVE) == 0) {
                bound.value += size * int256(_payoff(instrument, forward));
                return true;
            }
            Row row = Row.wrap(expiry.get(ROW));
            uint256 units = PriceMath.abs(size);
            uint256 stable = expiry.get(AT_STABLE);
            bound.ahead += units * (forward > stable ? forward - stable : stable - forward);
            // Per unit, times bps: the band, and the term charge rounded up.
            uint256 loss = forward * row.quote().band() + forward * expiry.get(TERM) / 1e6 + ROUNDINGS * BPS;
            if (instrument.kind() == Instruments.FUTURE) {
                bound.value += size * int256(forward);
                bound.loss += units * (loss + forward * Params.reachUp(row.terms()));
                _charge(book, row, units, forward);
            } else {
                bound.loss += units * (loss + _addOption(bound, expiry, instrument, size));
                _chargeOption(book, row, expiry, units);
            }
            // What the dollars of its charges are rounded by.
            book.closing += ROUNDINGS * BPS;
        }
        return true;
    }

    /// @dev Its value, exactly.
    /// @return most What a unit may lose in the scan, and with its volatility, dollars times bps.
    function _addOption(Bound memory bound, uint256 expiry, Instrument instrument, int256 size)
        private
        view
        returns (uint256 most)
    {
        uint256 forward = expiry.get(Curves.FORWARD);
        uint256 price = instrument.strike();
        uint256 strike = Curves.openStrike(expiry, instrument.strikeKey(), price);
        (uint256 mark,) =
            Black76.callAt(_normalTable, forward, price, strike.signed(Curves.MONEYNESS), strike.get(Curves.DEVIATIONS));
        // A call is never below what its forward is above the strike; prices are below 2^97, deviations below 2^66, the
        // one shifted up not below the one shifted down.
        unchecked {
            if (instrument.isPut()) mark = mark + price - forward;
            bound.value += size * int256(mark);
            uint256 apart = strike.get(Curves.DEVIATIONS + 0x20) - strike.get(Curves.DEVIATIONS + 0x40);
            // A deviation is worth at most 1 / sqrt(2 pi) < 0.4 of the forward.
            uint256 twist = 2 * forward * apart / (5 * WAD) + 1;
            uint256 reach = Params.reachUp(Row.wrap(expiry.get(ROW)).terms());
            most = forward * reach + twist * (BPS + reach);
            // What is held long loses no more than it is worth.
            if (size > 0) most = PriceMath.min(most, mark * BPS);
            most += twist * Params.termVol(expiry.get(OPTIONS)) / 2;
            most += ((forward + expiry.get(AT_STABLE) + price) >> ERROR_BITS) * BPS;
        }
    }

    /// @dev Closing, concentration and kink of an option; `w` of the kink is at most one.
    function _chargeOption(Book memory book, Row row, uint256 expiry, uint256 units) private pure {
        uint256 terms = row.terms();
        // Dollars below 2^139, rates below 2^17.
        unchecked {
            uint256 notional = (units * row.quote().index() + (WAD - 1)) / WAD;
            uint256 kink = notional * Params.reachUp(terms) * expiry.get(Curves.LIVE) / (12 * Curves.SAMPLES);
            book.closing += notional * Params.optionClosing(expiry.get(OPTIONS)) + kink;
            book.concentration += _concentrationUp(notional, Params.concentration(terms));
        }
    }

    /// @dev The expiry of a dated instrument, opened when it first appears; zero when it is in doubt.
    function _termsOf(Book memory book, Instrument instrument) private view returns (uint256 expiry) {
        if (book.dated == 0) book.dated = Curves.table(book.positions);
        uint256 key = instrument.expiryKey();
        uint256 place;
        (place, expiry) = Curves.find(book.dated, key);
        if (expiry != 0) return expiry;
        Row row = _rowOf(book, instrument.underlying());
        (uint256 slice, uint256 samples) = _datesOf(instrument);
        uint256 live = Curves.missing(samples);
        uint256 expiresAt = instrument.expiry();
        if (live != 0 && (Curves.isStale(slice) || Curves.isLate(expiresAt))) return 0;
        expiry = Memory.take(EXPIRY_SIZE);
        place.set(0, expiry);
        expiry.set(Curves.KEY, key);
        if (live == 0) {
            expiry.set(Curves.FORWARD, Curves.settlement(samples));
            return expiry;
        }
        uint256 ratio = Curves.ratioDown(slice, expiresAt);
        uint256 forward = Curves.forwardDown(row.quote().index(), ratio, samples);
        if (forward < LEAST_FORWARD) return 0;
        expiry.set(ROW, Row.unwrap(row));
        expiry.set(Curves.LIVE, live);
        expiry.set(Curves.SLICE, slice);
        expiry.set(Curves.FORWARD, forward);
        expiry.set(AT_STABLE, Curves.forwardDown(row.quote().stable(), ratio, samples));
        uint256 left = Curves.timeLeft(expiresAt);
        uint256 options = _words[_key(Kind.OPTIONS, instrument.underlying())];
        expiry.set(OPTIONS, options);
        expiry.set(Curves.ROOT, Curves.rootOf(left));
        expiry.set(Curves.SHIFT, Curves.shiftUp(Params.volShift(options), Surfaces.observedAt(slice), left));
        // 32 bits of seconds, 12 of the charge.
        unchecked {
            expiry.set(TERM, Params.termForward(options) * FixedPointMathLib.sqrt(left * 1e12 / Curves.YEAR));
        }
    }
}
