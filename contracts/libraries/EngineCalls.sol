// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ICoverModule} from "../../interfaces/ICoverModule.sol";
import {IMarginEngine} from "../../interfaces/IMarginEngine.sol";
import {Margin} from "../../interfaces/Types.sol";
// Used in assembly only, which the linter does not read.
// solhint-disable-next-line no-unused-import
import {FIRST_PAIR, FIRST_POSITION} from "./AccountSlots.sol";
import {AccountWord} from "./AccountWords.sol";

/// @title Asking the engine about an account as it stands
/// @dev The calls `margin(Portfolio)` and `assess(Portfolio)` with every word of the account written once, where it is
/// sent from. Read into a `Portfolio` first, each would be moved three times: a check of eight words pays 5,000 gas.
library EngineCalls {
    /// @notice `IMarginEngine.margin` of the account whose run of slots begins at `base` and with `word`: ends the call
    /// with the answer.
    function answerMargin(IMarginEngine engine, bytes32 base, AccountWord word, int256 cash) internal view {
        (uint256 input, uint256 size,) = _encode(IMarginEngine.margin.selector, base, word, cash);
        // A margin is six static words. The arguments of `and` are evaluated from the last; nothing runs after it.
        assembly ("memory-safe") {
            if and(gt(returndatasize(), 0xbf), staticcall(gas(), engine, input, size, input, 0xc0)) {
                return(input, 0xc0)
            }
        }
        _revert();
    }

    /// @notice `IMarginEngine.assess` of the same, unless it holds something dated and `isCovered` answers first.
    /// @return covered Whether initial equity is at or above initial margin and nothing doubtful.
    /// @return result Means nothing when it is.
    function assess(IMarginEngine engine, bytes32 base, AccountWord word, int256 cash)
        internal
        returns (bool covered, Margin memory result)
    {
        (uint256 input, uint256 size, uint256 bits) = _encode(IMarginEngine.assess.selector, base, word, cash);
        if (bits >> 255 == 1 && _isCovered(engine, input, size)) return (true, result);
        bool ok;
        // In memory a margin is as in an answer.
        assembly ("memory-safe") {
            ok := call(gas(), engine, 0, input, size, result, 0xc0)
            ok := and(ok, gt(returndatasize(), 0xbf))
        }
        if (!ok) _revert();
    }

    /// @dev Asks with the call at hand. A call that fails covers nothing: `assess` then says what is the matter.
    function _isCovered(IMarginEngine engine, uint256 input, uint256 size) private returns (bool covered) {
        bytes4 selector = ICoverModule.isCovered.selector;
        bytes4 restored = IMarginEngine.assess.selector;
        // A selector comes with 28 zeros, and the first word of the arguments has more; the answer is in scratch space.
        assembly ("memory-safe") {
            mstore(input, selector)
            covered := call(gas(), engine, 0, input, size, 0, 0x20)
            covered := and(covered, and(gt(returndatasize(), 0x1f), eq(mload(0), 1)))
            mstore(input, restored)
        }
    }

    /// @dev The call in memory: selector | 0x20 | cash | where collateral is | where positions are | collateral |
    /// positions, both with their lengths first.
    /// `bits` are those of all positions: the highest is set when one is dated, as kinds lie in an instrument.
    function _encode(bytes4 selector, bytes32 base, AccountWord word, int256 cash)
        private
        view
        returns (uint256 input, uint256 size, uint256 bits)
    {
        uint256 assets = word.bitmap();
        uint256 count = word.count();
        // Writes free memory from its start on, and takes it. The layout of an account is that of `AccountSlots`: two
        // assets a slot, so that two bits of the bitmap go with each; amounts have 128 bits, assets 16 above them.
        assembly ("memory-safe") {
            input := mload(0x40)
            mstore(input, selector)
            mstore(add(input, 0x04), 0x20)
            mstore(add(input, 0x24), cash)
            mstore(add(input, 0x44), 0x60)
            let at := add(input, 0xa4)
            let slot := add(base, FIRST_PAIR)
            for { let asset := 0 } assets { asset := add(asset, 2) } {
                if and(assets, 3) {
                    let amounts := sload(slot)
                    if and(assets, 1) {
                        mstore(at, or(shl(128, asset), shr(128, shl(128, amounts))))
                        at := add(at, 0x20)
                    }
                    if and(assets, 2) {
                        mstore(at, or(shl(128, add(asset, 1)), shr(128, amounts)))
                        at := add(at, 0x20)
                    }
                }
                assets := shr(2, assets)
                slot := add(slot, 1)
            }
            mstore(add(input, 0x64), sub(at, add(input, 0x24)))
            mstore(add(input, 0x84), shr(5, sub(at, add(input, 0xa4))))
            mstore(at, count)
            slot := add(base, FIRST_POSITION)
            for { let end := add(slot, count) } lt(slot, end) { slot := add(slot, 1) } {
                let position := sload(slot)
                at := add(at, 0x20)
                mstore(at, position)
                bits := or(bits, position)
            }
            at := add(at, 0x20)
            size := sub(at, input)
            // The selector puts every word four bytes beyond a multiple of 32.
            mstore(0x40, add(at, 0x1c))
        }
    }

    /// @dev With what the engine said.
    function _revert() private pure {
        // Nothing runs after it.
        assembly ("memory-safe") {
            let free := mload(0x40)
            returndatacopy(free, 0, returndatasize())
            revert(free, returndatasize())
        }
    }
}
