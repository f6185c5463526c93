"""The vault: collects and releases for the house that made it, and for nobody else.

Most of these vaults are made by a person, the `desk`, who is then their house.
"""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.deploy.sender import NOBODY
from tests.evm import Contract, Receipt
from tests.scenarios.stage import WETH, Stage
from tests.unit.books import emitted, happened, paid_in, refuses

TRUE, NOTHING, FALSE = range(3)


@pytest.fixture
def vault(stage: Stage) -> Contract:
    return stage.evm.deploy("CollateralVault", NOBODY, sender=stage.actor("desk"))


@pytest.fixture
def token(stage: Stage, vault: Contract) -> Contract:
    """A hundred units in the hands of the owner, who has approved the vault."""
    token = stage.new_token(18)
    token.mint(stage.actor("owner"), 100)
    token.approve(vault, 2**256 - 1, sender=stage.actor("owner"))
    return token


def collect(stage: Stage, vault: Contract, token: Any, amount: int) -> Receipt:
    return vault.collect(token, stage.actor("owner"), amount, sender=stage.actor("desk"))


def release(stage: Stage, vault: Contract, token: Any, amount: int, claims: int) -> Receipt:
    who = stage.actor("taker"), amount, claims
    return vault.release(token, *who, sender=stage.actor("desk"))


def moved(token: Contract, source: str, target: str, value: int) -> Any:
    return emitted(token, "Transfer", from_=source, to=target, value=value)


def test_it_belongs_to_who_made_it(stage: Stage, vault: Contract) -> None:
    assert stage.vault.call.CLEARING_HOUSE() == stage.house.address
    assert vault.call.CLEARING_HOUSE() == stage.actor("desk").address


@pytest.mark.parametrize("who", ["stranger", "owner", "deployer"])
def test_nobody_else_collects_or_releases(stage: Stage, who: str) -> None:
    stage.deposit("owner", WETH, 5)
    paid_in(stage, "owner", WETH, 5)
    person, coin = stage.actor(who), stage.tokens[WETH]
    with refuses(stage, "OnlyClearingHouse", caller=person.address):
        stage.vault.collect(coin, stage.actor("owner"), 5, sender=person)
    with refuses(stage, "OnlyClearingHouse", caller=person.address):
        stage.vault.release(coin, person, 5, 0, sender=person)


class TestCollect:
    def test_takes_what_was_asked(self, stage: Stage, vault: Contract, token: Contract) -> None:
        receipt = collect(stage, vault, token, 60)
        assert receipt.value == 60
        assert happened(receipt) == [moved(token, stage.actor("owner").address, vault.address, 60)]
        assert token.call.balanceOf(vault) == 60
        assert token.call.balanceOf(stage.actor("owner")) == 40

    @pytest.mark.parametrize(("fee", "shortfall", "arrives"), [(1_000, 0, 45), (0, 5_000, 25)])
    def test_counts_what_arrived(
        self,
        stage: Stage,
        vault: Contract,
        token: Contract,
        fee: int,
        shortfall: int,
        arrives: int,
    ) -> None:
        token.mint(vault, 7)
        token.setFee(fee)
        token.setShortfall(shortfall)
        assert collect(stage, vault, token, 50).value == arrives
        assert token.call.balanceOf(vault) == 7 + arrives

    def test_accepts_a_token_that_answers_nothing(
        self, stage: Stage, vault: Contract, token: Contract
    ) -> None:
        token.setAnswer(NOTHING)
        assert collect(stage, vault, token, 50).value == 50

    @pytest.mark.parametrize("fee", [0, 10_000])
    def test_of_nothing_is_refused(
        self, stage: Stage, vault: Contract, token: Contract, fee: int
    ) -> None:
        token.setFee(fee)
        with refuses(stage, "NothingReceived", token=token.address):
            collect(stage, vault, token, 50 if fee else 0)

    def test_from_a_token_that_says_no(
        self, stage: Stage, vault: Contract, token: Contract
    ) -> None:
        token.setAnswer(FALSE)
        with refuses(stage, "SafeERC20FailedOperation", token=token.address):
            collect(stage, vault, token, 50)

    def test_without_enough(self, stage: Stage, vault: Contract, token: Contract) -> None:
        owner = stage.actor("owner")
        with refuses(stage, "Insufficient", owner.address, 100, 101):
            collect(stage, vault, token, 101)
        token.approve(vault, 49, sender=owner)
        with refuses(stage, "NotAllowed", owner.address, vault.address, 49, 50):
            collect(stage, vault, token, 50)

    def test_of_what_is_no_token(self, stage: Stage, vault: Contract) -> None:
        with refuses(stage, "0x"):
            collect(stage, vault, stage.actor("stranger"), 1)


class TestRelease:
    @pytest.fixture
    def full(self, stage: Stage, vault: Contract, token: Contract) -> Contract:
        collect(stage, vault, token, 100)
        return vault

    @pytest.mark.parametrize("claims", [0, 40])
    def test_leaves_the_claims(
        self, stage: Stage, full: Contract, token: Contract, claims: int
    ) -> None:
        receipt = release(stage, full, token, 60, claims)
        taker = stage.actor("taker").address
        assert happened(receipt) == [moved(token, full.address, taker, 60)]
        assert token.call.balanceOf(taker) == 60
        assert token.call.balanceOf(full) == 40

    def test_below_the_claims_is_refused(
        self, stage: Stage, full: Contract, token: Contract
    ) -> None:
        with refuses(stage, "BalanceBelowClaims", token.address, 40, 41):
            release(stage, full, token, 60, 41)
        assert token.call.balanceOf(full) == 100

    def test_of_more_than_is_there(self, stage: Stage, full: Contract, token: Contract) -> None:
        with refuses(stage, "Insufficient", full.address, 100, 101):
            release(stage, full, token, 101, 0)

    def test_a_token_that_moves_too_little_leaves_more(
        self, stage: Stage, full: Contract, token: Contract
    ) -> None:
        """The recipient bears what his token does on the way."""
        token.setShortfall(5_000)
        release(stage, full, token, 60, 70)
        assert token.call.balanceOf(full) == 70

    @pytest.mark.parametrize("answer", [TRUE, NOTHING])
    def test_by_a_token_that_answers(
        self, stage: Stage, full: Contract, token: Contract, answer: int
    ) -> None:
        token.setAnswer(answer)
        release(stage, full, token, 60, 40)
        assert token.call.balanceOf(stage.actor("taker")) == 60

    def test_by_a_token_that_says_no(self, stage: Stage, full: Contract, token: Contract) -> None:
        token.setAnswer(FALSE)
        with refuses(stage, "SafeERC20FailedOperation", token=token.address):
            release(stage, full, token, 60, 40)

    def test_a_recipient_who_collects_in_the_middle(
        self, stage: Stage, full: Contract, token: Contract
    ) -> None:
        """A token that calls back is not the house."""
        token.setHook(full, full.encode("release", token, stage.actor("taker"), 40, 0))
        release(stage, full, token, 60, 40)
        raw = bytes(token.call.hookAnswer())
        assert not token.call.hookPassed()
        assert stage.evm.registry.errors[raw[:4]].name == "OnlyClearingHouse"
        assert token.call.balanceOf(full) == 40
