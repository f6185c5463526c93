// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PriceStatus} from "../../interfaces/Types.sol";
import {Params} from "./Params.sol";

/// @dev A checked price in one word, as it is fixed for a transaction: status 4 | band 16 bps | a bit that is always
/// set | stable 94 (from bit 68) | index 94, lowest first.
type Quote is uint256;

/// @title Checked prices, packed
library Quotes {
    uint256 private constant MASK_94 = (1 << 94) - 1;

    /// @notice The quote of a price that is `OK`, with the band of an UNDERLYING word.
    /// @dev Prices below 2^94 and a band of ten bits do not overlap.
    function live(uint256 index_, uint256 stable_, uint256 risk) internal pure returns (Quote) {
        return Quote.wrap((index_ << 162) | (stable_ << 68) | (uint256(1) << 20) | (Params.band(risk) << 4));
    }

    /// @notice The quote of any price.
    /// @dev As in `live`, with a band of at most 30000 bps and a status of three bits.
    function pack(uint256 index_, uint256 stable_, uint256 band_, uint256 status_) internal pure returns (Quote) {
        return Quote.wrap((index_ << 162) | (stable_ << 68) | (uint256(1) << 20) | (band_ << 4) | status_);
    }

    function index(Quote quote) internal pure returns (uint256) {
        return Quote.unwrap(quote) >> 162;
    }

    function stable(Quote quote) internal pure returns (uint256) {
        return (Quote.unwrap(quote) >> 68) & MASK_94;
    }

    function band(Quote quote) internal pure returns (uint256) {
        return (Quote.unwrap(quote) >> 4) & 0xffff;
    }

    function status(Quote quote) internal pure returns (PriceStatus) {
        return PriceStatus(Quote.unwrap(quote) & 0xf);
    }

    function isOk(Quote quote) internal pure returns (bool) {
        return Quote.unwrap(quote) & 0xf == uint256(PriceStatus.OK);
    }
}
