"""Packed ids and balances: every part comes back, none touches another, nothing too large fits."""

from __future__ import annotations

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
