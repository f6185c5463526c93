// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {Pool} from "../../interfaces/ILedger.sol";

/// @dev Scale of the indices: 1.0.
uint256 constant RAY = 1e27;
/// @dev Suppliers bear losses down to a thousandth of par; what is beyond is recorded as deficit.
uint256 constant MIN_SUPPLY_INDEX = RAY / 1000;

/// @title Cash as a lending pool: balances are principals, worth what the indices say
/// @dev Conservation: settlement tokens in the vault = supplied * supplyIndex - borrowed * borrowIndex + netQuote +
/// capital, and rounding only ever leaves more in the vault.
library CashPool {
    using CashPool for State;
    using SafeCast for int256;
    using SafeCast for uint256;

    struct State {
        /// What one of principal of a positive balance is worth, 27 decimals.
        uint112 supplyIndex;
        /// What one of principal of a negative balance owes, 27 decimals.
        uint112 borrowIndex;
        /// When balances last moved, seconds.
        uint32 accruedAt;

        /// Sum of the positive principals.
        uint128 supplied;
        /// Sum of the negative principals, without their sign.
        uint128 borrowed;

        /// Sum of every position's quote, dollars with 18 decimals.
        int128 netQuote;
        /// Reserves when positive, the recorded deficit when negative: a deficit arises only once the reserves are
        /// spent,
        /// and is repaid before they grow again.
        int128 capital;
    }

    function initialize(State storage self) internal {
        // RAY < 2^112, and 2^32 seconds end in 2106.
        (self.supplyIndex, self.borrowIndex, self.accruedAt) = (uint112(RAY), uint112(RAY), uint32(block.timestamp));
    }

    /// @notice What a balance is worth: an asset rounded down, a debt rounded up.
    function valueOf(State storage self, int256 principal) internal view returns (int256) {
        // An int120 times a uint112 is below 2^232.
        if (principal >= 0) return int256(uint256(principal) * self.supplyIndex / RAY);
        return -int256(Math.ceilDiv(uint256(-principal) * self.borrowIndex, RAY));
    }

    /// @notice Changes a balance by `change` dollars.
    /// @return moved The new principal; the account's value is never above the exact one.
    function move(State storage self, int256 principal, int256 change) internal returns (int256 moved) {
        moved = self.principalOf(self.valueOf(principal) + change);
        (uint256 supplied, uint256 borrowed) = (self.supplied, self.borrowed);
        if (principal >= 0) supplied -= uint256(principal);
        else borrowed -= uint256(-principal);
        if (moved >= 0) supplied += uint256(moved);
        else borrowed += uint256(-moved);
        (self.supplied, self.borrowed) = (supplied.toUint128(), borrowed.toUint128());
        // Truncation after 2106 is harmless: no interest runs yet.
        if (self.accruedAt != uint32(block.timestamp)) self.accruedAt = uint32(block.timestamp);
    }

    /// @notice The principal worth at most `value`.
    function principalOf(State storage self, int256 value) internal view returns (int256) {
        // RAY < 2^90 and an index is at least 2^79, so a value that fits int128 overflows nothing here.
        int256 bounded = value.toInt128();
        if (bounded >= 0) return int256(uint256(bounded) * RAY / self.supplyIndex);
        return -int256(Math.ceilDiv(uint256(-bounded) * RAY, self.borrowIndex));
    }

    /// @notice Books quote that turned into cash (negative change) or back.
    function moveQuote(State storage self, int256 change) internal {
        if (change != 0) self.netQuote = (self.netQuote + change).toInt128();
    }

    /// @notice Adds to the reserves, after repaying the deficit.
    /// @return repaid The part that repaid deficit.
    function addCapital(State storage self, uint256 amount) internal returns (uint256 repaid) {
        repaid = Math.min(amount, self.deficit());
        self.capital = (self.capital + amount.toInt256()).toInt128();
    }

    /// @notice Takes from the reserves. The caller has bounded `amount` by them.
    function takeReserves(State storage self, uint256 amount) internal {
        // At most the reserves, which are half of the range of their type.
        self.capital -= int128(int256(amount));
    }

    /// @notice Has a loss borne: by the reserves, then by suppliers, then by nobody yet.
    /// @dev Suppliers lose at least what is booked to them: the cut of the index is rounded up.
    function bookLoss(State storage self, uint256 loss)
        internal
        returns (uint256 fromReserves, uint256 fromSuppliers, uint256 toDeficit)
    {
        fromReserves = Math.min(loss, self.reserves());
        fromSuppliers = _cutSupply(self, loss - fromReserves);
        toDeficit = loss - fromReserves - fromSuppliers;
        self.capital = (self.capital - (fromReserves + toDeficit).toInt256()).toInt128();
    }

    function reserves(State storage self) internal view returns (uint256) {
        // At least zero by the maximum.
        return uint256(SignedMath.max(self.capital, 0));
    }

    function deficit(State storage self) internal view returns (uint256) {
        // At least zero by the maximum; widening first keeps the negation exact.
        return uint256(SignedMath.max(-int256(self.capital), 0));
    }

    /// @notice What winners have turned into cash beyond what losers have settled.
    function unpaidWinnings(State storage self) internal view returns (uint256) {
        // As in `deficit`.
        return uint256(SignedMath.max(-int256(self.netQuote), 0));
    }

    function toView(State storage self) internal view returns (Pool memory) {
        return Pool({
            supplyIndex: self.supplyIndex,
            borrowIndex: self.borrowIndex,
            accruedAt: self.accruedAt,
            supplied: Math.ceilDiv(uint256(self.supplied) * self.supplyIndex, RAY),
            borrowed: uint256(self.borrowed) * self.borrowIndex / RAY,
            netQuote: self.netQuote,
            reserves: self.reserves(),
            deficit: self.deficit()
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
}
