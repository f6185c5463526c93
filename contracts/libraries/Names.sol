// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {DateTimeLib} from "solady/src/utils/DateTimeLib.sol";

import {Instrument} from "../../interfaces/Types.sol";
import {WAD} from "./Constants.sol";
import {Instruments} from "./Instruments.sol";

/// @title What people call a dated instrument: ETH-25DEC26, ETH-25DEC26-2000-C, XRP-4DEC26-0.55-P
library Names {
    using Instruments for Instrument;
    using Strings for uint256;

    bytes private constant MONTHS = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC";

    /// @param symbol Of the underlying.
    function dated(Instrument instrument, string memory symbol) internal pure returns (string memory name) {
        name = string.concat(symbol, "-", _day(instrument.expiry() / 1 days));
        if (instrument.kind() == Instruments.FUTURE) return name;
        name = string.concat(name, "-", _dollars(instrument.strike()), instrument.isPut() ? "-P" : "-C");
    }

    /// @param epochDay Days since 1970, of a year 2025 to 2036.
    function _day(uint256 epochDay) private pure returns (string memory) {
        (uint256 year, uint256 month, uint256 day) = DateTimeLib.epochDayToDate(epochDay);
        bytes memory letters = new bytes(3);
        for (uint256 i = 0; i < 3; ++i) {
            letters[i] = MONTHS[3 * (month - 1) + i];
        }
        return string.concat(day.toString(), string(letters), (year % 100).toString());
    }

    /// @dev 18 decimals, of which zeros at the end are not written.
    function _dollars(uint256 amount) private pure returns (string memory text) {
        text = (amount / WAD).toString();
        uint256 rest = amount % WAD;
        if (rest == 0) return text;
        // One more digit than there are decimals keeps the zeros before the first.
        bytes memory digits = bytes((WAD + rest).toString());
        uint256 length = digits.length;
        while (digits[length - 1] == "0") --length;
        bytes memory decimals = new bytes(length - 1);
        for (uint256 i = 1; i < length; ++i) {
            decimals[i - 1] = digits[i];
        }
        return string.concat(text, ".", string(decimals));
    }
}
