// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {StorageSlot} from "@openzeppelin/contracts/utils/StorageSlot.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";

import {IClearingHouse} from "../interfaces/IClearingHouse.sol";
import {ILedger, Pool} from "../interfaces/ILedger.sol";
import {IMarginEngine} from "../interfaces/IMarginEngine.sol";
import {Account, Holding, Instrument, Margin, Portfolio, Position} from "../interfaces/Types.sol";
import {ACCOUNT_SLOTS, AccountSlots} from "./libraries/AccountSlots.sol";
import {AccountWord} from "./libraries/AccountWords.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {Auctions} from "./libraries/Auctions.sol";
import {CashLimits} from "./libraries/CashLimits.sol";
import {CashPool} from "./libraries/CashPool.sol";
import {Custody} from "./libraries/Custody.sol";
import {Delegations} from "./libraries/Delegations.sol";
import {EngineCalls} from "./libraries/EngineCalls.sol";
import {Holdings} from "./libraries/Holdings.sol";
import {Instruments} from "./libraries/Instruments.sol";
import {Journal, Moment, Recall} from "./libraries/Journal.sol";
import {Positions} from "./libraries/Positions.sol";

/// @dev The settlement token: its balance is an account's cash.
uint16 constant CASH = 0;
/// @dev Decimals of dollars.
uint256 constant CASH_DECIMALS = 18;
/// @dev One more than the greatest asset id: the bitmap of an account has 96 bits.
uint16 constant ASSET_LIMIT = 96;
/// @dev Positions that an account may open; a bidder may reach `MAX_BIDDER_POSITIONS`, the most that fit its count.
uint256 constant MAX_POSITIONS = 128;
uint256 constant MAX_BIDDER_POSITIONS = 255;

