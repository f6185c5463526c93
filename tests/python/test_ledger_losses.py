"""Provisions, the charge, halts and the reserves: docs/ledger.md, sections 5 and 8."""

from __future__ import annotations

import pytest

from plimsoll.risk.ledger import CASH, RAY, WINDING_DELAY, BidTerms, Lending, Pause, Refused
from plimsoll.risk.model import WAD
from tests.python.desk import (
    BORROWER,
    DOLLAR,
    KEEPER,
    RUNNER,
    SAVER,
    STRANGER,
    TOKEN,
    Desk,
)

BACKSTOP = KEEPER >> 96


@pytest.fixture
def desk() -> Desk:
    """Two savers of the same wealth, a borrower of nearly half of it, no reserves."""
    desk = Desk()
    for saver in (SAVER, RUNNER):
        desk.deposit(saver, CASH, 100_000)
    desk.deposit(BORROWER, TOKEN, 50)
    desk.withdraw(BORROWER, CASH, 80_000 * DOLLAR)
    return desk


def ruined(desk: Desk, price: int = 1_000) -> int:
    """The borrower owes more than there is; returns the provision in dollars."""
    desk.price = price * WAD
    desk.auction(BORROWER)
    return desk.ledger.provision(BORROWER)


def taken(desk: Desk, fraction: int = WAD):
    desk.later(900)
    terms = BidTerms(BORROWER, KEEPER, fraction, 2**200, desk.now)
    return desk.ledger.bid(terms, desk.context())


def test_a_provision_is_what_the_account_lacks(desk: Desk) -> None:
    assert ruined(desk) == -desk.ledger.margin(BORROWER, desk.context()).maintenance_equity
    assert desk.ledger.provisions == desk.ledger.provision(BORROWER)


def test_a_first_look_provides_nothing(desk: Desk) -> None:
    desk.price = 1_000 * WAD
    desk.ledger.flag(BORROWER, desk.context())
    assert desk.ledger.provisions == 0


