"""Packed ids and balances: every part comes back, none touches another, nothing too large fits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk import model
from tests.evm import Contract, Evm

INT104 = 2**103
signed = st.one_of(
    st.integers(-INT104, INT104 - 1), st.sampled_from([-INT104, -1, 0, 1, INT104 - 1])
)


@pytest.fixture(scope="module")
def packing() -> Contract:
    return Evm().deploy("Packing")


@given(owner=st.integers(0, 2**160 - 1), number=st.integers(0, 2**96 - 1))
def test_accounts(packing: Contract, owner: int, number: int) -> None:
    address = to_checksum_address(f"0x{owner:040x}")
    packed = packing.call.account(address, number)
    assert int.from_bytes(packed, "big") == (owner << 96) | number
    assert tuple(packing.call.partsOfAccount(packed)) == (address, number)


@given(
    instrument=st.integers(0, 2**48 - 1),
    size=signed,
    quote=signed,
)
def test_positions(packing: Contract, instrument: int, size: int, quote: int) -> None:
    packed = packing.call.position(instrument, size, quote)
    assert packed == (instrument << 208) | ((size % 2**104) << 104) | (quote % 2**104)
    assert tuple(packing.call.partsOfPosition(packed)) == (instrument, size, quote)


@pytest.mark.parametrize("beyond", [INT104, -INT104 - 1, 2**255 - 1, -(2**255)])
def test_positions_refuse_what_does_not_fit(packing: Contract, beyond: int) -> None:
    for parts in ((beyond, 0), (0, beyond)):
        with packing.evm.reverts("PositionTooLarge", beyond):
            packing.call.position(1, *parts)


@given(asset=st.integers(0, 2**16 - 1), amount=st.integers(0, 2**128 - 1))
def test_holdings(packing: Contract, asset: int, amount: int) -> None:
    packed = packing.call.holding(asset, amount)
    assert packed == (asset << 128) | amount
    assert tuple(packing.call.partsOfHolding(packed)) == (asset, amount)


@pytest.mark.parametrize("underlying", [1, 2, 127, 128, 254, 255])
def test_a_perpetual_is_its_underlying(packing: Contract, underlying: int) -> None:
    instrument = packing.call.perpetual(underlying)
    assert instrument == model.perpetual(underlying)
    assert tuple(packing.call.partsOfInstrument(instrument)) == (1, underlying, True)


@given(
    instrument=st.one_of(st.integers(0, 2**48 - 1), st.integers(0, 1_023).map(lambda n: n << 37))
)
def test_only_one_spelling_is_a_perpetual(packing: Contract, instrument: int) -> None:
    kind, underlying, is_perpetual = packing.call.partsOfInstrument(instrument)
    assert (kind, underlying) == (instrument >> 46, (instrument >> 37) & 0x1FF)
    spelled = {model.perpetual(u) for u in range(1, 256)}
    assert is_perpetual is (instrument in spelled)


DAY_ZERO = datetime(2025, 1, 1, 8, tzinfo=UTC)
underlyings = st.integers(1, 255)
days = st.integers(0, 4_095)
mantissas = st.one_of(st.integers(1, 2**20 - 1), st.sampled_from([1, 9, 10, 11, 2**20 - 1]))
exponents = st.integers(0, 15)
ids = st.builds(
    lambda kind, underlying, below: kind << 46 | underlying << 37 | below,
    st.sampled_from([0, 1, 2, 3]),
    st.integers(0, 511),
    st.one_of(st.just(0), st.integers(0, 2**37 - 1), days.map(lambda day: day << 25)),
)


def expiry(day: int) -> int:
    return int((DAY_ZERO + timedelta(days=day)).timestamp())


@given(underlying=underlyings, day=days)
def test_a_future_is_its_underlying_and_expiry(
    packing: Contract, underlying: int, day: int
) -> None:
    instrument = packing.call.future(underlying, day)
    assert instrument == 2 << 46 | underlying << 37 | day << 25
    assert tuple(packing.call.partsOfInstrument(instrument)) == (2, underlying, False)
    terms = (True, True, day, expiry(day), 0, False)
    assert tuple(packing.call.termsOfInstrument(instrument)) == terms


@given(underlying=underlyings, day=days, mantissa=mantissas, exponent=exponents, put=st.booleans())
def test_an_option_is_its_expiry_strike_and_side(
    packing: Contract, underlying: int, day: int, mantissa: int, exponent: int, put: bool
) -> None:
    instrument = packing.call.option(underlying, day, mantissa, exponent, put)
    spelled = mantissa << 5 | exponent << 1 | put
    assert instrument == 3 << 46 | underlying << 37 | day << 25 | spelled
    assert tuple(packing.call.partsOfInstrument(instrument)) == (3, underlying, False)
    canonical = exponent == 15 or mantissa % 10 != 0
    strike = mantissa * 10 ** (exponent + 8)
    terms = (canonical, True, day, expiry(day), strike, put)
    assert tuple(packing.call.termsOfInstrument(instrument)) == terms


@given(instrument=ids)
def test_whatever_is_canonical_is_built_from_its_parts(packing: Contract, instrument: int) -> None:
    kind, underlying, is_perpetual = packing.call.partsOfInstrument(instrument)
    canonical, dated, day, _, strike, put = packing.call.termsOfInstrument(instrument)
    assert dated is (kind >= 2)
    if not 1 <= underlying <= 255 or kind == 0:
        assert not canonical
    elif kind == 1:
        assert canonical is is_perpetual
    elif kind == 2:
        assert canonical is (instrument == packing.call.future(underlying, day))
    else:
        shortest = (strike // 10**8, 0)
        while shortest[0] and shortest[0] % 10 == 0 and shortest[1] < 15:
            shortest = shortest[0] // 10, shortest[1] + 1
        spelled = packing.call.option(underlying, day, *shortest, put)
        assert canonical is (strike != 0 and instrument == spelled)


@given(one=ids, other=ids)
def test_keys_group_an_expiry_and_a_strike(packing: Contract, one: int, other: int) -> None:
    strike, expiry_ = packing.call.keysOfInstrument(one)
    assert strike == one >> 1
    assert expiry_ == (one >> 25) % 2**21
    # The other side of the same strike, and nothing else.
    assert (packing.call.keysOfInstrument(one ^ 1).strikeKey) == strike
    if other not in (one, one ^ 1):
        assert packing.call.keysOfInstrument(other).strikeKey != strike


def test_the_last_expiry_is_in_2036(packing: Contract) -> None:
    last = packing.call.termsOfInstrument(packing.call.future(1, 4_095)).expiry
    assert datetime.fromtimestamp(last, UTC) == datetime(2036, 3, 19, 8, tzinfo=UTC)
