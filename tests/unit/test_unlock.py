"""`unlock`: the caller is called back, acts as it likes, and is checked at the end."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.risk import model
from plimsoll.risk.model import WAD, Fill, Portfolio
from tests.evm import Contract
from tests.scenarios.stage import ALT, CASH, ETH, WETH, Stage, as_tuple, wad
from tests.unit.books import (
    PROUD,
    cash_units,
    emitted,
    happened,
    leave_with_debt,
    refuses,
    through,
    transfer,
)


@pytest.fixture
def acting(stage: Stage) -> tuple[Stage, Contract, bytes]:
    return stage, *stage.puppet(1_000)


Acting = tuple[Stage, Contract, bytes]


def withdrawal(stage: Stage, puppet: Contract, account: bytes, dollars: int) -> Any:
    return stage.step("withdraw", account, CASH, cash_units(stage, dollars), puppet.address)


def error_of(stage: Stage, raw: bytes) -> str:
    return str(stage.evm.registry.errors[raw[:4]].name)


def test_what_is_done_inside_is_done(acting: Acting) -> None:
    stage, puppet, account = acting
    receipt = puppet.unlock(stage.house, [withdrawal(stage, puppet, account, 100)])
    assert happened(receipt) == [
        emitted(
            stage.house,
            "Withdrawn",
            account=account,
            owner=puppet.address,
            asset=CASH,
            to=puppet.address,
            amount=cash_units(stage, 100),
        ),
        transfer(stage, CASH, stage.vault, puppet, cash_units(stage, 100)),
    ]
    assert stage.portfolio(account) == Portfolio(wad(900))
    assert tuple(stage.house.call.versions(account)) == (0, 1)


def test_the_answer_of_the_callback_is_returned(acting: Acting) -> None:
    stage, puppet, account = acting
    data = stage.evm.at(puppet, "Puppet").encode("run", [stage.step("claims", WETH)])[4:]
    puppet.run([stage.step("unlock", data)])
    answer = puppet.call.answers(1)
    assert answer[:64] == (32).to_bytes(32, "big") + len(data).to_bytes(32, "big")
    assert answer[64 : 64 + len(data)] == data
    assert stage.cash(account) == wad(1_000)


def test_a_loan_that_is_brought_back(acting: Acting) -> None:
    """All of the pool, for the time of a call."""
    stage, puppet, account = acting
    everything = stage.dollar.call.balanceOf(stage.vault)
    dollars = everything // 10**stage.cash_decimals
    loan = withdrawal(stage, puppet, account, dollars)
    after = model.margin(Portfolio(wad(1_000 - dollars)), stage.inputs())
    with refuses(stage, "BelowInitialMargin", account, after.initial_equity, after.initial_margin):
        puppet.unlock(stage.house, [loan])
    approve = stage.dollar.address, stage.dollar.encode("approve", stage.vault, 2**255), False
    back = stage.step("deposit", account, CASH, cash_units(stage, dollars))
    puppet.unlock(stage.house, [loan, approve, back])
    assert stage.portfolio(account) == Portfolio(wad(1_000))
    assert stage.dollar.call.balanceOf(stage.vault) == everything


def test_the_ratio_rule_binds_over_the_whole(acting: Acting) -> None:
    stage, puppet, account = acting
    stage.fund("maker", 1_000_000)
    price = stage.marks[ALT]
    sell = stage.order(stage.account("maker"), {ALT: 1}, -1_000, price)
    grow = stage.step("take", sell, stage.sign(sell, "maker"), account, wad(1_000))
    fill = Fill(model.perpetual(ALT), wad(1_000), price)
    before, after = model.preview_trade(
        stage.portfolio(account), [fill], {ALT: (0, 0)}, stage.inputs()
    )
    with refuses(stage, "RatioWorsened", account, as_tuple(before), as_tuple(after)):
        puppet.unlock(stage.house, [grow])
    buy = stage.order(stage.account("maker"), {ALT: 1}, 1_000, price)
    shrink = stage.step("take", buy, stage.sign(buy, "maker"), account, wad(1_000))
    puppet.unlock(stage.house, [grow, shrink])
    assert stage.portfolio(account) == Portfolio(wad(1_000))
    assert stage.house.call.versions(account).version == 2


def test_a_call_that_failed_inside_counts_for_nothing(acting: Acting) -> None:
    stage, puppet, account = acting
    bad = stage.step("withdraw", account, WETH, 1, puppet.address, may_fail=True)
    puppet.unlock(stage.house, [bad, withdrawal(stage, puppet, account, 1)])
    assert [puppet.call.passed(i) for i in range(2)] == [False, True]
    assert error_of(stage, puppet.call.answers(0)) == "InsufficientCollateral"
    assert stage.portfolio(account) == Portfolio(wad(999))


def test_a_failed_entry_leaves_no_check_behind(acting: Acting) -> None:
    """The account may be looked at as if it had never been tried."""
    stage, puppet, account = acting
    bad = stage.step("withdraw", account, WETH, 1, puppet.address, may_fail=True)
    margin = stage.margin(account)
    with refuses(
        stage, "AccountHealthy", account, margin.maintenance_equity, margin.maintenance_margin
    ):
        puppet.unlock(stage.house, [bad, stage.step("flag", account)])


def nested(stage: Stage, calls: list[Any]) -> bytes:
    """The argument of an `unlock` that a puppet makes of itself."""
    return stage.evm.deploy("Puppet").encode("run", calls)[4:]


class TestNested:
    def test_checks_wait_for_the_outermost(self, acting: Acting) -> None:
        stage, puppet, account = acting
        loan = withdrawal(stage, puppet, account, 10_000)
        approve = stage.dollar.address, stage.dollar.encode("approve", stage.vault, 2**255), False
        back = stage.step("deposit", account, CASH, cash_units(stage, 10_000))
        inner = stage.step("unlock", nested(stage, [loan]))
        after = model.margin(Portfolio(wad(-9_000)), stage.inputs())
        with refuses(
            stage, "BelowInitialMargin", account, after.initial_equity, after.initial_margin
        ):
            puppet.unlock(stage.house, [inner, approve])
        puppet.unlock(stage.house, [inner, approve, back])
        assert stage.portfolio(account) == Portfolio(wad(1_000))

    def test_in_a_batch(self, acting: Acting) -> None:
        stage, puppet, account = acting
        inner = stage.house.encode("unlock", nested(stage, [withdrawal(stage, puppet, account, 1)]))
        other = stage.house.encode("withdraw", account, CASH, 5, puppet.address)
        puppet.run([stage.step("multicall", [inner, other])])
        assert stage.cash(account) == wad(999) - 5 * 10**12

    def test_a_batch_inside(self, acting: Acting) -> None:
        stage, puppet, account = acting
        out = stage.house.encode("withdraw", account, CASH, 5, puppet.address)
        puppet.unlock(stage.house, [stage.step("multicall", [out, out])])
        assert stage.cash(account) == wad(1_000) - 10 * 10**12

    def test_a_batch_inside_one_inside_a_batch(self, acting: Acting) -> None:
        """The outer batch is put aside meanwhile: its ether is not the inner one's."""
        stage, puppet, account = acting
        out = stage.house.encode("withdraw", account, CASH, 5, puppet.address)
        inner = stage.step("multicall", [out])
        unlock = stage.house.encode("unlock", nested(stage, [inner]))
        stage.evm.set_balance(stage.house, 11)
        puppet.run([stage.step("multicall", [unlock, out])])
        assert stage.cash(account) == wad(1_000) - 10 * 10**12
        assert stage.evm.balance(stage.house) == 11

    def test_a_batch_does_not_nest_by_way_of_one(self, acting: Acting) -> None:
        stage, puppet, _ = acting
        inner = stage.house.encode("multicall", [])
        with refuses(stage, "MulticallNested"):
            puppet.run([stage.step("multicall", [inner])])


