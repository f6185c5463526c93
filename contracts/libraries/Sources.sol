// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AggregatorV3Interface} from "@chainlink/contracts/src/v0.8/shared/interfaces/AggregatorV3Interface.sol";
import {IOracleAdapter} from "../../interfaces/IOracleAdapter.sol";
import {PriceMath} from "./PriceMath.sol";

/// @dev Gas that a source gets. A source that needs more counts as broken.
uint256 constant SOURCE_GAS = 150_000;

/// @title Reading contracts that may be broken or hostile
/// @dev Assumed of a source: nothing but that it is the contract that governance named. It may revert, burn its gas,
/// return anything of any length, or have no code: the answer is then unusable, and the reader goes on.
library Sources {
    /// @dev A Pyth confidence above 1/50 of its price makes the answer unusable.
    uint256 private constant CONFIDENCE_SHARE = 50;
    /// @dev 63/64 of what is left, after a cold access (2,600) and some memory, must reach SOURCE_GAS.
    uint256 private constant NEEDED_GAS = SOURCE_GAS * 64 / 63 + 4_000;

    /// @notice Calls `target` (the low 160 bits) with a selector and one argument; copies three words of the answer.
    /// @return ok Whether the call succeeded and returned at least `size` bytes; words beyond `size` mean nothing.
    /// @dev Reverts `InsufficientGas` when the source would get less than `SOURCE_GAS`, so that nobody can make a sound
    /// source look broken by sending too little.
    function read(uint256 target, bytes4 selector, uint256 argument, uint256 size)
        internal
        view
        returns (bool ok, uint256 first, uint256 second, uint256 third)
    {
        if (gasleft() < NEEDED_GAS) revert IOracleAdapter.InsufficientGas(gasleft(), NEEDED_GAS);
        // The EVM takes the low 160 bits of an address. Input in scratch space (36 bytes below 0x40), output in free
        // memory that is read before anything else uses it.
        assembly ("memory-safe") {
            let output := mload(0x40)
            mstore(0x00, selector)
            mstore(0x04, argument)
            ok := staticcall(SOURCE_GAS, target, 0x00, 0x24, output, 0x60)
            ok := and(ok, iszero(lt(returndatasize(), size)))
            first := mload(output)
            second := mload(add(output, 0x20))
            third := mload(add(output, 0x40))
        }
    }

    /// @notice One round of a Chainlink source, by its number.
    /// @return ok Whether it could be read; the rest means nothing otherwise.
    /// @return answer As it was given, unscaled.
    /// @return time When, seconds; zero for a round that never was.
    function round(uint256 source, uint80 id) internal view returns (bool ok, uint256 answer, uint256 time) {
        if (gasleft() < NEEDED_GAS) revert IOracleAdapter.InsufficientGas(gasleft(), NEEDED_GAS);
        // Memory as in `read`. Selector: getRoundData(uint80), which answers in five words as latestRoundData() does.
        assembly ("memory-safe") {
            let output := mload(0x40)
            mstore(0x00, shl(224, 0x9a6fc8f5))
            mstore(0x04, id)
            ok := staticcall(SOURCE_GAS, source, 0x00, 0x24, output, 0x80)
            ok := and(ok, gt(returndatasize(), 0x9f))
            answer := mload(add(output, 0x20))
            time := mload(add(output, 0x60))
        }
    }

    /// @notice An answer of a packed source word with 18 decimals, rounded down, and whether it is within its bounds.
    function bounded(uint256 source, uint256 answer) internal pure returns (uint256 value, bool inside) {
        uint256 decimals = (source >> 162) & 0x1f;
        // As in `price`; what is below zero has its highest bit.
        if (answer >> (decimals > 18 ? 255 : 94) != 0) return (0, false);
        value = PriceMath.toWadDown(answer, decimals);
        inside = value >> ((source >> 184) & 0x7f) != 0 && value >> ((source >> 191) & 0x7f) == 0;
    }

    /// @notice The answer of a Chainlink feed with 8 decimals, with 18, when nothing at all is wrong with it; else
    /// zero, and also of any other source: then `price` tells what is the matter.
    /// @dev What nearly every row of a margin needs, and nothing more.
    function live(uint256 source) internal view returns (uint256 value) {
        if (gasleft() < NEEDED_GAS) revert IOracleAdapter.InsufficientGas(gasleft(), NEEDED_GAS);
        // As in `price`, one check after another: the arguments of `and` are evaluated from the last, so that the size
        // is that of the answer. A time from the future makes an age beyond every maximum, an answer below zero or from
        // 2^94 on is no price, and a shift by the bound 2^b is zero exactly when the value is below it.
        assembly ("memory-safe") {
            if eq(and(shr(160, source), 0x7f), 0x21) {
                let output := mload(0x40)
                mstore(0x00, shl(224, 0xfeaf968c))
                if and(gt(returndatasize(), 0x9f), staticcall(SOURCE_GAS, source, 0x00, 0x04, output, 0x80)) {
                    let answer := mload(add(output, 0x20))
                    value := mul(answer, 10000000000)
                    let wrong := gt(sub(timestamp(), mload(add(output, 0x60))), and(shr(167, source), 0x1ffff))
                    wrong := or(wrong, or(shr(94, answer), shr(and(shr(191, source), 0x7f), value)))
                    wrong := or(wrong, iszero(shr(and(shr(184, source), 0x7f), value)))
                    if wrong { value := 0 }
                }
            }
        }
    }

    /// @notice The answer of a packed source word, with 18 decimals; without meaning unless the status is `OK`.
    /// @return value Dollars, or units of an underlying, with 18 decimals, rounded down.
    /// @return status A `PriceStatus`, as a number.
    /// @dev Both kinds tell their time in the fourth word. Chainlink answers in the second and promises five words; it
    /// ignores the argument. Pyth answers a price (int64), a confidence (uint64) and an exponent (int32), all extended
    /// to words. By hand, because a margin does this once per underlying.
    function price(uint256 source, uint256 pythId) internal view returns (uint256 value, uint256 status) {
        if (gasleft() < NEEDED_GAS) revert IOracleAdapter.InsufficientGas(gasleft(), NEEDED_GAS);
        // Memory as in `read`. Selectors: latestRoundData(), getPriceUnsafe(bytes32). Statuses: 3 OUT_OF_BOUNDS, over
        // it 1 STALE, over both 2 INVALID. Up to 18 decimals an answer of 2^94 or more is outside whatever its product
        // wraps to; any other is below 2^94 * 10^18. A shift by the bound 2^b is zero exactly when the value is below
        // it. A time from the future makes an age beyond the present time.
        assembly ("memory-safe") {
            let output := mload(0x40)
            let decimals := and(shr(162, source), 0x1f)
            let isPyth := eq(and(shr(160, source), 3), 2)
            mstore(0x00, shl(224, 0xfeaf968c))
            if isPyth {
                mstore(0x00, shl(224, 0x96834ad3))
                mstore(0x04, pythId)
            }
            let ok := staticcall(SOURCE_GAS, source, 0x00, 0x24, output, 0x80)
            let answer := mload(add(output, 0x20))
            if isPyth {
                ok := and(ok, iszero(gt(answer, div(mload(output), CONFIDENCE_SHARE))))
                ok := and(ok, eq(mload(add(output, 0x40)), sub(0, decimals)))
                answer := mload(output)
            }
            ok := and(ok, gt(returndatasize(), sub(0x9f, shl(5, isPyth))))
            switch gt(decimals, 18)
            case 0 { value := mul(answer, exp(10, sub(18, decimals))) }
            default { value := div(answer, exp(10, sub(decimals, 18))) }
            let outside := or(shr(and(shr(191, source), 0x7f), value), mul(lt(decimals, 19), shr(94, answer)))
            if or(outside, iszero(shr(and(shr(184, source), 0x7f), value))) { status := 3 }
            let age := sub(timestamp(), mload(add(output, 0x60)))
            if gt(age, and(shr(167, source), 0x1ffff)) { status := 1 }
            if iszero(and(ok, and(sgt(answer, 0), iszero(gt(age, timestamp()))))) { status := 2 }
        }
    }

    /// @notice Whether and since when an L2 sequencer is up: the largest number while it is down or cannot be told.
    function upSince(address feed) internal view returns (uint256) {
        (bool ok,, uint256 answer, uint256 since) =
            read(uint160(feed), AggregatorV3Interface.latestRoundData.selector, 0, 0xa0);
        return ok && answer == 0 && since != 0 && since <= block.timestamp ? since : type(uint256).max;
    }

    /// @notice Decimals that a feed or token reports; the largest number when it cannot be told.
    function decimalsOf(address target) internal view returns (uint256) {
        (bool ok, uint256 decimals,,) = read(uint160(target), AggregatorV3Interface.decimals.selector, 0, 0x20);
        return ok ? decimals : type(uint256).max;
    }
}
