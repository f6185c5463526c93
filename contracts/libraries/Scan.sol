// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BPS} from "./Constants.sol";
import {Params} from "./Params.sol";
import {Row, Rows} from "./Rows.sol";

/// @title The scan of books that are linear in every underlying, in closed form
/// @dev A linear book loses `X * min(300, w - 100 * sign * m) / 300` in the worst state that its window reaches from
/// state `m` of the market factor, where `X = |delta| * price * range`. States beyond -3 .. 3 never bind within the
/// bounds of the
/// registry (docs/margin.md, 8). With `w >= 100` a state of two thirds of the range reaches the whole of it on its side
/// and gains less on the other: -3 and 3 are never worse than -2 and 2, and `Rows.scan` leaves them out.
library Scan {
    using Rows for Row;

    /// @notice The scan range at the gauge, bps, rounded up.
    function reachUp(uint256 risk, uint256 gauge) internal pure returns (uint256) {
        // 14 bits times 16.
        unchecked {
            return (Params.range(risk) * gauge + (BPS - 1)) / BPS;
        }
    }

    /// @notice What one row loses in a state at the parameters of maintenance, times 300.
    function lossAt(Row row, int256 state) internal pure returns (int256) {
        uint256 risk = row.riskNow();
        int256 shift = row.delta() < 0 ? -100 * state : 100 * state;
        int256 factor = int256(Params.window(risk)) - shift;
        if (factor > 300) factor = 300;
        // Exposure has 206 bits, range 16, a factor 11.
        return int256(row.exposure() * reachUp(risk, row.gauge())) * factor;
    }

    /// @notice The lowest state of the market factor in which maintenance loses most.
    function worstState(uint256 rows, uint256 count) internal pure returns (int256 worst) {
        int256 most = type(int256).min;
        for (int256 state = -3; state <= 3; ++state) {
            int256 loss;
            for (uint256 i; i < count; ++i) {
                loss += lossAt(Rows.at(rows, i), state);
            }
            if (loss > most) (most, worst) = (loss, state);
        }
    }
}
