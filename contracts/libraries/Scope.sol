// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {Account} from "../../interfaces/Types.sol";
import {ILedger} from "../../interfaces/ILedger.sol";
import {ILiquidationModule} from "../../interfaces/ILiquidationModule.sol";
import {TransientPlaces} from "./TransientPlaces.sol";

/// @title The running scope: the lock, the accounts touched in it, and what each must pass at its end
/// @dev A scope is what happens between the outermost entry and its exit: one call, one `multicall` or one `unlock`.
/// It lives in transient storage. Whatever is kept per account carries the number of its scope, so nothing needs
/// erasing.
library Scope {
    using TransientSlot for bytes32;
    using TransientSlot for TransientSlot.Bytes32Slot;
    using TransientSlot for TransientSlot.Uint256Slot;

    /// Free to withdraw: `initialEquity >= initialMargin` afterwards, whatever it was before.
    uint256 internal constant STRICT = 1 << 0;
    /// No price of the portfolio may be doubtful.
    uint256 internal constant CERTAIN = 1 << 1;

    /// A check of the account is pending.
    uint256 private constant TOUCHED = 1 << 2;
    /// The auction changed the account: its owner may not, before the scope ends.
    uint256 private constant RESOLVED = 1 << 3;
    uint256 private constant FLAGS_BITS = 8;

    /// Not running.
    uint256 private constant IDLE = 0;
    /// One entry runs, and the checks follow it.
    uint256 private constant LOCKED = 1;
    /// Between the entries of a `multicall` or `unlock`.
    uint256 private constant OPEN = 2;
    /// An entry runs inside a `multicall` or `unlock`: the checks wait.
    uint256 private constant NESTED = 3;

    /// @dev One word, lowest bits first: state 8, number of touched accounts 24, number of the scope 224.
    bytes32 private constant WORD = bytes32(TransientPlaces.SCOPE_WORD);
    uint256 private constant STATE_MASK = 0xff;
    uint256 private constant COUNT_ONE = 1 << 8;
    uint256 private constant COUNT_MASK = 0xffffff;
    uint256 private constant NUMBER_BIT = 32;

    /// @notice Takes the lock for one entry.
    function enter() internal {
        uint256 word = _word();
        uint256 state = word & STATE_MASK;
        if (state == IDLE) _begin(word, LOCKED);
        else if (state == OPEN) _setState(word, NESTED);
        else revert ILedger.Reentered();
    }

    /// @notice Gives back the lock that `enter` or `close` took.
    function leave() internal {
        uint256 word = _word();
        _setState(word, word & STATE_MASK == NESTED ? OPEN : IDLE);
    }

    /// @notice Opens the scope to further entries.
    /// @return outermost Whether it was idle, so that the caller must close it.
    function open() internal returns (bool outermost) {
        uint256 word = _word();
        uint256 state = word & STATE_MASK;
        outermost = state == IDLE;
        if (outermost) _begin(word, OPEN);
        else if (state != OPEN) revert ILedger.Reentered();
    }

    /// @notice Closes an open scope to further entries, for its checks; `leave` follows.
    function close() internal {
        _setState(_word(), LOCKED);
    }

    /// @notice How many scopes began in this transaction, the running one included.
    function number() internal view returns (uint256) {
        return _word() >> NUMBER_BIT;
    }

    /// @notice Has the account checked at the end of the scope, at least as `requirements` says.
    function touch(Account account, uint256 requirements) internal {
        uint256 word = _word();
        bytes32 slot = _flagsSlot(account);
        uint256 flags = _flagsIn(slot, word);
        if (flags & RESOLVED != 0) revert ILiquidationModule.CheckPending(account);
        if (flags & TOUCHED == 0) _append(account, word);
        _setFlags(slot, word, flags | TOUCHED | requirements);
    }

    /// @notice Keeps the account's owner from changing it before the scope ends.
    function resolve(Account account) internal {
        requireUntouched(account);
        _setFlags(_flagsSlot(account), _word(), RESOLVED);
    }

    function requireUntouched(Account account) internal view {
        if (flagsOf(account) & TOUCHED != 0) revert ILiquidationModule.CheckPending(account);
    }

    /// @notice What the account must pass in this scope.
    function flagsOf(Account account) internal view returns (uint256) {
        return _flagsIn(_flagsSlot(account), _word());
    }

    function touchedAt(uint256 index) internal view returns (Account) {
        return Account.wrap(_listSlot(index).asBytes32().tload());
    }

    /// @notice Hands the touched accounts to who checks them: nothing is pending afterwards. Between the entries of an
    /// open scope and inside them the checks wait, and nobody gets any.
    /// @return count How many there are, for `touchedAt`.
    function takeTouched() internal returns (uint256 count) {
        uint256 word = _word();
        if (word & STATE_MASK >= OPEN) return 0;
        count = (word / COUNT_ONE) & COUNT_MASK;
        if (count != 0) _setWord(word - count * COUNT_ONE);
    }

    function _begin(uint256 word, uint256 state) private {
        _setWord((((word >> NUMBER_BIT) + 1) << NUMBER_BIT) | state);
    }

    /// @dev A transaction cannot pay for touching 2^24 accounts, so the count keeps to its bits.
    function _append(Account account, uint256 word) private {
        _listSlot((word / COUNT_ONE) & COUNT_MASK).asBytes32().tstore(Account.unwrap(account));
        _setWord(word + COUNT_ONE);
    }

    /// @dev Flags of an earlier scope count for nothing.
    function _flagsIn(bytes32 slot, uint256 word) private view returns (uint256) {
        uint256 stored = slot.asUint256().tload();
        return stored >> FLAGS_BITS == word >> NUMBER_BIT ? stored & ((1 << FLAGS_BITS) - 1) : 0;
    }

    function _setFlags(bytes32 slot, uint256 word, uint256 flags) private {
        slot.asUint256().tstore(((word >> NUMBER_BIT) << FLAGS_BITS) | flags);
    }

    function _setState(uint256 word, uint256 state) private {
        _setWord((word & ~STATE_MASK) | state);
    }

    function _word() private view returns (uint256) {
        return WORD.asUint256().tload();
    }

    function _setWord(uint256 word) private {
        WORD.asUint256().tstore(word);
    }

    function _listSlot(uint256 index) private pure returns (bytes32) {
        return bytes32(TransientPlaces.SCOPE_LIST + index);
    }

    function _flagsSlot(Account account) private pure returns (bytes32) {
        return SlotDerivation.deriveMapping(bytes32(TransientPlaces.SCOPE_FLAGS), Account.unwrap(account));
    }
}
