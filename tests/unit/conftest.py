"""One stage for each file of tests of a single entry; every test leaves it as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.scenarios.stage import Stage
from tests.unit.books import ASSETS, MARKETS


@pytest.fixture(scope="module")
def standing() -> Stage:
    return Stage(underlyings=MARKETS, collateral=ASSETS)


@pytest.fixture
def stage(standing: Stage) -> Iterator[Stage]:
    yield from kept(standing)


def kept(stage: Stage) -> Iterator[Stage]:
    """Lends a stage, and takes back all that was done to it: on the chain and in the twin."""
    underlyings = {u: one.copy() for u, one in stage.underlyings.items()}
    assets = {c: one.copy() for c, one in stage.assets.items()}
    global_, marks = replace(stage.global_), dict(stage.marks)
    with stage.evm.anchored():
        yield stage
    stage.underlyings, stage.assets = underlyings, assets
    stage.global_, stage.marks = global_, marks