class TestRefused:
    def test_with_ether(self, stage: Stage) -> None:
        proud = stage.evm.deploy(PROUD)
        with refuses(stage, "ValueNotAccepted", value=1):
            stage.evm.send(proud, through(stage.house, "unlock", b""), stage.actor("owner"), 1)

    def test_ether_for_an_entry_inside(self, acting: Acting) -> None:
        """It takes no more than one outside."""
        stage, puppet, _ = acting
        proud = stage.evm.deploy(PROUD)
        note = through(stage.house, "noteTotal", WETH)
        with refuses(stage, "ValueNotAccepted", value=1):
            stage.evm.send(proud, note, stage.actor("owner"), 1)
        puppet.unlock(stage.house, [(proud.address, note, False)])

    def test_by_somebody_without_code(self, stage: Stage) -> None:
        with refuses(stage, "0x"):
            stage.house.unlock(b"", sender=stage.actor("owner"))

    def test_by_a_contract_without_the_callback(self, stage: Stage) -> None:
        with refuses(stage, "0x"):
            proud = stage.evm.deploy(PROUD)
            stage.evm.send(proud, through(stage.house, "unlock", b""), stage.actor("owner"))

    def test_with_the_error_of_the_callback(self, acting: Acting) -> None:
        stage, puppet, account = acting
        with refuses(stage, "InsufficientCollateral", account, WETH, 0, 1):
            puppet.unlock(stage.house, [stage.step("withdraw", account, WETH, 1, puppet.address)])

    def test_while_a_token_moves(self, acting: Acting) -> None:
        """An `unlock` out of the middle of an entry opens nothing."""
        stage, puppet, account = acting
        stage.dollar.setHook(stage.house, stage.house.encode("unlock", b""))
        puppet.unlock(stage.house, [withdrawal(stage, puppet, account, 1)])
        assert not stage.dollar.call.hookPassed()
        assert error_of(stage, bytes(stage.dollar.call.hookAnswer())) == "Reentered"

    def test_an_account_with_a_check_pending(self, acting: Acting) -> None:
        stage, puppet, account = acting
        out = withdrawal(stage, puppet, account, 1)
        for name, *args in (
            ("flag",),
            ("standStill",),
            ("reset",),
            ("writeOff",),
            ("settle", model.perpetual(ETH)),
        ):
            with refuses(stage, "CheckPending", account=account):
                puppet.unlock(stage.house, [out, stage.step(name, account, *args)])

    def test_a_debt_just_written_off_is_not_renewed(self, stage: Stage) -> None:
        """The account is the house's until the end of the transaction."""
        puppet, account = stage.puppet(1)
        leave_with_debt(stage, account, 2_000)
        other = account[:20] + (1).to_bytes(12, "big")
        stage.give(stage.actor("desk"), WETH, WAD)
        write_off = stage.step("writeOff", account)
        move = stage.step("transfer", account, other, CASH, 1)
        with refuses(stage, "CheckPending", account=account):
            puppet.unlock(stage.house, [write_off, move])
        puppet.unlock(stage.house, [write_off])
        assert stage.portfolio(account) == Portfolio()