/// @title The books: the storage of every account and the few ways it may change
/// @dev The ClearingHouse and the modules that run on it by delegatecall all inherit this one layout.
abstract contract Ledger is ILedger {
    using Accounts for Account;
    using AccountSlots for bytes32;
    using CashLimits for CashLimits.State;
    using CashPool for CashPool.State;
    using Custody for Custody.State;
    using Instruments for Instrument;
    using Journal for bytes32;
    using Positions for Position;
    using SafeCast for uint256;

    struct Control {
        IMarginEngine engine;
        /// Bit 0 deposits, 1 withdrawals and transfers, 2 trades that add risk; 6 halted, 7 shut, which no pause sets.
        uint8 pausedActions;
        /// Whether the engine was seen sealed, which is for ever.
        bool isSealed;
        /// Whether any bit of `_pausedAssets` is set.
        bool someAssetPaused;
        /// When a pause of liquidation ends or ended, seconds.
        uint32 liquidationResumesAt;
        /// The terms of loans, a copy of the word LENDING.
        uint40 lending;
    }

    /// @dev How far the house is from being wound down. Seconds, zero for not at all.
    struct WindDown {
        /// When a halt can be lifted.
        uint40 resumeReadyAt;
        /// When the house can be shut.
        uint40 shutReadyAt;
        uint40 shutAt;
    }

    /// @dev What a unit of an instrument was fixed to be worth, once and for everybody.
    struct Fixing {
        bool isFixed;
        /// Dollars beyond the quote, 18 decimals.
        int248 basis;
    }

    /// @dev An account while it changes: read once by `_open`, written once by `_close`.
    struct Edit {
        Account account;
        bytes32 base;
        AccountWord word;
        /// What its cash changes by, dollars with 18 decimals.
        int256 cash;
        /// How many positions it had. No instrument comes twice in one change, so only these are searched.
        uint256 searched;
        Recall recall;
    }

    /// @dev Laid out by `AccountSlots`.
    mapping(Account account => bytes32[ACCOUNT_SLOTS]) private _accounts;
    mapping(Account account => mapping(address delegate => Delegations.Grant)) internal _grants;
    mapping(Account account => uint256) internal _grantNonce;
    mapping(bytes32 orderHash => uint256) internal _filled;
    /// @dev Of all instruments of an underlying, under the id of its perpetual.
    mapping(Instrument perpetual => uint256) private _openInterest;
    mapping(uint16 asset => Custody.State) internal _custody;
    mapping(Account account => Auctions.Record) internal _auctions;
    CashPool.State internal _pool;
    Control internal _control;
    uint96 internal _pausedAssets;
    address internal _backstop;
    CashLimits.State internal _limits;
    WindDown internal _windDown;
    mapping(Instrument instrument => Fixing) internal _fixings;

    /// @inheritdoc ILedger
    function engine() public view returns (IMarginEngine) {
        return _control.engine;
    }

    /// @inheritdoc ILedger
    function portfolio(Account account) external view returns (Portfolio memory) {
        return _portfolio(account, Moment.NOW);
    }

    /// @inheritdoc ILedger
    function margin(Account account) external view returns (Margin memory) {
        bytes32 base = _baseOf(account);
        AccountWord word = AccountWord.wrap(base.read());
        EngineCalls.answerMargin(engine(), base, word, _pool.valueOf(_control.lending, word.principal()));
    }

    /// @inheritdoc ILedger
    function versions(Account account) external view returns (uint256 epoch, uint256 version) {
        AccountWord word = _wordOf(account);
        return (word.epoch(), word.version());
    }

    /// @inheritdoc ILedger
    function pool() external view returns (Pool memory) {
        return _pool.toView(_control.lending);
    }

    /// @inheritdoc ILedger
    function backstop() external view returns (address) {
        return _backstop;
    }

    /// @inheritdoc ILedger
    function openInterest(Instrument instrument) public view returns (uint256) {
        return _openInterest[_perpetualOf(instrument)];
    }

    /// @inheritdoc ILedger
    function claims(uint16 asset) external view returns (uint256) {
        return _custody[asset].total;
    }

    /// @inheritdoc ILedger
    function outflow(uint16 asset) external view returns (uint256 limit, uint256 used, uint256 windowStart) {
        if (asset == CASH) return _limits.toView(_heldCash());
        Custody.State storage custody = _custody[asset];
        return (custody.limit(), custody.outflow(), custody.windowStart);
    }

    /// @inheritdoc ILedger
    function provisions() external view returns (uint256) {
        return _limits.total();
    }

    /// @inheritdoc ILedger
    function extsload(bytes32[] calldata slots) external view returns (bytes32[] memory values) {
        values = new bytes32[](slots.length);
        for (uint256 i = 0; i < slots.length; ++i) {
            values[i] = StorageSlot.getBytes32Slot(slots[i]).value;
        }
    }

    /// @dev What the vault holds of the settlement token, dollars. Modules ask the door for both.
    function _heldCash() internal view virtual returns (uint256) {
        IClearingHouse house = IClearingHouse(address(this));
        IERC20Metadata token = IERC20Metadata(house.SETTLEMENT_TOKEN());
        return token.balanceOf(address(house.VAULT())) * 10 ** (CASH_DECIMALS - token.decimals());
    }

    function _open(Account account, Recall recall) internal view returns (Edit memory) {
        bytes32 base = _baseOf(account);
        AccountWord word = AccountWord.wrap(base.read());
        return Edit({account: account, base: base, word: word, cash: 0, searched: word.count(), recall: recall});
    }

    function _close(Edit memory edit) internal {
        if (edit.cash != 0) {
            int256 moved = _pool.move(_control.lending, edit.word.principal(), edit.cash);
            edit.word = edit.word.withPrincipal(moved);
        }
        edit.base.write(AccountWord.unwrap(edit.word), edit.recall);
    }

    function _baseOf(Account account) internal view returns (bytes32 base) {
        bytes32[ACCOUNT_SLOTS] storage run = _accounts[account];
        // Reads where a variable is, and nothing else.
        assembly ("memory-safe") {
            base := run.slot
        }
    }

    function _wordOf(Account account) internal view returns (AccountWord) {
        return AccountWord.wrap(_baseOf(account).read());
    }

    /// @dev As `_close`, for cash that moved for another reason than a deposit, withdrawal or transfer.
    function _closeAndAnnounce(Edit memory edit) internal {
        _close(edit);
        if (edit.cash != 0) emit CashMoved(edit.account, edit.account.owner(), edit.cash);
    }

    function _cashOf(Edit memory edit) internal view returns (int256) {
        return _pool.valueOf(_control.lending, edit.word.principal()) + edit.cash;
    }

    function _collateralOf(Edit memory edit, uint16 asset) internal view returns (uint256) {
        return _amountIn(edit.base.pair(asset).read(), asset);
    }

    /// @dev Sets how much of an asset the account holds.
    function _setCollateral(Edit memory edit, uint16 asset, uint256 amount) internal {
        bytes32 slot = edit.base.pair(asset);
        uint256 shift = _shiftOf(asset);
        uint256 others = slot.read() & ~(uint256(type(uint128).max) << shift);
        slot.write(others | (uint256(amount.toUint128()) << shift), edit.recall);
        edit.word = amount == 0 ? edit.word.withoutHeld(asset) : edit.word.withHeld(asset);
    }

    /// @dev Adds to a position; opens it where it is new, removes it where nothing is left.
    /// @return sizeBefore What the account held.
    /// @return quoteFreed The quote of a position that reached zero: the caller moves it to cash.
    function _changePosition(Edit memory edit, Instrument instrument, int256 size, int256 quote, uint256 limit)
        internal
        returns (int256 sizeBefore, int256 quoteFreed)
    {
        (bool found, uint256 index, Position held) = _find(edit, instrument);
        if (found) {
            sizeBefore = held.size();
            // What is held has 104 bits, and every caller divided what is added by WAD: far from the ends of int256.
            unchecked {
                size += sizeBefore;
                quote += held.quote();
            }
        } else {
            index = edit.word.count();
            if (index >= limit) revert TooManyPositions(edit.account, index + 1);
            edit.word = edit.word.withCount(index + 1);
        }
        quoteFreed = _putPosition(edit, index, instrument, size, quote);
    }

    /// @dev Writes the position at `index`, or removes it when `size` is zero.
    /// @return quoteFreed As of `_changePosition`.
    function _putPosition(Edit memory edit, uint256 index, Instrument instrument, int256 size, int256 quote)
        internal
        returns (int256 quoteFreed)
    {
        if (size == 0) {
            _removePosition(edit, index);
            (quoteFreed, quote) = (quote, 0);
        } else {
            edit.base.position(index).write(Position.unwrap(Positions.pack(instrument, size, quote)), edit.recall);
        }
        emit PositionChanged(edit.account, edit.account.owner(), instrument, size, quote);
    }

    /// @dev The last position takes the place of the one that leaves.
    function _removePosition(Edit memory edit, uint256 index) private {
        uint256 last = edit.word.count() - 1;
        bytes32 lastSlot = edit.base.position(last);
        if (index != last) edit.base.position(index).write(lastSlot.read(), edit.recall);
        lastSlot.write(0, edit.recall);
        edit.word = edit.word.withCount(last);
    }

    function _positionAt(Edit memory edit, uint256 index) internal view returns (Position) {
        return Position.wrap(edit.base.position(index).read());
    }

    /// @dev Where the account held the instrument when the change began. A removed position leaves its place to the
    /// last one, so the positions that were there stay below `searched`.
    function _find(Edit memory edit, Instrument instrument)
        internal
        view
        returns (bool found, uint256 index, Position held)
    {
        uint256 end = Math.min(edit.searched, edit.word.count());
        for (; index < end; ++index) {
            held = _positionAt(edit, index);
            if (held.instrument().equals(instrument)) return (true, index, held);
        }
    }

    /// @dev Books how a position's change moves the sum of positive sizes.
    function _moveOpenInterest(Instrument instrument, int256 change) internal {
        // What leaves is part of the sum, and it would take 2^151 positions of int104 to outgrow int256.
        if (change == 0) return;
        Instrument perpetual = _perpetualOf(instrument);
        _openInterest[perpetual] = uint256(int256(_openInterest[perpetual]) + change);
    }

    function _perpetualOf(Instrument instrument) private pure returns (Instrument) {
        // An underlying has nine bits.
        return Instruments.perpetual(instrument.underlying());
    }

    /// @dev By how much the positive part of a size grows.
    function _longGrowth(int256 sizeBefore, int256 change) internal pure returns (int256) {
        // Sizes are int104, so nothing here leaves int106.
        unchecked {
            return SignedMath.max(sizeBefore + change, 0) - SignedMath.max(sizeBefore, 0);
        }
    }

    function _portfolio(Account account, Moment moment) internal view returns (Portfolio memory) {
        bytes32 base = _baseOf(account);
        return _readPortfolio(base, AccountWord.wrap(base.read(moment)), moment);
    }

    function _readPortfolio(bytes32 base, AccountWord word, Moment moment) internal view returns (Portfolio memory) {
        return Portfolio({
            cash: _pool.valueOf(_control.lending, word.principal()),
            collateral: _readCollateral(base, word, moment),
            positions: _readPositions(base, word.count(), moment)
        });
    }

    function _readCollateral(bytes32 base, AccountWord word, Moment moment)
        internal
        view
        returns (Holding[] memory held)
    {
        uint256 bitmap = word.bitmap();
        if (bitmap == 0) return held;
        held = new Holding[](LibBit.popCount(bitmap));
        for (uint256 i = 0; bitmap != 0; ++i) {
            // The lowest of 96 bits fits 16.
            uint16 asset = uint16(LibBit.ffs(bitmap));
            // An amount has 128 bits.
            held[i] = Holdings.pack(asset, uint128(_amountIn(base.pair(asset).read(moment), asset)));
            bitmap &= bitmap - 1;
        }
    }

    function _readPositions(bytes32 base, uint256 count, Moment moment) private view returns (Position[] memory held) {
        held = new Position[](count);
        for (uint256 i = 0; i < count; ++i) {
            held[i] = Position.wrap(base.position(i).read(moment));
        }
    }

    function _amountIn(uint256 pair, uint16 asset) private pure returns (uint256) {
        return (pair >> _shiftOf(asset)) & type(uint128).max;
    }

    /// @dev Even assets lie in the low half of their slot.
    function _shiftOf(uint16 asset) private pure returns (uint256) {
        return (asset % 2) * 128;
    }
}
