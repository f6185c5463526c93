"""`refresh`: the house takes over the engine's words on cash, after booking what ran before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.risk import params
from plimsoll.risk.ledger.pool import YEAR, Lending, Pool
from plimsoll.risk.model import WAD
from plimsoll.risk.params import Kind, LendingParams
from tests.scenarios.stage import CASH, WETH, Stage, wad
from tests.unit.books import emitted, happened, refuses

TERMS = LendingParams(kink=80, rate_at_kink=50, rate_at_full=1_000, reserve_share=10)
STEEPER = LendingParams(kink=50, rate_at_kink=500, rate_at_full=8_191, reserve_share=50)
DAY = 86_400


def lending(terms: LendingParams) -> Lending:
    return Lending(terms.kink, terms.rate_at_kink, terms.rate_at_full, terms.reserve_share)


@pytest.fixture
def lent() -> Stage:
    """A quarter of what is supplied is lent."""
    stage = Stage(lending=TERMS, lent=4_000, reserves=0)
    stage.deposit("owner", WETH, wad(1))
    stage.withdraw_cash(stage.account("owner"), 1_000)
    return stage


def told(stage: Stage) -> Pool:
    """The pool as the twin has it a day ago, from what the stage did."""
    return Pool(
        supplied=wad(4_000), borrowed=wad(1_000), accrued_at=stage.now, lending=lending(TERMS)
    )


def change(stage: Stage, word: int) -> None:
    stage.engine.submit(Kind.LENDING, CASH, word)
    stage.warp(params.DELAY)
    stage.engine.accept(Kind.LENDING, CASH)


def test_the_terms_are_announced(lent: Stage) -> None:
    terms = {"kink": 80, "rateAtKink": 50, "rateAtFull": 1_000, "reserveShare": 10}
    receipt = lent.house.refresh(CASH, sender=lent.actor("stranger"))
    assert emitted(lent.house, "LendingTermsSet", **terms) in happened(receipt)


def test_interest_up_to_here_runs_at_the_old_terms(lent: Stage) -> None:
    pool = told(lent)
    change(lent, STEEPER.word)
    lent.warp(DAY)
    old = pool.accrued(lent.now)
    view = lent.house.call.pool()
    assert (view.supplyIndex, view.borrowIndex) == (old.supply_index, old.borrow_index)
    lent.house.refresh(CASH)
    assert lent.house.call.pool() == view._replace(accruedAt=lent.now)
    lent.warp(YEAR)
    new = replace(old, lending=lending(STEEPER)).accrued(lent.now)
    view = lent.house.call.pool()
    assert (view.supplyIndex, view.borrowIndex) == (new.supply_index, new.borrow_index)
    assert view.reserves == new.capital > old.capital > 0


def test_without_terms_nothing_is_due(stage: Stage) -> None:
    account = stage.deposit("owner", WETH, WAD)
    stage.withdraw_cash(account, 1_000)
    stage.warp(10 * YEAR)
    assert stage.cash(account) == -wad(1_000)
    none = {"kink": 0, "rateAtKink": 0, "rateAtFull": 0, "reserveShare": 0}
    assert emitted(stage.house, "LendingTermsSet", **none) in happened(stage.house.refresh(CASH))


class TestRefused:
    def test_an_id_beyond_the_last(self, stage: Stage) -> None:
        with refuses(stage, "UnknownAsset", asset=96):
            stage.house.refresh(96)

    def test_with_ether(self, stage: Stage) -> None:
        with refuses(stage, "ValueNotAccepted", value=1):
            stage.house.refresh(CASH, value=1)
