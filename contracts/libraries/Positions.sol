// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Instrument, Position} from "../../interfaces/Types.sol";

/// @title A position: instrument 48 (high) | size int104 | quote int104 (low)
library Positions {
    error PositionTooLarge(int256 value);

    uint256 private constant MASK = (1 << 104) - 1;

    /// @dev Reverts with `PositionTooLarge` when size or quote does not fit int104.
    function pack(Instrument instrument_, int256 size_, int256 quote_) internal pure returns (Position) {
        // A value that equals its own low 104 bits, sign-extended, is masked without loss.
        if (int104(size_) != size_) revert PositionTooLarge(size_);
        if (int104(quote_) != quote_) revert PositionTooLarge(quote_);
        uint256 high = uint256(Instrument.unwrap(instrument_)) << 208;
        return Position.wrap(high | ((uint256(size_) & MASK) << 104) | (uint256(quote_) & MASK));
    }

    function instrument(Position position) internal pure returns (Instrument) {
        // Lossless: 256 - 208 = 48 bits remain after the shift.
        return Instrument.wrap(uint48(Position.unwrap(position) >> 208));
    }

    function size(Position position) internal pure returns (int256) {
        // Truncation is the purpose: the low 104 bits of the shifted word, sign-extended by the widening.
        return int104(uint104(Position.unwrap(position) >> 104));
    }

    function quote(Position position) internal pure returns (int256) {
        // Truncation is the purpose, as in `size`.
        return int104(uint104(Position.unwrap(position)));
    }
}
