// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Market} from "../../interfaces/IMarginEngine.sol";
import {Instrument} from "../../interfaces/Types.sol";
import {Instruments} from "./Instruments.sol";

/// @dev The fee of an option is at most that of so many times its mark: of a cheap one it would be more than the
/// option.
uint256 constant FEE_MARKS = 400;

/// @title What a unit of an instrument counts for where its mark says too little. docs/options.md, section 8
library Notionals {
    using Instruments for Instrument;

    /// @notice In leverage and in slack: an option moves with all of its underlying, however little it costs.
    /// @return Dollars with 18 decimals.
    function priceOf(Instrument instrument, Market memory market) internal pure returns (uint256) {
        return instrument.kind() == Instruments.OPTION ? market.index : market.mark;
    }

    /// @notice What fees are a share of.
    /// @return Dollars with 18 decimals.
    function feePriceOf(Instrument instrument, Market memory market) internal pure returns (uint256) {
        uint256 price = priceOf(instrument, market);
        // A mark is below 2^98.
        return instrument.kind() == Instruments.OPTION ? Math.min(price, FEE_MARKS * market.mark) : price;
    }
}
