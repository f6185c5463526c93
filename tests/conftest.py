"""Hypothesis profiles shared by every suite: deterministic, so that a failure is the same failure
everywhere.

`ci` is the default; `pytest --hypothesis-profile=deep` runs the same tests with twenty-five times
the volume, `quick` with a handful of examples and without looking for the smallest failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from tests.house import House

SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=SLOW_TO_DRAW,
)
settings.register_profile("deep", parent=settings.get_profile("ci"), max_examples=2_500)
settings.register_profile(
    "quick",
    parent=settings.get_profile("ci"),
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("ci")


@pytest.fixture(scope="module")
def standing_house() -> House:
    """One house for a module: deploying takes longer than most tests."""
    from tests.house import House

    return House()


@pytest.fixture
def house(standing_house: House) -> Iterator[House]:
    """A sealed house beside its twin, which forgets whatever a test does."""
    with standing_house.anchored():
        yield standing_house


@pytest.fixture
def open_account(house: House) -> Callable[..., int]:
    """`open_account("alice", cash=500, collateral={1: 10**18}, positions={ETH: -(10**18)})`: an
    account with dollars, token units and perpetuals, taken at the mark from a rich dealer."""

    def opened(
        name: str = "trader",
        *,
        cash: int = 10_000,
        collateral: Mapping[int, int] | None = None,
        positions: Mapping[int, int] | None = None,
        sub: int = 0,
    ) -> int:
        account = house.account(name, sub)
        if cash:
            house.deposit(account, 0, cash * house.usd_units)
        for asset, units in (collateral or {}).items():
            house.deposit(account, asset, units)
        for u, size in (positions or {}).items():
            house.open_position(account, u, size)
        return account

    return opened
