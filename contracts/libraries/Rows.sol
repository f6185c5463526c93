// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Quote} from "./Quotes.sol";

/// @dev Everything held on one underlying: a place in memory of six words.
/// underlying 8, curve above it | terms | terms now | quote | delta | exposure
/// `curve` is the place of what is dated on it (`Curves`), zero when nothing is; `terms` are what `Params.withGauge`
/// packs, for initial margin, `terms now` the same for maintenance; `delta` net units, signed; `exposure` net dollars,
/// signed, 36 decimals, set by `sum`.
type Row is uint256;

/// @title The rows of a book, one after another in memory
/// @dev A margin spends more on moving these words than on anything but storage and feeds, so they are moved by hand.
/// The plain statement of every sum is docs/margin.md and its twin `plimsoll/risk/model.py`; tests/differential holds
/// them equal.
library Rows {
    /// @dev Bytes of a row.
    uint256 private constant SIZE = 0xc0;

    /// @notice Room for `room` rows. Before them lies a table of 256 bytes that says where each underlying is: one more
    /// than its place.
    function allocate(uint256 room) internal pure returns (uint256 rows) {
        // Takes the room and the table off the free memory; a calldatacopy from beyond calldata zeroes the table.
        assembly ("memory-safe") {
            let places := mload(0x40)
            rows := add(places, 0x100)
            mstore(0x40, add(rows, mul(SIZE, room)))
            calldatacopy(places, calldatasize(), 0x100)
        }
    }

    /// @notice One more than the place of an underlying below 256; zero when it has none.
    function find(uint256 rows, uint256 underlying_) internal pure returns (uint256 place) {
        // A byte of the table.
        assembly ("memory-safe") {
            place := byte(0, mload(add(sub(rows, 0x100), underlying_)))
        }
    }

    /// @notice Opens the row at `place`, which is below the room and below 255, with nothing held.
    function open(uint256 rows, uint256 place, uint256 underlying_) internal pure returns (Row row) {
        // Within the room that `allocate` took; the table has a byte for each underlying.
        assembly ("memory-safe") {
            row := add(rows, mul(SIZE, place))
            mstore(row, underlying_)
            mstore(add(row, 0x80), 0)
            mstore8(add(sub(rows, 0x100), underlying_), add(place, 1))
        }
    }

    /// @notice The row at `place`.
    function at(uint256 rows, uint256 place) internal pure returns (Row row) {
        // Rows lie one after another.
        assembly ("memory-safe") {
            row := add(rows, mul(SIZE, place))
        }
    }

    // Each accessor reads or writes a word of a row within the room.

    function underlying(Row row) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := and(mload(row), 0xff)
        }
    }

    function curve(Row row) internal pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := shr(8, mload(row))
        }
    }

    /// @dev A place in memory is far below 2^248.
    function setCurve(Row row, uint256 place) internal pure {
        assembly ("memory-safe") {
            mstore(row, or(mload(row), shl(8, place)))
        }
    }

    function terms(Row row) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0x20))
        }
    }

    function termsNow(Row row) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0x40))
        }
    }

    function setTerms(Row row, uint256 terms_, uint256 termsNow_) internal pure {
        assembly ("memory-safe") {
            mstore(add(row, 0x20), terms_)
            mstore(add(row, 0x40), termsNow_)
        }
    }

    function quote(Row row) internal pure returns (Quote value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0x60))
        }
    }

    function setQuote(Row row, Quote quote_) internal pure {
        assembly ("memory-safe") {
            mstore(add(row, 0x60), quote_)
        }
    }

    function delta(Row row) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0x80))
        }
    }

    /// @dev 96 holdings of 104 bits and 255 sizes of 103 keep a delta below 2^112.
    function addDelta(Row row, int256 units) internal pure {
        assembly ("memory-safe") {
            let place := add(row, 0x80)
            mstore(place, add(mload(place), units))
        }
    }

    function exposure(Row row) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0xa0))
        }
    }

    function setExposure(Row row, int256 exposure_) internal pure {
        assembly ("memory-safe") {
            mstore(add(row, 0xa0), exposure_)
        }
    }

    /// @notice Sums over `count` rows, 36 decimals, bands times bps (docs/margin.md, 2 and 5), and each row's exposure.
    /// @param ceiling The band ceiling of maintenance, bps.
    /// @return value Net dollars.
    /// @return ahead What prices above their stable ones add to it.
    /// @return favour Bands of doubtful prices.
    /// @return band Bands of initial margin.
    /// @return bandNow Bands of maintenance margin.
    /// @return doubted Gross dollars at doubtful prices.
    function sum(uint256 rows, uint256 count, uint256 ceiling)
        internal
        pure
        returns (int256 value, uint256 ahead, uint256 favour, uint256 band, uint256 bandNow, uint256 doubted)
    {
        // |delta| < 2^112, prices < 2^94, bands < 2^16: terms below 2^222, sums of 256 rows below 2^230. The layout of
        // a quote is that of `Quotes`: status 4 | band 16 | stable 94 from bit 68 | index 94; the band of an UNDERLYING
        // word has bits 48 to 57.
        assembly ("memory-safe") {
            let mask := sub(shl(94, 1), 1)
            let end := add(rows, mul(SIZE, count))
            for { let row := rows } lt(row, end) { row := add(row, SIZE) } {
                let quote_ := mload(add(row, 0x60))
                let worth := mload(add(row, 0x80))
                let over := mul(worth, sub(shr(162, quote_), and(shr(68, quote_), mask)))
                ahead := add(ahead, mul(over, sgt(over, 0)))
                worth := mul(worth, shr(162, quote_))
                mstore(add(row, 0xa0), worth)
                value := add(value, worth)
                let sign := sar(255, worth)
                worth := sub(xor(worth, sign), sign)
                let term := mul(worth, and(shr(4, quote_), 0xffff))
                band := add(band, term)
                switch and(quote_, 0xf)
                case 0 {
                    let rate := and(shr(48, mload(add(row, 0x40))), 0x3ff)
                    if gt(rate, ceiling) { rate := ceiling }
                    bandNow := add(bandNow, mul(worth, rate))
                }
                default {
                    favour := add(favour, term)
                    doubted := add(doubted, worth)
                }
            }
        }
    }

    /// @notice The worst loss over the states of the market factor, times 300, after `sum`.
    /// @param now_ Whether at the terms of maintenance.
    /// @return loss Right unless `wide`.
    /// @return wide Whether a window is beyond 200.
    /// @dev With `x` the exposure times its range and `w` its window, a row loses `min(300, w - 100 m) x` in the states
    /// `m` -2 .. 2, `m` counted towards its own side. Up to a window of 200 only the last but one state, -2, reaches
    /// the whole range. So with `u` and `d` the sums of `x` over rows that are long and short, and `U` and `D` those of
    /// `(w - 100) x`, the book loses `U + D + 200 u` in the state -1, `D + 300 u - 100 d` in -2, the mirror images in 1
    /// and 2, and never more in 0 than in the worse of -1 and 1.
    function narrowLoss(uint256 rows, uint256 count, bool now_) internal pure returns (uint256 loss, bool wide) {
        // Exposure < 2^206, range at the gauge < 2^16, factors below 2^10: sums of 256 rows are below 2^240, ten of
        // them below 2^244. Range, window and gauge of terms have bits 0 to 13, 14 to 23 and 58 up.
        assembly ("memory-safe") {
            let long := 0
            let short := 0
            let longCut := 0
            let shortCut := 0
            let offset := add(0x20, shl(5, now_))
            let end := add(rows, mul(SIZE, count))
            for { let row := rows } lt(row, end) { row := add(row, SIZE) } {
                let terms_ := mload(add(row, offset))
                let x := mul(mload(add(row, 0xa0)), div(add(mul(and(terms_, 0x3fff), shr(58, terms_)), 9999), 10000))
                let rest := sub(and(shr(14, terms_), 0x3ff), 100)
                wide := or(wide, gt(rest, 100))
                switch slt(x, 0)
                case 0 {
                    long := add(long, x)
                    longCut := add(longCut, mul(x, rest))
                }
                default {
                    short := sub(short, x)
                    shortCut := sub(shortCut, mul(x, rest))
                }
            }
            loss := long
            if gt(short, long) { loss := short }
            loss := add(add(longCut, shortCut), mul(200, loss))
            let worse := sub(add(shortCut, mul(300, long)), mul(100, short))
            if sgt(worse, loss) { loss := worse }
            worse := sub(add(longCut, mul(300, short)), mul(100, long))
            if sgt(worse, loss) { loss := worse }
        }
    }
}
