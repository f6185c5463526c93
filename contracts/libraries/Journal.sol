// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {StorageSlot} from "@openzeppelin/contracts/utils/StorageSlot.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {Scope} from "./Scope.sol";

/// @notice Which state of an account is read.
enum Moment {
    NOW,
    /// As the running scope found it.
    BEFORE
}

/// @notice Whether how a slot was must be remembered.
enum Recall {
    KEPT,
    /// Only the state afterwards will be asked for: a strict check follows, or none can.
    DROPPED
}

/// @title Writes the slots of accounts and remembers how the running scope found them
/// @dev Copy on write: the first write of a scope to a slot saves the old value plus one, in the transient slot of the
/// same key with the number of the scope mixed in. Keys are hashes plus small offsets: they meet no other use of the
/// storage.
library Journal {
    using StorageSlot for bytes32;
    using TransientSlot for bytes32;
    using TransientSlot for TransientSlot.Uint256Slot;

    uint256 private constant SCOPE_BIT = 128;

    function read(bytes32 slot, Moment moment) internal view returns (uint256) {
        if (moment == Moment.BEFORE) {
            uint256 saved = _copyOf(slot).tload();
            if (saved != 0) return saved - 1;
        }
        return read(slot);
    }

    function read(bytes32 slot) internal view returns (uint256) {
        return slot.getUint256Slot().value;
    }

    function write(bytes32 slot, uint256 value, Recall recall) internal {
        uint256 old = read(slot);
        if (value == old) return;
        if (recall == Recall.KEPT) _save(slot, old);
        slot.getUint256Slot().value = value;
    }

    function _save(bytes32 slot, uint256 value) private {
        TransientSlot.Uint256Slot copy = _copyOf(slot);
        // No word of an account is all ones: the bit of asset 0 is never set, amounts have 112 bits, and no kind of
        // instrument fills its 48.
        if (copy.tload() == 0) copy.tstore(value + 1);
    }

    function _copyOf(bytes32 slot) private view returns (TransientSlot.Uint256Slot) {
        return (slot ^ bytes32(Scope.number() << SCOPE_BIT)).asUint256();
    }
}
