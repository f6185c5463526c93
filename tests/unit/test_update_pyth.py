"""`updatePyth`: signed prices go to Pyth, its fee is paid, and every other wei comes back."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode

from plimsoll.lab import components
from plimsoll.risk.params import Kind, SourceKind, SourceParams
from tests.evm import Contract, Receipt, actor
from tests.scenarios.stage import CASH, RISK, WETH, Stage, wad
from tests.unit.books import PROUD, cash_units, emitted, happened, refuses, through
from tests.world import number

FEE = 1_000
ID = bytes(31) + b"\1"
SOL = 9
EXPONENT = -8
PRICE = "(int64,uint64,int32,uint256)"


@pytest.fixture
def pyth(stage: Stage) -> Contract:
    return stage.evm.deploy(components.mock_pyth(), 3_600, FEE)


def update(stage: Stage, dollars: int, age: int = 0) -> bytes:
    """What Pyth's own stand-in takes for a signed price."""
    price = (dollars * 10**8, 0, EXPONENT, stage.now - age)
    return encode([f"(bytes32,{PRICE},{PRICE})"], [(ID, price, price)])


def send(stage: Stage, pyth: Contract, updates: list[bytes], value: int) -> Receipt:
    return stage.house.updatePyth(pyth, updates, sender=stage.actor("owner"), value=value)


def updated(stage: Stage, pyth: Contract, dollars: int) -> Any:
    return emitted(
        pyth,
        "PriceFeedUpdate",
        id=ID,
        publishTime=stage.now,
        price=dollars * 10**8,
        conf=0,
    )


def spent(stage: Stage, before: int) -> int:
    """What the owner has paid, and that nothing of it is left on the way."""
    assert stage.evm.balance(stage.house) == stage.evm.balance(stage.engine) == 0
    return before - stage.evm.balance(actor("owner"))


@pytest.mark.parametrize("surplus", [0, 1, 10**18])
def test_the_fee_is_paid_and_the_rest_returns(stage: Stage, pyth: Contract, surplus: int) -> None:
    before = stage.evm.balance(stage.actor("owner"))
    receipt = send(stage, pyth, [update(stage, 100)], FEE + surplus)
    assert happened(receipt) == [updated(stage, pyth, 100)]
    assert spent(stage, before) == FEE
    assert stage.evm.balance(pyth) == FEE
    assert pyth.call.queryPriceFeed(ID).price.price == 100 * 10**8


def test_several_updates_pay_as_many_fees(stage: Stage, pyth: Contract) -> None:
    before = stage.evm.balance(stage.actor("owner"))
    receipt = send(stage, pyth, [update(stage, 100, age=1), update(stage, 101)], 5 * FEE)
    assert len(receipt.events("PriceFeedUpdate")) == 2
    assert spent(stage, before) == 2 * FEE


def test_nothing_to_update_costs_nothing(stage: Stage, pyth: Contract) -> None:
    before = stage.evm.balance(stage.actor("owner"))
    assert happened(send(stage, pyth, [], 7)) == []
    assert spent(stage, before) == 0


def test_a_price_of_pyth_is_a_price_here(pyth: Contract) -> None:
    """Updated, observed and traded on in one transaction."""
    stage = Stage()
    pyth = stage.evm.deploy(components.mock_pyth(), 3_600, FEE)
    send(stage, pyth, [update(stage, 100)], FEE)
    word = SourceParams(number(pyth), SourceKind.PYTH, decimals=-EXPONENT, max_age=60).word
    source = [(Kind.PYTH_ID, SOL, int.from_bytes(ID, "big")), (Kind.SOURCE, SOL, word)]
    for kind, id_, value in [*source, (Kind.UNDERLYING, SOL, RISK.word)]:
        stage.engine.submit(kind, id_, value)
        stage.warp(stage.engine.call.DELAY())
        send(stage, pyth, [update(stage, 100)], FEE)
        stage.engine.accept(kind, id_)
    stage.warp(30)
    stage.house.updatePyth(pyth, [update(stage, 103)], sender=stage.actor("owner"), value=FEE)
    assert stage.engine.call.price(SOL).index == wad(103)


