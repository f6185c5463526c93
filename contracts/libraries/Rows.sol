// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Quote} from "./Quotes.sol";

/// @dev Everything held on one underlying: a place in memory of eight words.
/// underlying | risk | risk now | gauge | quote | delta | excess | exposure
/// `risk` and `risk now` are UNDERLYING words for initial and for maintenance margin; `delta` net units, signed;
/// `excess` units that count in maintenance but not in initial equity; `exposure` absolute dollars, 36 decimals, set by
/// `sum`.
type Row is uint256;

/// @title The rows of a book, one after another in memory
/// @dev A margin spends more on moving these words than on anything but storage and feeds, so they are moved by hand.
/// The plain statement of every sum is docs/margin.md and its twin `plimsoll/risk/model.py`; tests/differential holds
/// them equal.
library Rows {
    /// @notice Room for `room` rows. Before them lies a table of 256 bytes that says where each underlying is: one more
    /// than its place.
    function allocate(uint256 room) internal pure returns (uint256 rows) {
        // Takes the room and the table off the free memory; a calldatacopy from beyond calldata zeroes the table.
        assembly ("memory-safe") {
            let places := mload(0x40)
            rows := add(places, 0x100)
            mstore(0x40, add(rows, shl(8, room)))
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
            row := add(rows, shl(8, place))
            mstore(row, underlying_)
            mstore(add(row, 0xa0), 0)
            mstore(add(row, 0xc0), 0)
            mstore8(add(sub(rows, 0x100), underlying_), add(place, 1))
        }
    }

    /// @notice The row at `place`.
    function at(uint256 rows, uint256 place) internal pure returns (Row row) {
        // Rows take 2^8 bytes each.
        assembly ("memory-safe") {
            row := add(rows, shl(8, place))
        }
    }

    // Each accessor reads or writes a word of a row within the room.

    function underlying(Row row) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(row)
        }
    }

    function risk(Row row) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0x20))
        }
    }

    function riskNow(Row row) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0x40))
        }
    }

    function gauge(Row row) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0x60))
        }
    }

    function setRisk(Row row, uint256 risk_, uint256 gauge_) internal pure {
        assembly ("memory-safe") {
            mstore(add(row, 0x20), risk_)
            mstore(add(row, 0x60), gauge_)
        }
    }

    function setRiskNow(Row row, uint256 risk_) internal pure {
        assembly ("memory-safe") {
            mstore(add(row, 0x40), risk_)
        }
    }

    function setQuote(Row row, Quote quote_) internal pure {
        assembly ("memory-safe") {
            mstore(add(row, 0x80), quote_)
        }
    }

    function quote(Row row) internal pure returns (Quote value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0x80))
        }
    }

    function delta(Row row) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0xa0))
        }
    }

    /// @dev 96 holdings of 104 bits and 255 sizes of 103 keep a delta below 2^112.
    function addDelta(Row row, int256 units) internal pure {
        assembly ("memory-safe") {
            let place := add(row, 0xa0)
            mstore(place, add(mload(place), units))
        }
    }

    /// @dev 96 holdings of 104 bits: below 2^111.
    function addExcess(Row row, uint256 units) internal pure {
        assembly ("memory-safe") {
            let place := add(row, 0xc0)
            mstore(place, add(mload(place), units))
        }
    }

    function exposure(Row row) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(row, 0xe0))
        }
    }

    /// @notice Sums over `count` rows, 36 decimals, bands times bps (docs/margin.md, 2 and 5), and each row's exposure.
    /// @param ceiling The band ceiling of maintenance, bps.
    /// @return value Net dollars.
    /// @return reserve What initial equity leaves out.
    /// @return favour Bands of doubtful prices.
    /// @return band Bands of initial margin.
    /// @return bandNow Bands of maintenance margin.
    /// @return doubted Gross dollars at doubtful prices.
    function sum(uint256 rows, uint256 count, uint256 ceiling)
        internal
        pure
        returns (int256 value, uint256 reserve, uint256 favour, uint256 band, uint256 bandNow, uint256 doubted)
    {
        // |delta| < 2^112, prices < 2^94, bands < 2^16: terms below 2^222, sums of 256 rows below 2^230. The layout of
        // a quote is that of `Quotes`: index 94 | stable 94 | band 16 | status 4; the band of a risk word has bits 48
        // to 57.
        assembly ("memory-safe") {
            let mask := sub(shl(94, 1), 1)
            let end := add(rows, shl(8, count))
            for { let row := rows } lt(row, end) { row := add(row, 0x100) } {
                let quote_ := mload(add(row, 0x80))
                let delta_ := mload(add(row, 0xa0))
                let index := and(quote_, mask)
                let worth := mul(delta_, index)
                value := add(value, worth)
                let ahead := sub(worth, mul(delta_, and(shr(94, quote_), mask)))
                reserve := add(reserve, add(mul(ahead, sgt(ahead, 0)), mul(mload(add(row, 0xc0)), index)))
                let sign := sar(255, worth)
                let exposed := sub(xor(worth, sign), sign)
                mstore(add(row, 0xe0), exposed)
                let term := mul(exposed, and(shr(188, quote_), 0xffff))
                band := add(band, term)
                let isOk := iszero(and(shr(204, quote_), 0xf))
                let rate := and(shr(48, mload(add(row, 0x40))), 0x3ff)
                rate := mul(isOk, xor(rate, mul(xor(rate, ceiling), gt(rate, ceiling))))
                bandNow := add(bandNow, mul(exposed, rate))
                if iszero(isOk) {
                    favour := add(favour, term)
                    doubted := add(doubted, exposed)
                }
            }
        }
    }

    /// @notice The worst loss over the states of the market factor, times 300, after `sum`.
    /// @param now_ Whether at the parameters of maintenance.
    /// @dev The closed form of `Scan`: in the states -2 .. 2 a row loses its exposure times its range times
    /// `min(300, window - 100 * sign * state)`.
    function scan(uint256 rows, uint256 count, bool now_) internal pure returns (uint256 loss) {
        // Exposure < 2^206, range at the gauge < 2^16, factors below 2^10: sums of 256 rows are below 2^240. Range and
        // window of a risk word have bits 0 to 13 and 14 to 23. At the centre no term is negative, so the maximum is
        // not.
        assembly ("memory-safe") {
            let down2 := 0
            let down1 := 0
            let up1 := 0
            let up2 := 0
            let offset := add(0x20, shl(5, now_))
            let end := add(rows, shl(8, count))
            for { let row := rows } lt(row, end) { row := add(row, 0x100) } {
                let risk_ := mload(add(row, offset))
                let reach := div(add(mul(and(risk_, 0x3fff), mload(add(row, 0x60))), 9999), 10000)
                let x := mul(mload(add(row, 0xe0)), reach)
                let window := and(shr(14, risk_), 0x3ff)
                // Factors 300, window + 100, window, window - 100 and window - 200, all capped at 300.
                let hundred := mul(100, x)
                let centre := mul(window, x)
                let full := mul(3, hundred)
                let near := add(centre, hundred)
                let far := sub(centre, hundred)
                let farther := sub(far, hundred)
                if gt(window, 199) {
                    near := full
                    if sgt(centre, full) { centre := full }
                    if sgt(far, full) { far := full }
                    if sgt(farther, full) { farther := full }
                }
                loss := add(loss, centre)
                switch slt(mload(add(row, 0xa0)), 0)
                case 0 {
                    down2 := add(down2, full)
                    down1 := add(down1, near)
                    up1 := add(up1, far)
                    up2 := add(up2, farther)
                }
                default {
                    down2 := add(down2, farther)
                    down1 := add(down1, far)
                    up1 := add(up1, near)
                    up2 := add(up2, full)
                }
            }
            if sgt(down1, loss) { loss := down1 }
            if sgt(up1, loss) { loss := up1 }
            if sgt(down2, loss) { loss := down2 }
            if sgt(up2, loss) { loss := up2 }
        }
    }
}
