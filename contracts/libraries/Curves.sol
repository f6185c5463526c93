// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {BPS, WAD} from "./Constants.sol";
import {Fixings} from "./Fixings.sol";
import {Memory} from "./Memory.sol";
import {Params} from "./Params.sol";
import {PriceMath} from "./PriceMath.sol";
import {Quote, Quotes} from "./Quotes.sol";
import {Row, Rows} from "./Rows.sol";
import {Surfaces} from "./Surfaces.sol";

/// @dev Age from which on a slice is stale, seconds.
uint256 constant STALE_AFTER = 7_200;
/// @dev How long after its expiry a fixing that is not complete is late, seconds.
uint256 constant LATE_AFTER = 3_600;
/// @dev Most that the forward may be from a strike that is opened, and from one that a surface is asked for: its
/// logarithm, 18 decimals.
int256 constant MOST_MONEYNESS = 1.5e18;
/// @dev The price states of the grid.
uint256 constant STATES = 11;
/// @dev The state in which nothing moves.
uint256 constant CENTER = 5;

/// @title Futures and options of a book in memory: docs/options.md, sections 3 to 5
/// @dev Three kinds of places, found through one hash table whose words point to them. Whoever can choose positions can
/// have all of them collide: then the n-th costs n steps of about 50 gas, which is a tenth of pricing it.
library Curves {
    using Memory for uint256;
    using Quotes for Quote;
    using Rows for Row;

    // What is dated on one underlying.
    uint256 internal constant ROW = 0x00;
    /// @dev The expiry that was opened last; zero for none.
    uint256 internal constant EXPIRIES = 0x20;
    /// @dev The OPTIONS word.
    uint256 internal constant OPTIONS = 0x40;
    /// @dev Dollars that are the same in every state, signed, 36 decimals.
    uint256 internal constant FIXED = 0x60;
    /// @dev `STALE`, `LATE`, or both of them, or neither.
    uint256 internal constant DOUBTS = 0x80;
    /// @dev Logarithms of what the states, and last the stable price, are to the price: twelve signed words.
    uint256 internal constant SHOCKS = 0xa0;
    /// @dev Values of all that is held, 36 decimals: three signed words per state, one per volatility, and last the
    /// value at the stable price.
    uint256 internal constant SUMS = 0x220;
    /// @dev A position rests on a slice that is stale, and not yet as wide as it gets; on a fixing that is late.
    uint256 internal constant STALE = 1;
    uint256 internal constant LATE = 2;
    uint256 private constant CURVE_SIZE = 0x660;

    // An expiry of an underlying. Every entry of the table begins with its key.
    uint256 internal constant KEY = 0x00;
    /// @dev The next of its list; zero for none.
    uint256 internal constant NEXT = 0x20;
    uint256 internal constant CURVE = 0x40;
    uint256 internal constant FORWARD = 0x60;
    /// @dev How many samples of its fixing are missing.
    uint256 internal constant LIVE = 0x80;
    /// @dev Sizes of puts and of futures.
    uint256 internal constant PUTS = 0xa0;
    uint256 internal constant FUTURES = 0xc0;
    /// @dev Deltas of its options, all taken as calls: units times 2^41.
    uint256 internal constant SLOPE = 0xe0;
    /// @dev What its options are worth more with volatility up than with volatility down, 36 decimals.
    uint256 internal constant VEGA = 0x100;
    /// @dev The root of the time that is left, in years, 18 decimals.
    uint256 internal constant ROOT = 0x120;
    /// @dev Of volatilities, bps.
    uint256 internal constant SHIFT = 0x140;
    uint256 internal constant SLICE = 0x160;
    /// @dev The forward's multiple of the price, 10^-9.
    uint256 internal constant RATIO = 0x180;
    /// @dev Forwards, and logarithms of what they are to the forward of now: twelve pairs, as of `SHOCKS`.
    uint256 internal constant PAIRS = 0x1a0;
    uint256 private constant EXPIRY_SIZE = 0x4a0;

    // A strike of an expiry: call and put together. What `Black76.addStates` takes and gives begins at `KERNEL`.
    uint256 internal constant EXPIRY = 0x40;
    uint256 internal constant CALL_SIZE = 0x60;
    uint256 internal constant PUT_SIZE = 0x80;
    /// @dev Volatility at the strike, 18 decimals.
    uint256 internal constant SIGMA = 0xa0;
    uint256 internal constant KERNEL = 0xc0;
    uint256 internal constant NET = 0xc0;
    uint256 internal constant STRIKE = 0xe0;
    /// @dev Logarithm of the forward over the strike.
    uint256 internal constant MONEYNESS = 0x100;
    /// @dev Standard deviations until expiry: now, up and down.
    uint256 internal constant DEVIATIONS = 0x120;
    /// @dev Of the call: now, up and down.
    uint256 internal constant PRICES = 0x180;
    /// @dev Delta of the call, times 2^41.
    uint256 internal constant DELTA = 0x1e0;
    uint256 private constant STRIKE_SIZE = 0x200;

    /// @dev Three times the whole, in bps: what a state's thirds of a range count in.
    int256 internal constant WHOLE = 30_000;
    /// @dev Thirds of the range in the eleven states, plus nine, a byte each from the highest on.
    uint256 private constant THIRDS = 0x0003060708090a0b0c0f12000000000000000000000000000000000000000000;

    /// @dev How long before the expiry the first sample is taken, seconds.
    uint256 internal constant FIXING_TIME = 1_800;
    uint256 internal constant SAMPLES = Fixings.SAMPLES;
    uint256 internal constant YEAR = 31_536_000;
    uint256 private constant RATIO_UNIT = 1e9;
    /// @dev A slice widens for a day after it became stale, to twice its shift.
    uint256 private constant WIDENING_TIME = 86_400;
    /// @dev Shifts are quoted for 30 days, and grow no more within the last.
    uint256 private constant QUOTED_TIME = 2_592_000;
    uint256 private constant LEAST_TIME = 86_400;
    uint256 private constant DAMP_UNIT = 1e8;
    int256 private constant LEAST_VARIANCE = 1e14;
    int256 private constant MOST_VARIANCE = 25e18;
    uint256 private constant MOST_VOLATILITY = 10e18;
    /// @dev A shift down leaves this much volatility where there is so much.
    uint256 private constant LEAST_VOLATILITY = 0.05e18;

    // The table

    /// @notice Room for the expiries and strikes of so many positions, at most 2^16: the mask of its places, then they.
    function table(uint256 positions) internal pure returns (uint256 index) {
        // More places than an expiry and a strike for each, so that there is always a free one.
        unchecked {
            uint256 places = 4;
            while (places <= 2 * positions) places <<= 1;
            index = Memory.take((places + 1) << 5);
            index.set(0, (places - 1) << 5);
        }
    }

    /// @notice Where a key is, or would be: the entry is zero when it is not there.
    function find(uint256 index, uint256 key) internal pure returns (uint256 place, uint256 entry) {
        // Reads words of the table, and first words of entries; there is always a free place. Bits from the middle of
        // the product hang on every bit of a key.
        assembly ("memory-safe") {
            let mask := mload(index)
            let at := and(shr(96, mul(key, 0x9e3779b97f4a7c15f39cc0605cedc835)), mask)
            for {} 1 { at := and(add(at, 0x20), mask) } {
                place := add(add(index, 0x20), at)
                entry := mload(place)
                if iszero(entry) { break }
                if eq(mload(entry), key) { break }
            }
        }
    }

    // Opening

    /// @notice The curve of an underlying that has none yet, at the terms of maintenance.
    function open(Row row, uint256 options) internal pure returns (uint256 curve) {
        curve = Memory.take(CURVE_SIZE);
        row.setCurve(curve);
        curve.set(ROW, Row.unwrap(row));
        curve.set(OPTIONS, options);
        uint256 reach = Params.reachUp(row.termsNow());
        Quote quote = row.quote();
        uint256 stable = quote.stable();
        uint256 index = quote.index();
        // A price is not zero, and stable ones have 94 bits. The logarithm of what does not move is zero.
        unchecked {
            for (uint256 j; j < STATES; ++j) {
                if (j != CENTER) curve.setSigned(SHOCKS + (j << 5), logOf(shocked(reach, j), uint256(WHOLE)));
            }
            if (stable != index) curve.setSigned(SHOCKS + (STATES << 5), logOf(stable, index));
        }
    }

    /// @notice An expiry that is not open yet.
    /// @param expiresAt Seconds.
    /// @param slice Means nothing once the fixing is complete.
    /// @param samples The slot of its fixing.
    function openExpiry(uint256 curve, uint256 key, uint256 expiresAt, uint256 slice, uint256 samples)
        internal
        view
        returns (uint256 expiry)
    {
        expiry = Memory.take(EXPIRY_SIZE);
        expiry.set(KEY, key);
        expiry.set(NEXT, curve.get(EXPIRIES));
        curve.set(EXPIRIES, expiry);
        expiry.set(CURVE, curve);
        uint256 live = missing(samples);
        if (live == 0) {
            expiry.set(FORWARD, settlement(samples));
            return expiry;
        }
        uint256 left = timeLeft(expiresAt);
        expiry.set(LIVE, live);
        expiry.set(ROOT, rootOf(left));
        expiry.set(SLICE, slice);
        expiry.set(SHIFT, shiftUp(Params.volShift(curve.get(OPTIONS)), Surfaces.observedAt(slice), left));
        curve.set(DOUBTS, curve.get(DOUBTS) | _doubts(slice, expiresAt));
        uint256 ratio = ratioDown(slice, expiresAt);
        expiry.set(RATIO, ratio);
        _setPairs(curve, expiry, ratio, samples, live);
    }

    function _setPairs(uint256 curve, uint256 expiry, uint256 ratio, uint256 samples, uint256 live) private pure {
        Row row = Row.wrap(curve.get(ROW));
        uint256 reach = Params.reachUp(row.termsNow());
        uint256 sum = Fixings.sum(samples);
        uint256 price = row.quote().index();
        uint256 forward = forwardDown(price, ratio, samples);
        expiry.set(FORWARD, forward);
        // A forward has 96 bits, a shocked factor 18, a sum of samples 97 and 15: below 2^120.
        unchecked {
            uint256 moved = live * (price * ratio / RATIO_UNIT);
            uint256 base = sum * uint256(WHOLE);
            uint256 shocks = curve + SHOCKS;
            uint256 at = expiry + PAIRS;
            // Eleven words of the curve, as many pairs of the expiry. Of nothing fixed yet the same for every expiry.
            assembly ("memory-safe") {
                for { let j := 0 } lt(j, 11) { j := add(j, 1) } {
                    let factor := add(30000, mul(reach, sub(byte(j, THIRDS), 9)))
                    factor := mul(factor, sgt(factor, 0))
                    mstore(at, div(add(base, mul(moved, factor)), 180000))
                    mstore(add(at, 0x20), mload(shocks))
                    at := add(at, 0x40)
                    shocks := add(shocks, 0x20)
                }
            }
            at.set(0x00, forwardDown(row.quote().stable(), ratio, samples));
            at.set(0x20, shocks.get(0));
            if (live == SAMPLES) return;
            for (uint256 pair = expiry + PAIRS; pair <= at; pair += 0x40) {
                pair.setSigned(0x20, logOf(pair.get(0x00), forward));
            }
        }
    }

    /// @notice A strike that is not open yet, of an expiry that is not final.
    function openStrike(uint256 expiry, uint256 key, uint256 strike) internal pure returns (uint256 entry) {
        entry = Memory.take(STRIKE_SIZE);
        entry.set(KEY, key);
        entry.set(EXPIRY, expiry);
        entry.set(STRIKE, strike);
        int256 moneyness = logOf(expiry.get(FORWARD), strike);
        entry.setSigned(MONEYNESS, moneyness);
        uint256 sigma = volatilityDown(expiry.get(SLICE), moneyness);
        entry.set(SIGMA, sigma);
        // Volatilities are at most 10, so below 2^64; roots below 2^62; a shift below 2^16.
        unchecked {
            uint256 scale = expiry.get(ROOT) * expiry.get(LIVE);
            uint256 shift = expiry.get(SHIFT);
            uint256 up = PriceMath.min(MOST_VOLATILITY, sigma * (BPS + shift) / BPS);
            uint256 down = sigma * (BPS - PriceMath.min(shift, BPS)) / BPS;
            uint256 least = PriceMath.min(sigma, LEAST_VOLATILITY);
            entry.set(DEVIATIONS, sigma * scale / (SAMPLES * WAD));
            entry.set(DEVIATIONS + 0x20, up * scale / (SAMPLES * WAD));
            entry.set(DEVIATIONS + 0x40, (down < least ? least : down) * scale / (SAMPLES * WAD));
        }
    }

    // Arithmetic

    /// @notice Three times what is left of a price in state `j`, bps: not below zero.
    function shocked(uint256 reach, uint256 j) internal pure returns (uint256 factor) {
        int256 rest = WHOLE + int256(reach) * thirds(j);
        return rest < 0 ? 0 : uint256(rest);
    }

    /// @notice Thirds of the range by which the price moves in state `j`, -9 to 9.
    function thirds(uint256 j) internal pure returns (int256 count) {
        assembly ("memory-safe") {
            count := sub(byte(j, THIRDS), 9)
        }
    }

    /// @notice How many samples of a fixing are missing.
    function missing(uint256 samples) internal pure returns (uint256) {
        // At most six are ever stored.
        unchecked {
            return SAMPLES - Fixings.count(samples);
        }
    }

    /// @notice The settlement price of a fixing that is complete, rounded down.
    function settlement(uint256 samples) internal pure returns (uint256) {
        return Fixings.sum(samples) / SAMPLES;
    }

    function isStale(uint256 slice) internal view returns (bool) {
        // No observation is ahead of the clock.
        unchecked {
            return block.timestamp - Surfaces.observedAt(slice) >= STALE_AFTER;
        }
    }

    /// @notice Whether a fixing that is not complete should have been for an hour.
    function isLate(uint256 expiresAt) internal view returns (bool) {
        // An expiry is of this century or the next.
        unchecked {
            return block.timestamp >= expiresAt + LATE_AFTER;
        }
    }

    function _doubts(uint256 slice, uint256 expiresAt) private view returns (uint256 doubts) {
        // No observation is ahead of the clock.
        unchecked {
            if (block.timestamp - Surfaces.observedAt(slice) - STALE_AFTER < WIDENING_TIME) doubts = STALE;
        }
        if (isLate(expiresAt)) doubts |= LATE;
    }

    function timeLeft(uint256 expiresAt) internal view returns (uint256) {
        // A positive difference.
        unchecked {
            return expiresAt > block.timestamp ? expiresAt - block.timestamp : 0;
        }
    }

    /// @notice The forward's multiple of the price, 10^-9: what a slice says, fading to one at expiry.
    function ratioDown(uint256 slice, uint256 expiresAt) internal view returns (uint256) {
        int256 carry = int256(Surfaces.forward(slice)) - int256(RATIO_UNIT);
        // Reported before its expiry, so the divisor is positive and not below the time left; carry is at least -1/2.
        unchecked {
            int256 full = int256(expiresAt - Surfaces.observedAt(slice));
            int256 scaled = carry * int256(timeLeft(expiresAt));
            return uint256(int256(RATIO_UNIT) + (scaled - (scaled < 0 ? full - 1 : int256(0))) / full);
        }
    }

    /// @notice The forward at a price, with what is fixed already.
    function forwardDown(uint256 price, uint256 ratio, uint256 samples) internal pure returns (uint256) {
        // 94 bits times 31, and six of them beside a sum of 97.
        unchecked {
            return (Fixings.sum(samples) + missing(samples) * (price * ratio / RATIO_UNIT)) / SAMPLES;
        }
    }

    /// @notice The root of a time in years, 18 decimals, rounded down.
    function rootOf(uint256 left) internal pure returns (uint256) {
        // 32 bits times 10^36.
        unchecked {
            return FixedPointMathLib.sqrt(left * 1e36 / YEAR);
        }
    }

    /// @notice The volatility of a slice at a moneyness `ln(forward / strike)`, rounded down.
    function volatilityDown(uint256 slice, int256 moneyness) internal pure returns (uint256) {
        if (moneyness > MOST_MONEYNESS) moneyness = MOST_MONEYNESS;
        if (moneyness < -MOST_MONEYNESS) moneyness = -MOST_MONEYNESS;
        int256 variance = Surfaces.varianceAt(slice, -moneyness);
        if (variance < LEAST_VARIANCE) variance = LEAST_VARIANCE;
        if (variance > MOST_VARIANCE) variance = MOST_VARIANCE;
        return FixedPointMathLib.sqrt(uint256(variance) * WAD);
    }

    /// @notice `ln(a / b)`, where a quotient below 10^-18 counts as that, and `b` of zero as one.
    /// @dev Both below 2^100.
    function logOf(uint256 a, uint256 b) internal pure returns (int256) {
        unchecked {
            uint256 quotient = a * WAD / (b == 0 ? 1 : b);
            return FixedPointMathLib.lnWad(int256(quotient == 0 ? 1 : quotient));
        }
    }

    /// @dev Damped by the cube root of time, widened with the age of its slice.
    function shiftUp(uint256 volShift, uint256 observedAt, uint256 left) internal view returns (uint256) {
        // No observation is ahead of the clock. Below 2^108 beneath the root; a damp below 2^29, a widening of at most
        // 20000 and 14 bits of shift.
        unchecked {
            uint256 age = block.timestamp - observedAt;
            uint256 beyond = age > STALE_AFTER ? PriceMath.min(age - STALE_AFTER, WIDENING_TIME) : 0;
            uint256 widening = BPS + BPS * beyond / WIDENING_TIME;
            uint256 damp = FixedPointMathLib.cbrt(QUOTED_TIME * 1e24 / (left < LEAST_TIME ? LEAST_TIME : left));
            return (volShift * damp * widening + (DAMP_UNIT * BPS - 1)) / (DAMP_UNIT * BPS);
        }
    }
}
