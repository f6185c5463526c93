// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Kind} from "../../interfaces/IHaircutRegistry.sol";
import {IParameterModule} from "../../interfaces/IParameterModule.sol";
import {Params} from "./Params.sol";

/// @title What a parameter word may be and how far it may move at once: pure rules over one table of fields
library ParameterRules {
    /// @dev One table per kind drives every generic rule.
    struct Layout {
        /// One byte per field from the lowest, zero after the last.
        uint256 widths;
        /// Bit per field that is stored as a complement.
        uint256 complements;
        /// The least and the greatest code of every field, in the layout of the word itself.
        uint256 lowest;
        uint256 highest;
    }

    uint256 private constant GLOBAL_WIDTHS = 0x0e_10_20_20_10_0e_10;
    uint256 private constant MARKET_WIDTHS = 0x01_0e_28_0e_0e;
    uint256 private constant FUNDING_WIDTHS = 0x0e;
    uint256 private constant SOURCE_WIDTHS = 0x07_07_11_05_02_a0;
    uint256 private constant SECOND_WIDTHS = 0x0c_07_07_11_05_02_a0;
    uint256 private constant TOKEN_WIDTHS = 0x08_10_a0;
    uint256 private constant RATE_SOURCE_WIDTHS = 0x10_08_02_a0;
    uint256 private constant RATE_MARKET_WIDTHS = 0x0c_11_05_a0;
    uint256 private constant SEQUENCER_WIDTHS = 0x20_a0;
    uint256 private constant PRICE_WIDTHS = 0x5e;
    uint256 private constant LENDING_WIDTHS = 0x07_0d_0d_07;
    uint256 private constant OUTFLOW_WIDTHS = 0x28;
    uint256 private constant VOLATILITY_WIDTHS = 0x10;
    uint256 private constant REPORTS_WIDTHS = 0xa0;
    uint256 private constant OPTIONS_WIDTHS = 0x05_0b_03_0a_0e_0c_0e;

    uint256 private constant NATURAL_14 = (1 << 14) - 1;
    uint256 private constant NATURAL_11 = (1 << 11) - 1;
    uint256 private constant ADDRESS = type(uint160).max;

    // At least address 1, kind 1, age 1, ceiling 1; at most kind 2, decimals 31, floor 93, ceiling 94.
    uint256 private constant SOURCE_LOWEST = 1 | (1 << 160) | (1 << 167) | (1 << 191);
    uint256 private constant SOURCE_HIGHEST =
        ADDRESS | (2 << 160) | (31 << 162) | (((1 << 17) - 1) << 167) | (93 << 184) | (94 << 191);

    /// @dev The largest gauge; and what the tails of the grid allow (docs/margin.md, 8).
    uint256 private constant MAX_GAUGE = 4;
    uint256 private constant TAIL_BOUND = 300 * 3_200;

    /// @notice Reverts with `ParameterOutOfBounds` unless the id exists for the kind, every field lies within its
    /// bounds, nothing lies above the last field, and fields that belong together fit each other.
    function requireValid(Kind kind, uint16 id, uint256 word) internal pure {
        if (id > _lastId(kind)) revert IParameterModule.ParameterOutOfBounds(kind, id, type(uint256).max, id);
        // Any word at all; and what can be taken away.
        if (kind == Kind.PYTH_ID || kind == Kind.SECOND_PYTH_ID) return;
        if (word == 0 && (kind == Kind.SECOND_SOURCE || kind == Kind.SEQUENCER || kind == Kind.REPORTS)) return;
        if (kind == Kind.SYMBOL) return _requireText(id, word);
        _requireBounds(_layout(kind), kind, id, word);
        if (kind == Kind.UNDERLYING) requireScanBound(id, word, word);
        if (kind == Kind.ASSET) _requireOrder(id, word);
        if (kind == Kind.LENDING) _requireRisingRates(id, word);
        if (kind == Kind.SOURCE || kind == Kind.SECOND_SOURCE) _requireRoom(kind, id, word);
    }

    /// @notice Whether a word may take effect at once: it replaces one, loosens no field, and leaves those that always
    /// wait: range and window of an underlying, the fees of a market, everything of OPTIONS, which has no ramp.
    function isTightening(Kind kind, uint256 old, uint256 word) internal pure returns (bool) {
        // No word is a word only where it is the loosest: no limit on what leaves.
        bool replaces = old != 0 || kind == Kind.OUTFLOW;
        if (!_hasSteps(kind) || !replaces || _loosens(_layout(kind), old, word)) return false;
        // The lowest 24 bits of an underlying: another range can lower a hedged book's margin. The lowest 28 of a
        // market: an order that rests was signed for the fee of its day, and names none.
        if (kind == Kind.UNDERLYING) return (old ^ word) & 0xffffff == 0;
        if (kind == Kind.MARKET) return (old ^ word) & 0xfffffff == 0;
        return kind != Kind.OPTIONS;
    }

    /// @notice Reverts with `StepTooLarge` when a word loosens a field of the one that it replaces by more than a step:
    /// a fifth of its value (or 1); for a limit, to twice its value or to 2^(width/2), whichever is more. What is no
    /// limit of OPTIONS does not tighten by more than a step either.
    /// @dev A first word, and kinds without risk fields, have no steps.
    function requireSteps(Kind kind, uint16 id, uint256 old, uint256 word) internal pure {
        if (!_hasSteps(kind) || old == 0) return;
        Layout memory table = _layout(kind);
        uint256 shift;
        uint256 field;
        for (uint256 widths = table.widths; widths != 0; widths >>= 8) {
            uint256 width = widths & 0xff;
            uint256 from = _field(old, shift, width);
            uint256 to = _field(word, shift, width);
            bool isLimit = (table.complements >> field) & 1 == 1;
            bool isStep = true;
            if (to < from) isStep = isLimit ? _isWider(from, to, width) : from - to <= _step(from);
            else if (kind == Kind.OPTIONS && !isLimit) isStep = to - from <= _step(from);
            if (!isStep) revert IParameterModule.StepTooLarge(kind, id, field, from, to);
            shift += width;
            field++;
        }
    }

    /// @dev Underlyings to 255, assets to 95, single words 0.
    function _lastId(Kind kind) private pure returns (uint256) {
        if (kind == Kind.GLOBAL || kind == Kind.SEQUENCER || kind == Kind.LENDING || kind == Kind.REPORTS) return 0;
        bool ofAsset = kind == Kind.ASSET || kind == Kind.TOKEN || kind == Kind.RATE_SOURCE || kind == Kind.RATE_MARKET
            || kind == Kind.OUTFLOW;
        return ofAsset ? 95 : 255;
    }

    /// @dev Words with risk fields, which loosen by steps; the others are wires.
    function _hasSteps(Kind kind) private pure returns (bool) {
        return kind == Kind.GLOBAL || kind == Kind.UNDERLYING || kind == Kind.ASSET || kind == Kind.MARKET
            || kind == Kind.FUNDING || kind == Kind.OUTFLOW || kind == Kind.OPTIONS;
    }

    function _layout(Kind kind) private pure returns (Layout memory) {
        if (kind == Kind.GLOBAL) return _global();
        if (kind == Kind.UNDERLYING) return _underlying();
        if (kind == Kind.ASSET) return _asset();
        if (kind == Kind.MARKET) return _market();
        // The cap to 1 % an hour.
        if (kind == Kind.FUNDING) return Layout(FUNDING_WIDTHS, 1, NATURAL_14 - 10_000, NATURAL_14);
        if (kind == Kind.SOURCE) return Layout(SOURCE_WIDTHS, 0, SOURCE_LOWEST, SOURCE_HIGHEST);
        if (kind == Kind.SECOND_SOURCE) return _secondSource();
        // Underlying 1 to 255, decimals to 27.
        if (kind == Kind.TOKEN) return Layout(TOKEN_WIDTHS, 0, 1 | (1 << 160), ADDRESS | (255 << 160) | (27 << 176));
        if (kind == Kind.RATE_SOURCE) return _rateSource();
        if (kind == Kind.RATE_MARKET) return Layout(RATE_MARKET_WIDTHS, 0, 1 | (1 << 165), (1 << 194) - 1);
        // Grace to one day.
        if (kind == Kind.SEQUENCER) return Layout(SEQUENCER_WIDTHS, 0, 1, ADDRESS | (86_400 << 160));
        if (kind == Kind.LENDING) return _lending();
        if (kind == Kind.OUTFLOW) return Layout(OUTFLOW_WIDTHS, 1, 0, (1 << 40) - 1);
        if (kind == Kind.VOLATILITY) return Layout(VOLATILITY_WIDTHS, 0, 1, (1 << 16) - 1);
        if (kind == Kind.REPORTS) return Layout(REPORTS_WIDTHS, 0, 0, ADDRESS);
        if (kind == Kind.OPTIONS) return _options();
        return Layout(PRICE_WIDTHS, 0, 0, (1 << 94) - 1);
    }

    /// @dev Bounds: k 12500 to 40000, band ceiling below 10000, peg bound 1 to 5000 bps.
    function _global() private pure returns (Layout memory) {
        return Layout({
            widths: GLOBAL_WIDTHS,
            complements: 0x5c,
            lowest: 12_500 | ((NATURAL_14 - 5_000) << 126),
            highest: 40_000 | (9_999 << 16) | (((1 << 96) - 1) << 30) | ((NATURAL_14 - 1) << 126)
        });
    }

    /// @dev Bounds: range 1 to 2500 (times the largest gauge it is at most 100 %), window 100 to 1000.
    function _underlying() private pure returns (Layout memory) {
        return Layout({
            widths: Params.UNDERLYING_WIDTHS,
            complements: 0,
            lowest: 1 | (100 << 14),
            highest: 2_500 | (1_000 << 14) | (((1 << 34) - 1) << 24)
        });
    }

    /// @dev Bounds: haircuts below 10000 bps.
    function _asset() private pure returns (Layout memory) {
        return Layout({
            widths: Params.ASSET_WIDTHS,
            complements: 0xc3,
            lowest: 0,
            highest: type(uint64).max | (9_999 << 64) | (9_999 << 78) | (9_999 << 92) | (((1 << 92) - 1) << 106)
        });
    }

    /// @dev Bounds: fees at most 1 %, stress jump 1 % to 100 %.
    function _market() private pure returns (Layout memory) {
        return Layout({
            widths: MARKET_WIDTHS,
            complements: 0x04,
            lowest: 100 << 68,
            highest: 10_000 | (10_000 << 14) | (((1 << 40) - 1) << 28) | (10_000 << 68) | (1 << 82)
        });
    }

    /// @dev Bounds: kink 1 to 99 %, share of the reserves to 50 %.
    function _lending() private pure returns (Layout memory) {
        uint256 rates = ((1 << 26) - 1) << 7;
        return Layout(LENDING_WIDTHS, 0, 1, 99 | rates | (50 << 33));
    }

    /// @dev Bounds: volatility shift 1 to 80 %, term charge of volatility to 100 %, digits 1 to 6, horizon 1 to 1095
    /// days.
    function _options() private pure returns (Layout memory) {
        uint256 anyDailies = uint256(0x1f) << 64;
        return Layout({
            widths: OPTIONS_WIDTHS,
            complements: 0x70,
            lowest: 100 | (1 << 50) | ((NATURAL_11 - 1_095) << 53),
            highest: 8_000 | (0xfff << 14) | (10_000 << 26) | (0x3ff << 40) | (6 << 50) | ((NATURAL_11 - 1) << 53)
                | anyDailies
        });
    }

    /// @dev Bounds: those of a source, deviation 1 bps to any.
    function _secondSource() private pure returns (Layout memory) {
        return Layout(SECOND_WIDTHS, 0, SOURCE_LOWEST | (1 << 198), SOURCE_HIGHEST | (((1 << 12) - 1) << 198));
    }

    /// @dev Bounds: kind 1 or 2, decimals of the vault's asset to 27, growth to 50 % a year.
    function _rateSource() private pure returns (Layout memory) {
        uint256 highest = ADDRESS | (2 << 160) | (27 << 162) | (5_000 << 170);
        return Layout(RATE_SOURCE_WIDTHS, 0, 1 | (1 << 160), highest);
    }

    function _requireBounds(Layout memory table, Kind kind, uint16 id, uint256 word) private pure {
        uint256 shift;
        uint256 field;
        for (uint256 widths = table.widths; widths != 0; widths >>= 8) {
            uint256 width = widths & 0xff;
            uint256 code = _field(word, shift, width);
            if (code < _field(table.lowest, shift, width) || code > _field(table.highest, shift, width)) {
                revert IParameterModule.ParameterOutOfBounds(kind, id, field, code);
            }
            shift += width;
            field++;
        }
        if (word >> shift != 0) revert IParameterModule.ParameterOutOfBounds(kind, id, field, word >> shift);
    }

    /// @notice Reverts with `ParameterOutOfBounds` unless the closed form of the scan holds at every point of a ramp
    /// between two UNDERLYING words, tails and every gauge included: the larger range with the smaller window must
    /// pass.
    function requireScanBound(uint16 id, uint256 from, uint256 to) internal pure {
        uint256 range = Params.range(from) > Params.range(to) ? Params.range(from) : Params.range(to);
        uint256 window = Params.window(from) < Params.window(to) ? Params.window(from) : Params.window(to);
        if (window < 300 && range * MAX_GAUGE * (300 - window) > TAIL_BOUND) {
            revert IParameterModule.ParameterOutOfBounds(Kind.UNDERLYING, id, 0, range);
        }
    }

    /// @dev The rate at full utilisation, field 2, is not below that at the kink.
    function _requireRisingRates(uint16 id, uint256 word) private pure {
        uint256 atFull = (word >> 20) & 0x1fff;
        if (atFull < (word >> 7) & 0x1fff) revert IParameterModule.ParameterOutOfBounds(Kind.LENDING, id, 2, atFull);
    }

    /// @dev One to 31 bytes of printable ASCII from the highest byte, then zeros. The field is the place of the byte,
    /// counted from the highest.
    function _requireText(uint16 id, uint256 word) private pure {
        uint256 length;
        while (length < 31 && (word >> (248 - 8 * length)) & 0xff != 0) {
            uint256 char = (word >> (248 - 8 * length)) & 0xff;
            if (char < 0x20 || char > 0x7e) {
                revert IParameterModule.ParameterOutOfBounds(Kind.SYMBOL, id, length, char);
            }
            length++;
        }
        // What is left after its characters; all of it when there are none.
        uint256 rest = word & (type(uint256).max >> (8 * length));
        if (length == 0 || rest != 0) revert IParameterModule.ParameterOutOfBounds(Kind.SYMBOL, id, length, rest);
    }

    /// @dev Tiers and haircuts ascend.
    function _requireOrder(uint16 id, uint256 word) private pure {
        if (Params.tier1(word) > Params.tier2(word)) _outOfOrder(id, 1, Params.tier2(word) / 1e18);
        if (Params.haircut1(word) > Params.haircut2(word)) _outOfOrder(id, 3, Params.haircut2(word));
        if (Params.haircut2(word) > Params.haircut3(word)) _outOfOrder(id, 4, Params.haircut3(word));
    }

    function _outOfOrder(uint16 id, uint256 field, uint256 value) private pure {
        revert IParameterModule.ParameterOutOfBounds(Kind.ASSET, id, field, value);
    }

    /// @dev The hard bounds of a source, fields 4 and 5, leave a price between them.
    function _requireRoom(Kind kind, uint16 id, uint256 word) private pure {
        uint256 floor = (word >> 184) & 0x7f;
        if (floor >= (word >> 191) & 0x7f) revert IParameterModule.ParameterOutOfBounds(kind, id, 4, floor);
    }

    /// @dev Whether some field of `word` is looser, that is smaller, than that of `old`.
    function _loosens(Layout memory table, uint256 old, uint256 word) private pure returns (bool) {
        uint256 shift;
        for (uint256 widths = table.widths; widths != 0; widths >>= 8) {
            uint256 width = widths & 0xff;
            if (_field(word, shift, width) < _field(old, shift, width)) return true;
            shift += width;
        }
        return false;
    }

    function _step(uint256 value) private pure returns (uint256) {
        return value < 10 ? 1 : value / 5;
    }

    /// @dev Limits are complements; one of zero can be left because 2^(width/2) is always a step.
    function _isWider(uint256 from, uint256 to, uint256 width) private pure returns (bool) {
        uint256 top = (1 << width) - 1;
        uint256 twice = 2 * (top - from);
        uint256 least = 1 << (width / 2);
        return top - to <= (twice > least ? twice : least);
    }

    function _field(uint256 word, uint256 shift, uint256 width) private pure returns (uint256) {
        return (word >> shift) & ((1 << width) - 1);
    }
}
