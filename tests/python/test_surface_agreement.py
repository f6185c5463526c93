"""When surfaces count as the same: independent reporters agree, and no price differs by much."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from math import exp, isqrt, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.reporter.svi import fit
from plimsoll.reports import SignedReport, SurfaceReport, surface_batch_of
from plimsoll.risk.black76 import call
from plimsoll.risk.model import WAD
from plimsoll.risk.oracle import YEAR
from plimsoll.risk.surface import NANO, Slice, agreement_nodes, disagreement, volatility
from tests.python.test_svi import FIRST, NOW, chain
from tests.world import SURFACE_AGREEMENT


@pytest.mark.parametrize("days", [3, 10, 31, 94])
def test_independent_reporters_agree(days: int) -> None:
    """Their quotes are off by half a point each, and reach two deviations; fits differ by many
    points where nobody quotes."""
    fits = [fit(chain(days, spread=0.02, noise=0.005, seed=1_000 * i)).slices for i in range(3)]
    signed = [
        SignedReport(SurfaceReport(1, NOW, slices), f"0x{place:040x}", b"")  # type: ignore[arg-type]
        for place, slices in enumerate(fits)
    ]
    batch = surface_batch_of(
        signed,
        1,
        now=NOW,
        quorum=3,
        agreement=Decimal("0.01"),
        surface_agreement=Decimal("0.03"),
    )
    assert len(batch.signed) == 3


def steepest(wanted: Slice, kink: Slice, seconds: int) -> Slice:
    """The kink with the largest slope that still agrees."""
    low, high = 0, (1 << 44) - 1
    while high - low > 1:
        middle = (low + high) // 2
        steep = replace(kink, b=middle)
        if disagreement(steep, wanted, SURFACE_AGREEMENT, seconds) is None:
            low = middle
        else:
            high = middle
    return replace(kink, b=low)


@given(
    days=st.sampled_from([1, 3, 10, 31, 94, 365, 1_095]),
    level=st.integers(10**7, 10**9),
    quarters=st.integers(0, 16),
    side=st.sampled_from([1, -1]),
)
def test_no_price_differs_by_more_than_at_the_money(
    days: int, level: int, quarters: int, side: int
) -> None:
    """A level smile against one that rises from some deviations on, as steep as agrees. Where they
    are compared prices differ by at most the agreement times the root of time and the density of
    the middle, in parts of the geometric mean of forward and strike."""
    wanted = Slice(FIRST, NANO, level, 0, 0, 0, 1_000)
    seconds = days * 86_400
    root = isqrt(seconds * WAD // YEAR * WAD)
    start = quarters * volatility(wanted, 0) * root // (4 * WAD) // 10**12
    kink = Slice(FIRST, NANO, level, 0, side * 999_000, side * start, 1_000)
    other = steepest(wanted, kink, seconds)
    assert other.b > 0
    for kappa in agreement_nodes(wanted, root):
        strike = round(WAD * exp(kappa / WAD))
        sds = [volatility(one, kappa) * root // WAD for one in (other, wanted)]
        prices = [call(WAD, strike, -kappa, sd)[0] for sd in sds]
        most = SURFACE_AGREEMENT / WAD * root / WAD / sqrt(2 * pi) * exp(kappa / 2 / WAD)
        assert abs(prices[0] - prices[1]) / WAD <= most + 1e-8
