"""`multicall`: several calls in one go, the accounts that they touch checked once, at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plimsoll.risk import model
from plimsoll.risk.ledger import AuctionState
from plimsoll.risk.model import WAD, Fill, Portfolio
from tests.scenarios.stage import ALT, CASH, ETH, WETH, Stage, as_tuple, terms, wad
from tests.unit.books import (
    PROUD,
    cash_units,
    emitted,
    happened,
    paid_in,
    refuses,
    through,
    transfer,
)


def batch(stage: Stage, *calls: tuple[Any, ...], who: str = "owner", **sent: Any) -> Any:
    encoded = [stage.house.encode(name, *args) for name, *args in calls]
    return stage.house.multicall(encoded, sender=stage.actor(who), **sent)


def test_nothing_happens_in_an_empty_batch(stage: Stage) -> None:
    receipt = batch(stage)
    assert list(receipt.value) == []
    assert happened(receipt) == []


def test_calls_run_in_order_as_the_caller(stage: Stage) -> None:
    account, other, owner = stage.account("owner"), stage.account("owner", 1), stage.actor("owner")
    units = cash_units(stage, 100)
    paid_in(stage, "owner", CASH, units)
    receipt = batch(
        stage,
        ("deposit", account, CASH, units),
        ("transfer", account, other, CASH, wad(60)),
        ("setDelegate", other, stage.actor("desk").address, terms(7)),
        ("withdraw", other, CASH, 10 * 10**6, owner.address),
    )
    kept = {"account": account, "owner": owner.address, "asset": CASH}
    assert happened(receipt) == [
        transfer(stage, CASH, owner, stage.vault, units),
        emitted(stage.house, "Deposited", **kept, payer=owner.address, amount=units),
        emitted(stage.house, "Transferred", from_=account, to=other, asset=CASH, amount=wad(60)),
        emitted(
            stage.house,
            "DelegateSet",
            account=other,
            owner=owner.address,
            delegate=stage.actor("desk").address,
            delegation=tuple(terms(7).values()),
        ),
        emitted(
            stage.house,
            "Withdrawn",
            **{**kept, "account": other},
            to=owner.address,
            amount=10 * 10**6,
        ),
        transfer(stage, CASH, stage.vault, owner, 10 * 10**6),
    ]
    assert stage.portfolio(account) == Portfolio(wad(40))
    assert stage.portfolio(other) == Portfolio(wad(50))


def test_each_call_answers(stage: Stage) -> None:
    paid_in(stage, "owner", CASH, 5)
    account = stage.account("owner")
    results = batch(stage, ("deposit", account, CASH, 5), ("claims", WETH), ("noteTotal", WETH))
    assert [bytes(one) for one in results.value] == [
        (5).to_bytes(32, "big"),
        (0).to_bytes(32, "big"),
        b"",
    ]


def test_a_loan_before_its_collateral(stage: Stage) -> None:
    """The account is below its margin in between, and above it at the end."""
    account, owner = stage.account("owner"), stage.actor("owner")
    paid_in(stage, "owner", WETH, WAD)
    loan = ("withdraw", account, CASH, cash_units(stage, 1_000), owner.address)
    empty = model.margin(Portfolio(-wad(1_000)), stage.inputs())
    with refuses(stage, "BelowInitialMargin", account, empty.initial_equity, empty.initial_margin):
        batch(stage, loan)
    batch(stage, loan, ("deposit", account, WETH, WAD))
    stage.note_total(WETH, WAD)
    assert stage.cash(account) == -wad(1_000)
    assert stage.margin(account).is_free


def test_every_account_touched_is_checked(stage: Stage) -> None:
    """The second of two loans has no collateral."""
    first, second = stage.account("owner"), stage.account("owner", 1)
    owner = stage.actor("owner").address
    stage.deposit("owner", WETH, WAD)
    loans = [("withdraw", one, CASH, cash_units(stage, 1), owner) for one in (first, second)]
    margin = model.margin(Portfolio(-wad(1)), stage.inputs())
    with refuses(stage, "BelowInitialMargin", second, margin.initial_equity, margin.initial_margin):
        batch(stage, *loans)
    with refuses(stage, "BelowInitialMargin", second, margin.initial_equity, margin.initial_margin):
        batch(stage, *loans[::-1])


def test_the_ratio_before_is_that_before_the_batch(stage: Stage) -> None:
    """Two trades, each of which alone keeps the ratio of the one before: none is compared to it."""
    stage.fund("maker", 1_000_000)
    account = stage.fund("owner", 300)
    stage.trade("owner", "maker", {ALT: 100})
    stage.report({ALT: wad(8)})
    before = stage.margin(account)
    assert not before.is_free
    buy = stage.order(stage.account("maker"), {ALT: 1}, 60, stage.marks[ALT])
    sell = stage.order(stage.account("maker"), {ALT: 1}, -70, stage.marks[ALT])
    reduce = ("take", buy, stage.sign(buy, "maker"), account, wad(60))
    grow = ("take", sell, stage.sign(sell, "maker"), account, wad(70))
    held = stage.portfolio(account)
    fills = [Fill(model.perpetual(ALT), size, stage.marks[ALT]) for size in (-wad(60), wad(70))]
    _, after = model.preview_trade(held, fills, {ALT: (0, 0)}, stage.inputs())
    with refuses(stage, "RatioWorsened", account, as_tuple(before), as_tuple(after)):
        batch(stage, reduce, grow)
    less = (*grow[:-1], wad(60))
    batch(stage, reduce, less)
    assert stage.portfolio(account) == held


def test_prices_are_fixed_by_the_first_check(stage: Stage) -> None:
    """One price in one transaction: what is settled and what is checked is the same."""
    stage.fund("maker", 1_000_000)
    account = stage.fund("owner", 100_000)
    stage.trade("owner", "maker", {ETH: 1})
    stage.report({ETH: wad(2_100)})
    receipt = batch(stage, ("settle", account, model.perpetual(ETH)), ("margin", account))
    assert receipt.events("VariationSettled")[0].amount == wad(100)
    margin = stage.margin(account)
    assert bytes(receipt.value[1])[:32] == margin.equity.to_bytes(32, "big")


class TestRefused:
    def test_with_the_error_of_the_part(self, stage: Stage) -> None:
        account = stage.fund("owner", 10)
        good = ("setDelegate", account, stage.actor("desk").address, terms(1))
        bad = ("withdraw", account, WETH, 1, stage.actor("owner").address)
        with refuses(stage, "InsufficientCollateral", account, WETH, 0, 1):
            batch(stage, good, bad)
        assert stage.house.call.delegation(account, stage.actor("desk")).expiry == 0

    def test_inside_itself(self, stage: Stage) -> None:
        with refuses(stage, "MulticallNested"):
            batch(stage, ("multicall", []))

    def test_what_only_the_owner_may(self, stage: Stage) -> None:
        account, stranger = stage.fund("owner", 10), stage.actor("stranger")
        with refuses(stage, "NotAuthorised", account, stranger.address):
            batch(stage, ("withdraw", account, CASH, 1, stranger.address), who="stranger")

    def test_a_function_that_is_not_there(self, stage: Stage) -> None:
        with refuses(stage, "FailedCall"):
            stage.house.multicall([b"\xde\xad\xbe\xef"], sender=stage.actor("owner"))

    def test_an_account_with_a_check_pending(self, stage: Stage) -> None:
        """Flagged, cured, reset or settled, or stood still: not while its owner acts."""
        stage.fund("maker", 10_000)
        account, owner = stage.fund("owner", 10_000), stage.actor("owner").address
        stage.trade("owner", "maker", {ETH: 1})
        out = ("withdraw", account, CASH, 1, owner)
        for name, *args in (
            ("flag",),
            ("standStill",),
            ("reset",),
            ("writeOff",),
            ("settle", model.perpetual(ETH)),
        ):
            with refuses(stage, "CheckPending", account=account):
                batch(stage, out, (name, account, *args))

    def test_the_other_account_of_a_transfer_is_free(self, stage: Stage) -> None:
        """Nothing was taken from it: no check is pending."""
        account, other = stage.fund("owner", 10), stage.account("owner", 1)
        with refuses(stage, "NotInAuction", account=other, state=AuctionState.NONE):
            batch(stage, ("transfer", account, other, CASH, 1), ("reset", other))

    def test_while_another_entry_runs(self, stage: Stage) -> None:
        """From within a token that a batch moves."""
        account = stage.fund("owner", 10)
        stage.dollar.setHook(stage.house, stage.house.encode("multicall", []))
        batch(stage, ("withdraw", account, CASH, 1, stage.actor("owner").address))
        assert not stage.dollar.call.hookPassed()
        raw = bytes(stage.dollar.call.hookAnswer())
        assert stage.evm.registry.errors[raw[:4]].name == "MulticallNested"


class TestEther:
    def test_that_nothing_spends_returns(self, stage: Stage) -> None:
        owner = stage.actor("owner")
        paid_in(stage, "owner", CASH, 2)
        before = stage.evm.balance(owner)
        account = stage.account("owner")
        batch(stage, ("deposit", account, CASH, 1), ("deposit", account, CASH, 1), value=10**18)
        assert stage.evm.balance(owner) == before
        assert stage.evm.balance(stage.house) == 0
        assert stage.cash(account) == 2 * 10**12

    def test_that_was_there_before_stays(self, stage: Stage) -> None:
        """Ether forced upon the house is nobody's: no batch spends or refunds it."""
        stage.evm.set_balance(stage.house, 7)
        owner = stage.actor("owner")
        before = stage.evm.balance(owner)
        batch(stage, ("noteTotal", WETH), value=3)
        assert stage.evm.balance(stage.house) == 7
        assert stage.evm.balance(owner) == before

    def test_that_cannot_return_is_not_taken(self, stage: Stage) -> None:
        """A caller without a way to receive."""
        proud = stage.evm.deploy(PROUD)
        data = through(stage.house, "multicall", [])
        with refuses(stage, "FailedCall"):
            stage.evm.send(proud, data, stage.actor("owner"), 5)
        stage.evm.send(proud, data, stage.actor("owner"))

    def test_never_comes_alone(self, stage: Stage) -> None:
        owner = stage.actor("owner")
        with refuses(stage, "UnexpectedValue", from_=owner.address, amount=4):
            stage.evm.send(stage.house, b"", owner, 4)


def test_a_batch_cannot_be_left_open(stage: Stage) -> None:
    """A batch that failed inside an outer call leaves the next one as good as ever."""
    puppet, account = stage.puppet(10)
    bad = stage.house.encode("withdraw", account, WETH, 1, puppet.address)
    failing = stage.step("multicall", [bad], may_fail=True)
    good = stage.house.encode("withdraw", account, CASH, 1, puppet.address)
    puppet.run([failing, stage.step("multicall", [good]), stage.step("noteTotal", WETH)])
    assert [puppet.call.passed(i) for i in range(3)] == [False, True, True]
    assert stage.portfolio(account) == replace(Portfolio(), cash=wad(10) - 10**12)
