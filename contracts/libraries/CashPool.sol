// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {Pool} from "../../interfaces/ILedger.sol";
import {WAD} from "./Constants.sol";
import {Lending} from "./Lending.sol";
import {PriceMath} from "./PriceMath.sol";

/// @dev Scale of the indices: 1.0.
uint256 constant RAY = 1e27;
/// @dev Suppliers bear losses down to a thousandth of par; what is beyond is recorded as deficit.
uint256 constant MIN_SUPPLY_INDEX = RAY / 1000;

/// @title Cash as a lending pool: balances are principals, worth what the indices say
/// @dev Conservation: settlement tokens in the vault = supplied * supplyIndex - borrowed * borrowIndex + netQuote +
/// capital, and rounding only ever leaves more in the vault. docs/ledger.md, section 1.
library CashPool {
    using CashPool for State;
    using SafeCast for int256;
    using SafeCast for uint256;

    struct State {
        /// What one of principal of a positive balance is worth, 27 decimals.
        uint112 supplyIndex;
        /// What one of principal of a negative balance owes, 27 decimals.
        uint112 borrowIndex;
        /// When interest was last booked, seconds.
        uint32 accruedAt;

        /// Sum of the positive principals.
        uint128 supplied;
        /// Sum of the negative principals, without their sign.
        uint128 borrowed;

        /// Sum of every position's quote, dollars with 18 decimals.
        int128 netQuote;
        /// Reserves when positive, the recorded deficit when negative: a deficit arises only once the reserves are
        /// spent, and is repaid before they grow again.
        int128 capital;
    }

    function initialize(State storage self) internal {
        // RAY < 2^112, and 2^32 seconds end in 2106.
        (self.supplyIndex, self.borrowIndex, self.accruedAt) = (uint112(RAY), uint112(RAY), uint32(block.timestamp));
    }

    /// @notice Books the interest up to now. Everything that moves the pool begins with it.
    /// @param terms The LENDING word.
    /// @return supplyIndex And `borrowIndex`: of this moment.
    function accrue(State storage self, uint256 terms) internal returns (uint256 supplyIndex, uint256 borrowIndex) {
        uint256 elapsed;
        (supplyIndex, borrowIndex, elapsed) = _booked(self);
        if (elapsed == 0) return (supplyIndex, borrowIndex);
        uint256 toReserves;
        (supplyIndex, borrowIndex, toReserves) = _grown(self, terms, supplyIndex, borrowIndex, elapsed);
        // Both indices are bounded by their type; of the time 32 bits are the purpose, see `_booked`.
        (self.supplyIndex, self.borrowIndex, self.accruedAt) =
        (uint112(supplyIndex), uint112(borrowIndex), uint32(block.timestamp));
        if (toReserves != 0) self.capital = (self.capital + toReserves.toInt256()).toInt128();
    }

    /// @notice The indices of this moment, and what interest not yet booked brings to the reserves.
    /// @dev A dollar supplied earns at most what a dollar borrowed pays: the reserves lent the rest.
    function current(State storage self, uint256 terms)
        internal
        view
        returns (uint256 supplyIndex, uint256 borrowIndex, uint256 toReserves)
    {
        uint256 elapsed;
        (supplyIndex, borrowIndex, elapsed) = _booked(self);
        return _grown(self, terms, supplyIndex, borrowIndex, elapsed);
    }

    /// @notice What a balance is worth now: an asset rounded down, a debt rounded up.
    function valueOf(State storage self, uint256 terms, int256 principal) internal view returns (int256) {
        if (principal == 0) return 0;
        (uint256 supplyIndex, uint256 borrowIndex,) = self.current(terms);
        return _worth(principal, supplyIndex, borrowIndex);
    }

    /// @notice Changes a balance by `change` dollars.
    /// @return moved The new principal; the account's value is never above the exact one.
    function move(State storage self, uint256 terms, int256 principal, int256 change) internal returns (int256 moved) {
        (uint256 supplyIndex, uint256 borrowIndex) = self.accrue(terms);
        moved = _principalOf(_worth(principal, supplyIndex, borrowIndex) + change, supplyIndex, borrowIndex);
        (uint256 supplied, uint256 borrowed) = (self.supplied, self.borrowed);
        if (principal >= 0) supplied -= uint256(principal);
        else borrowed -= uint256(-principal);
        if (moved >= 0) supplied += uint256(moved);
        else borrowed += uint256(-moved);
        (self.supplied, self.borrowed) = (supplied.toUint128(), borrowed.toUint128());
    }

    /// @notice Books quote that turned into cash (negative change) or back.
    function moveQuote(State storage self, uint256 terms, int256 change) internal {
        if (change == 0) return;
        self.accrue(terms);
        self.netQuote = (self.netQuote + change).toInt128();
    }

    /// @notice Adds to the reserves, after repaying the deficit.
    /// @return repaid The part that repaid deficit.
    function addCapital(State storage self, uint256 terms, uint256 amount) internal returns (uint256 repaid) {
        if (amount == 0) return 0;
        self.accrue(terms);
        repaid = Math.min(amount, self.deficit());
        self.capital = (self.capital + amount.toInt256()).toInt128();
    }

    /// @notice Takes from the reserves.
    /// @return available What they hold; less than `amount` takes nothing.
    function takeReserves(State storage self, uint256 terms, uint256 amount) internal returns (uint256 available) {
        self.accrue(terms);
        available = self.reserves();
        // At most the reserves, which are half of the range of their type.
        if (amount <= available) self.capital -= int128(int256(amount));
    }

    /// @notice Has a loss borne: by the reserves, then by suppliers, then by nobody yet.
    /// @dev Suppliers lose at least what is booked to them: the cut of the index is rounded up.
    function bookLoss(State storage self, uint256 terms, uint256 loss)
        internal
        returns (uint256 fromReserves, uint256 fromSuppliers, uint256 toDeficit)
    {
        self.accrue(terms);
        fromReserves = Math.min(loss, self.reserves());
        fromSuppliers = _cutSupply(self, loss - fromReserves);
        toDeficit = loss - fromReserves - fromSuppliers;
        self.capital = (self.capital - (fromReserves + toDeficit).toInt256()).toInt128();
    }

    /// @notice What suppliers have, as booked, rounded down.
    function supply(State storage self) internal view returns (uint256) {
        return uint256(self.supplied) * self.supplyIndex / RAY;
    }

    /// @notice The reserves as booked.
    function reserves(State storage self) internal view returns (uint256) {
        return _positive(self.capital);
    }

    /// @notice The deficit as booked.
    function deficit(State storage self) internal view returns (uint256) {
        // Widening first keeps the negation exact.
        return _positive(-int256(self.capital));
    }

    /// @notice What winners have turned into cash beyond what losers have settled.
    function unpaidWinnings(State storage self) internal view returns (uint256) {
        // As in `deficit`.
        return _positive(-int256(self.netQuote));
    }

    /// @notice The pool with the interest up to now.
    function toView(State storage self, uint256 terms) internal view returns (Pool memory) {
        (uint256 supplyIndex, uint256 borrowIndex, uint256 toReserves) = self.current(terms);
        int256 capital = self.capital + toReserves.toInt256();
        return Pool({
            supplyIndex: supplyIndex,
            borrowIndex: borrowIndex,
            accruedAt: self.accruedAt,
            supplied: Math.ceilDiv(uint256(self.supplied) * supplyIndex, RAY),
            borrowed: uint256(self.borrowed) * borrowIndex / RAY,
            netQuote: self.netQuote,
            reserves: _positive(capital),
            deficit: _positive(-capital)
        });
    }

    /// @dev Takes `loss` from all suppliers, down to the floor of the index.
    /// @return borne How much of it they bear.
    function _cutSupply(State storage self, uint256 loss) private returns (uint256 borne) {
        uint256 supplied = self.supplied;
        if (loss == 0 || supplied == 0) return 0;
        uint256 room = uint256(self.supplyIndex) - MIN_SUPPLY_INDEX;
        uint256 cut = Math.mulDiv(loss, RAY, supplied, Math.Rounding.Ceil);
        (cut, borne) = cut <= room ? (cut, loss) : (room, room * supplied / RAY);
        // `cut` is at most `room`, so the index stays at least at its floor.
        self.supplyIndex = uint112(self.supplyIndex - cut);
    }

    /// @dev The first slot, read once: both indices, and the seconds since interest was booked.
    function _booked(State storage self)
        private
        view
        returns (uint256 supplyIndex, uint256 borrowIndex, uint256 elapsed)
    {
        uint256 word;
        // The first slot of the state: 112, 112 and 32 bits, the lowest first.
        assembly ("memory-safe") {
            word := sload(self.slot)
        }
        // Truncation takes the fields apart. Time is kept modulo 2^32, so the difference is exact for 136 years.
        unchecked {
            (supplyIndex, borrowIndex) = (uint112(word), uint112(word >> 112));
            elapsed = uint32(block.timestamp) - uint32(word >> 224);
        }
    }

    /// @dev As `current`, from the indices booked `elapsed` seconds ago.
    function _grown(State storage self, uint256 terms, uint256 supplyIndex, uint256 borrowIndex, uint256 elapsed)
        private
        view
        returns (uint256, uint256, uint256)
    {
        if (elapsed == 0 || terms == 0) return (supplyIndex, borrowIndex, 0);
        (uint256 supplied, uint256 borrowed) = (self.supplied, self.borrowed);
        if (borrowed == 0) return (supplyIndex, borrowIndex, 0);
        uint256 kept = 100 - Lending.reserveShare(terms);
        // Principals have 128 bits, indices 112 and a growth 67, so no product leaves 256; `rise * supplied` is at most
        // the interest, and indices are at most their maximum.
        unchecked {
            uint256 lent = PriceMath.ceilDiv(borrowed * borrowIndex, RAY) + self.unpaidWinnings();
            uint256 used = Lending.utilisation(supplied * supplyIndex / RAY, lent);
            uint256 growth = Lending.growth(Lending.rateUp(terms, used), elapsed);
            uint256 interest =
                PriceMath.min(type(uint112).max - borrowIndex, PriceMath.ceilDiv(borrowIndex * growth, WAD));
            borrowIndex += interest;
            interest *= borrowed;
            uint256 rise;
            if (supplied != 0) {
                rise = PriceMath.min(supplyIndex * growth / WAD, interest * kept / (100 * supplied));
                rise = PriceMath.min(rise, type(uint112).max - supplyIndex);
            }
            return (supplyIndex + rise, borrowIndex, (interest - rise * supplied) / RAY);
        }
    }

    /// @dev What a balance is worth at these indices: an asset rounded down, a debt rounded up.
    function _worth(int256 principal, uint256 supplyIndex, uint256 borrowIndex) private pure returns (int256) {
        // An int120 times a uint112 is below 2^232.
        unchecked {
            if (principal >= 0) return int256(uint256(principal) * supplyIndex / RAY);
            return -int256(PriceMath.ceilDiv(uint256(-principal) * borrowIndex, RAY));
        }
    }

    /// @dev The principal worth at most `value` at these indices.
    function _principalOf(int256 value, uint256 supplyIndex, uint256 borrowIndex) private pure returns (int256) {
        int256 bounded = value.toInt128();
        // RAY < 2^90 and an index is at least 2^79, so a value that fits int128 overflows nothing here.
        unchecked {
            if (bounded >= 0) return int256(uint256(bounded) * RAY / supplyIndex);
            return -int256(PriceMath.ceilDiv(uint256(-bounded) * RAY, borrowIndex));
        }
    }

    function _positive(int256 value) private pure returns (uint256) {
        // At least zero by the maximum.
        return uint256(SignedMath.max(value, 0));
    }
}