def test_a_part_of_a_bid_leaves_its_part_of_the_provision(desk: Desk) -> None:
    provision = ruined(desk)
    desk.deposit(KEEPER, CASH, 10_000)
    result = taken(desk, WAD // 3)
    assert result.payout > 0
    left = desk.ledger.provision(BORROWER)
    assert 0 <= left * WAD - provision * (WAD - result.fraction) < 10**12 * WAD


def test_the_end_of_an_auction_releases_its_provision(desk: Desk) -> None:
    ruined(desk)
    desk.deposit(KEEPER, CASH, 10_000)
    assert taken(desk).fraction == WAD
    assert desk.ledger.provisions == 0
    desk.price = 1_000 * WAD


def test_another_look_notes_what_became_of_the_loss(desk: Desk) -> None:
    first = ruined(desk)
    with pytest.raises(Refused, match="AuctionAlreadyRunning"):
        desk.ledger.flag(BORROWER, desk.context())
    desk.price = 900 * WAD
    desk.ledger.flag(BORROWER, desk.context())
    assert desk.ledger.provision(BORROWER) > first


def test_who_recovers_is_provided_for_no_more(desk: Desk) -> None:
    assert ruined(desk) > 0
    desk.price = 3_000 * WAD
    desk.ledger.stand_still(BORROWER, desk.context())
    assert desk.ledger.provisions == 0


def test_who_runs_first_pays_the_same_as_who_sleeps(desk: Desk) -> None:
    provision = ruined(desk)
    pool = desk.ledger.pool
    had = desk.cash(RUNNER)
    most = had * (pool.supplied_down - provision) // pool.supplied_down
    charge = desk.withdraw(RUNNER, CASH, most // 10**12)
    assert charge > 0
    assert desk.cash(RUNNER) < 2 * 10**12
    desk.deposit(KEEPER, CASH, 1_000_000)
    sleeper = desk.cash(SAVER)
    loss = taken(desk).loss
    assert loss.from_reserves == charge
    # What the bid was paid beyond the provision is the keeper's margin, which both did not know.
    surplus = loss.from_reserves + loss.from_suppliers + loss.to_deficit - provision
    borne = sleeper - desk.cash(SAVER)
    shared = surplus * sleeper // pool.supplied_down
    assert abs(borne - shared) <= max(had - most, 10**15)
    assert had - most == pytest.approx(had * provision // pool.supplied_down, rel=1e-9)


def test_loans_pay_the_charge_and_transfers_do_not(desk: Desk) -> None:
    """Else whoever borrows in one account and repays from another would leave free."""
    ruined(desk)
    other = RUNNER + 1
    desk.ledger.transfer(RUNNER, other, CASH, 100 * WAD, desk.context())
    assert desk.cash(RUNNER) + desk.cash(other) == 100_000 * WAD
    desk.deposit(KEEPER, TOKEN, 100)
    charge = desk.withdraw(KEEPER, CASH, 100 * DOLLAR)
    assert charge > 0
    assert desk.cash(KEEPER) == -100 * WAD - charge


def test_reserves_that_cover_the_provision_charge_nobody(desk: Desk) -> None:
    provision = ruined(desk)
    desk.ledger.add_reserves(provision // 10**12 + 1, desk.context())
    assert desk.withdraw(RUNNER, CASH, DOLLAR) == 0


def test_a_shared_loss_halts_new_risk_until_it_is_resumed(desk: Desk) -> None:
    ruined(desk)
    desk.deposit(KEEPER, CASH, 1_000_000)
    assert taken(desk).loss.is_shared
    assert desk.ledger.is_halted
    buyer, seller = (desk.order(one, size) for one, size in ((SAVER, WAD), (RUNNER, -WAD)))
    with pytest.raises(Refused, match="RiskHalted"):
        desk.ledger.trade(buyer, seller, WAD, desk.context())
    desk.ledger.submit_resume(desk.now)
    with pytest.raises(Refused, match="ResumeNotReady"):
        desk.ledger.accept_resume(desk.now + WINDING_DELAY - 1)
    desk.later(WINDING_DELAY)
    desk.ledger.accept_resume(desk.now)
    assert desk.ledger.trade(buyer, seller, WAD, desk.context()) == WAD


def test_another_loss_withdraws_a_resumption(desk: Desk) -> None:
    ruined(desk)
    desk.deposit(KEEPER, CASH, 1_000_000)
    taken(desk, WAD // 2)
    desk.ledger.submit_resume(desk.now)
    taken(desk)
    with pytest.raises(Refused, match="ResumeNotReady"):
        desk.ledger.accept_resume(desk.now + WINDING_DELAY)


def test_a_loss_within_the_reserves_halts_nothing(desk: Desk) -> None:
    desk.ledger.add_reserves(10**6 * DOLLAR, desk.context())
    ruined(desk)
    desk.deposit(KEEPER, CASH, 1_000_000)
    assert taken(desk).loss.from_reserves > 0
    assert not desk.ledger.is_halted


def test_a_position_shrinks_while_risk_is_halted(desk: Desk) -> None:
    opened = (desk.order(SAVER, WAD), desk.order(RUNNER, -WAD))
    desk.ledger.trade(*opened, WAD, desk.context())
    ruined(desk)
    desk.deposit(KEEPER, CASH, 1_000_000)
    taken(desk)
    closing = (desk.order(SAVER, -WAD // 2), desk.order(RUNNER, WAD // 2))
    assert desk.ledger.trade(*closing, WAD // 2, desk.context()) == WAD // 2


# Reserves


def test_only_the_backstop_draws_and_pays_reserves(desk: Desk) -> None:
    ledger = desk.ledger
    ledger.add_reserves(1_000 * DOLLAR, desk.context())
    with pytest.raises(Refused, match="OnlyBackstop"):
        ledger.draw_reserves(KEEPER, WAD, desk.context())
    ledger.bind_backstop(BACKSTOP)
    with pytest.raises(Refused, match="AlreadyBound"):
        ledger.bind_backstop(STRANGER)
    with pytest.raises(Refused, match="OnlyBackstop"):
        ledger.pay_reserves(1, desk.context(), sender=STRANGER)
    with pytest.raises(Refused, match="InsufficientReserves"):
        ledger.draw_reserves(KEEPER, 1_001 * WAD, desk.context())
    ledger.draw_reserves(KEEPER, 400 * WAD, desk.context())
    assert (desk.cash(KEEPER), ledger.pool.reserves) == (400 * WAD, 600 * WAD)
    ledger.return_reserves(KEEPER, 150 * WAD, desk.context())
    assert (desk.cash(KEEPER), ledger.pool.reserves) == (250 * WAD, 750 * WAD)
    held = ledger.vault_cash
    ledger.pay_reserves(750 * DOLLAR, desk.context(), sender=BACKSTOP)
    assert (ledger.pool.reserves, held - ledger.vault_cash) == (0, 750 * WAD)


def test_reserves_stay_while_a_loss_is_to_come_or_was_shared(desk: Desk) -> None:
    desk.ledger.bind_backstop(BACKSTOP)
    desk.ledger.add_reserves(DOLLAR, desk.context())
    ruined(desk)
    with pytest.raises(Refused, match="ProvisionOpen"):
        desk.ledger.pay_reserves(1, desk.context(), sender=BACKSTOP)
    desk.deposit(KEEPER, CASH, 1_000_000)
    taken(desk)
    desk.ledger.add_reserves(DOLLAR, desk.context())
    with pytest.raises(Refused, match="RiskHalted"):
        desk.ledger.pay_reserves(1, desk.context(), sender=BACKSTOP)


def test_dust_keeps_no_reserves(desk: Desk) -> None:
    desk.ledger.bind_backstop(BACKSTOP)
    provision = ruined(desk)
    assert provision % 10**12 == 0
    desk.ledger.add_reserves(1_000 * provision // 10**12 - 1, desk.context())
    with pytest.raises(Refused, match="ProvisionOpen"):
        desk.ledger.pay_reserves(1, desk.context(), sender=BACKSTOP)
    desk.ledger.add_reserves(1, desk.context())
    desk.ledger.pay_reserves(1, desk.context(), sender=BACKSTOP)


def test_returning_cash_to_the_reserves_leaves_initial_margin_behind(desk: Desk) -> None:
    with pytest.raises(Refused, match="BelowInitialMargin"):
        desk.ledger.return_reserves(BORROWER, 20_000 * WAD, desk.context())
    desk.paused = Pause.WITHDRAWALS
    desk.ledger.return_reserves(SAVER, WAD, desk.context())


# Interest in the books


def test_interest_reaches_balances_without_being_booked() -> None:
    desk = Desk(lending=Lending(80, 100, 900, 20))
    desk.deposit(SAVER, CASH, 100_000)
    desk.deposit(BORROWER, TOKEN, 100)
    desk.withdraw(BORROWER, CASH, 80_000 * DOLLAR)
    desk.later(365 * 24 * 3_600)
    ledger = desk.ledger
    earned, owed = desk.cash(SAVER) - 100_000 * WAD, -desk.cash(BORROWER) - 80_000 * WAD
    # Ten percent at the kink, compounded, of which a fifth is the reserves'.
    assert owed == pytest.approx(80_000 * WAD * 0.10516667, rel=1e-6)
    assert earned == pytest.approx(owed * 0.8, rel=1e-9)
    assert 0 <= owed - earned - ledger.pool.reserves <= 4
    assert ledger.vault_cash >= ledger.pool.owed


def test_interest_makes_a_borrower_unhealthy() -> None:
    desk = Desk(lending=Lending(50, 8_191, 8_191))
    desk.deposit(SAVER, CASH, 200_000)
    desk.deposit(BORROWER, TOKEN, 50)
    desk.withdraw(BORROWER, CASH, 80_000 * DOLLAR)
    with pytest.raises(Refused, match="AccountHealthy"):
        desk.ledger.flag(BORROWER, desk.context())
    desk.later(30 * 24 * 3_600)
    desk.auction(BORROWER)
    assert desk.ledger.provision(BORROWER) > 0


def test_terms_run_from_their_refresh() -> None:
    desk = Desk()
    desk.deposit(SAVER, CASH, 200_000)
    desk.deposit(BORROWER, TOKEN, 50)
    desk.withdraw(BORROWER, CASH, 80_000 * DOLLAR)
    desk.lending = Lending(50, 500, 8_000, 10)
    desk.later(10**6)
    assert desk.cash(SAVER) == 200_000 * WAD
    desk.refresh(CASH)
    assert desk.ledger.pool.borrow_index == RAY
    desk.later(1)
    assert desk.cash(SAVER) > 200_000 * WAD
