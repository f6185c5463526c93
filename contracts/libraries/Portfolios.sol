// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Holding, Instrument, Portfolio, Position} from "../../interfaces/Types.sol";
import {Holdings} from "./Holdings.sol";
import {Instruments} from "./Instruments.sol";
import {Positions} from "./Positions.sol";

/// @title Changes of a portfolio in memory, for views that ask what would be. Plain copies: nobody pays for them.
library Portfolios {
    using Holdings for Holding;
    using Instruments for Instrument;
    using Positions for Position;

    /// @dev Where an asset is in the collateral; the length when it is not held.
    function indexOf(Portfolio memory portfolio, uint16 asset) internal pure returns (uint256 at) {
        for (; at < portfolio.collateral.length; ++at) {
            if (portfolio.collateral[at].asset() == asset) break;
        }
    }

    /// @dev A portfolio with `amount` of the holding at `at`, or without it when that is zero. It shares the positions.
    function withAmount(Portfolio memory portfolio, uint256 at, uint128 amount)
        internal
        pure
        returns (Portfolio memory changed)
    {
        changed.cash = portfolio.cash;
        changed.positions = portfolio.positions;
        Holding[] memory held = portfolio.collateral;
        changed.collateral = new Holding[](amount == 0 ? held.length - 1 : held.length);
        for (uint256 from; from < held.length; ++from) {
            if (from != at) changed.collateral[amount == 0 && from > at ? from - 1 : from] = held[from];
            else if (amount != 0) changed.collateral[from] = Holdings.pack(held[from].asset(), amount);
        }
    }

    /// @dev Adds to a position, opening it where it is new. One that reaches zero leaves, its quote moving to cash.
    function addPosition(Portfolio memory portfolio, Instrument instrument, int256 size, int256 quote) internal pure {
        Position[] memory held = portfolio.positions;
        uint256 at;
        while (at < held.length && !held[at].instrument().equals(instrument)) ++at;
        if (at < held.length) {
            size += held[at].size();
            quote += held[at].quote();
        }
        if (size == 0) {
            portfolio.cash += quote;
            if (at < held.length) portfolio.positions = _without(held, at);
        } else if (at < held.length) {
            held[at] = Positions.pack(instrument, size, quote);
        } else {
            portfolio.positions = _with(held, Positions.pack(instrument, size, quote));
        }
    }

    function _with(Position[] memory held, Position added) private pure returns (Position[] memory longer) {
        longer = new Position[](held.length + 1);
        for (uint256 i; i < held.length; ++i) {
            longer[i] = held[i];
        }
        longer[held.length] = added;
    }

    /// @dev The last one takes the place of the one that leaves, as in the ledger.
    function _without(Position[] memory held, uint256 at) private pure returns (Position[] memory shorter) {
        shorter = new Position[](held.length - 1);
        for (uint256 i; i < shorter.length; ++i) {
            shorter[i] = held[i == at ? held.length - 1 : i];
        }
    }
}
