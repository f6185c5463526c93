// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Params} from "./Params.sol";
import {PriceMath} from "./PriceMath.sol";
import {Row, Rows} from "./Rows.sol";

/// @title The scan of books that are linear in every underlying, in closed form
/// @dev A linear book loses `X * min(300, w - 100 * sign * m) / 300` in the worst state that its window reaches from
/// state `m` of the market factor, where `X = |delta| * price * range`. States beyond -3 .. 3 never bind within the
/// bounds of the registry (docs/margin.md, 8). With `w >= 100` a state of two thirds of the range reaches the whole of
/// it on its side and gains less on the other: -3 and 3 are never worse than -2 and 2.
library Scan {
    using Rows for Row;

    /// @notice The worst loss over the states of the market factor, times 300.
    /// @param now_ Whether at the terms of maintenance.
    function loss(uint256 rows, uint256 count, bool now_) internal pure returns (uint256 most) {
        bool wide;
        (most, wide) = Rows.narrowLoss(rows, count, now_);
        if (!wide) return most;
        most = 0;
        // At the centre no term is negative, so the maximum is not.
        for (int256 state = -2; state <= 2; ++state) {
            int256 sum = lossIn(state, rows, count, now_);
            if (sum > int256(most)) most = uint256(sum);
        }
    }

    /// @notice What all rows lose in a state, times 300.
    function lossIn(int256 state, uint256 rows, uint256 count, bool now_) internal pure returns (int256 sum) {
        // Rows are at most 255, losses below 2^232.
        unchecked {
            for (uint256 i; i < count; ++i) {
                Row row = Rows.at(rows, i);
                sum += lossAt(row, now_ ? row.termsNow() : row.terms(), state);
            }
        }
    }

    /// @notice What one row loses in a state at some terms, times 300.
    function lossAt(Row row, uint256 terms, int256 state) internal pure returns (int256) {
        int256 exposure = row.exposure();
        // Windows have 10 bits, exposure 206, range 16, a factor 11.
        unchecked {
            int256 factor = int256(Params.window(terms)) - (exposure < 0 ? -100 * state : 100 * state);
            if (factor > 300) factor = 300;
            return int256(PriceMath.abs(exposure) * Params.reachUp(terms)) * factor;
        }
    }

    /// @notice The lowest state of the market factor in which maintenance loses most.
    function worstState(uint256 rows, uint256 count) internal pure returns (int256 worst) {
        int256 most = type(int256).min;
        for (int256 state = -3; state <= 3; ++state) {
            int256 sum = lossIn(state, rows, count, true);
            if (sum > most) (most, worst) = (sum, state);
        }
    }
}