class TestBatch:
    """The parts of a batch all see its value, and share it."""

    def test_pays_each_from_what_is_left(self, stage: Stage, pyth: Contract) -> None:
        owner = stage.actor("owner")
        before = stage.evm.balance(owner)
        calls = [
            stage.house.encode("updatePyth", pyth, [update(stage, dollars, age)])
            for dollars, age in ((100, 1), (101, 0))
        ]
        receipt = stage.house.multicall(calls, sender=owner, value=3 * FEE)
        assert len(receipt.events("PriceFeedUpdate")) == 2
        assert spent(stage, before) == 2 * FEE

    def test_does_not_pay_twice_with_the_same_ether(self, stage: Stage, pyth: Contract) -> None:
        call = stage.house.encode("updatePyth", pyth, [update(stage, 100)])
        with refuses(stage, "UpdateFeeMissing", fee=FEE, available=FEE - 1):
            stage.house.multicall([call, call], sender=stage.actor("owner"), value=2 * FEE - 1)

    def test_pays_nothing_with_the_ether_of_others(self, stage: Stage, pyth: Contract) -> None:
        """Ether that is there already is no part of it."""
        stage.evm.set_balance(stage.house, 10 * FEE)
        call = stage.house.encode("updatePyth", pyth, [update(stage, 100)])
        for sent in (0, FEE - 1):
            with refuses(stage, "UpdateFeeMissing", fee=FEE, available=sent):
                stage.house.multicall([call], sender=stage.actor("owner"), value=sent)
        stage.house.multicall([call], sender=stage.actor("owner"), value=FEE)
        assert stage.evm.balance(stage.house) == 10 * FEE

    def test_goes_on_with_other_calls(self, stage: Stage, pyth: Contract) -> None:
        account, owner = stage.fund("owner", 5), stage.actor("owner")
        out = stage.house.encode("withdraw", account, CASH, cash_units(stage, 1), owner.address)
        call = stage.house.encode("updatePyth", pyth, [update(stage, 100)])
        stage.house.multicall([call, out], sender=owner, value=FEE)
        assert stage.cash(account) == wad(4)

    def test_in_an_unlock_its_own_value_counts(self, stage: Stage, pyth: Contract) -> None:
        """The batch around it is put aside: its ether stays its own."""
        puppet, _ = stage.puppet(1)
        forward = stage.evm.deploy(PROUD)
        stage.evm.set_balance(puppet, 10 * FEE)
        call = through(stage.house, "updatePyth", pyth, [update(stage, 100)])
        step = (forward.address, call, False)
        inner = stage.evm.deploy("Puppet").encode("run", [step])[4:]
        unlock = stage.house.encode("unlock", inner)
        with refuses(stage, "UpdateFeeMissing", fee=FEE, available=0):
            puppet.run([stage.step("multicall", [unlock])])


class TestRefused:
    @pytest.mark.parametrize("short", [1, FEE])
    def test_without_the_fee(self, stage: Stage, pyth: Contract, short: int) -> None:
        with refuses(stage, "UpdateFeeMissing", fee=FEE, available=FEE - short):
            send(stage, pyth, [update(stage, 100)], FEE - short)

    def test_by_a_caller_who_takes_nothing_back(self, stage: Stage, pyth: Contract) -> None:
        proud = stage.evm.deploy(PROUD)
        data = through(stage.house, "updatePyth", pyth, [update(stage, 100)])
        with refuses(stage, "FailedCall"):
            stage.evm.send(proud, data, stage.actor("owner"), FEE + 1)
        stage.evm.send(proud, data, stage.actor("owner"), FEE)
        assert stage.evm.balance(pyth) == FEE

    def test_at_somebody_who_is_no_pyth(self, stage: Stage) -> None:
        with refuses(stage, "0x"):
            send(stage, stage.dollar, [], 1)

    def test_while_another_entry_runs(self, stage: Stage, pyth: Contract) -> None:
        account = stage.fund("owner", 5)
        stage.dollar.setHook(stage.house, stage.house.encode("updatePyth", pyth, []))
        stage.withdraw_cash(account, 1)
        assert not stage.dollar.call.hookPassed()
        raw = bytes(stage.dollar.call.hookAnswer())
        assert stage.evm.registry.errors[raw[:4]].name == "Reentered"

    def test_ether_without_a_call(self, stage: Stage) -> None:
        """Only the engine returns any."""
        owner = stage.actor("owner")
        with refuses(stage, "UnexpectedValue", owner.address, 1):
            stage.evm.send(stage.house, b"", owner, 1)

    def test_an_update_changes_no_account(self, stage: Stage, pyth: Contract) -> None:
        account = stage.deposit("owner", WETH, 5)
        before = stage.portfolio(account), stage.house.call.versions(account)
        send(stage, pyth, [update(stage, 100)], FEE)
        assert (stage.portfolio(account), stage.house.call.versions(account)) == before
