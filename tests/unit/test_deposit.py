"""`deposit`: what arrives is credited, to anybody's account, within the caps."""

from __future__ import annotations

import pytest

from plimsoll.risk import oracle
from plimsoll.risk.model import MAX_UNITS, WAD, Holding, Portfolio, ceil_div
from tests.scenarios.stage import BTC, CASH, ETH, WBTC, WETH, Collateral, Stage, wad
from tests.unit.books import (
    DEPOSITS,
    HOUR,
    RATIONED,
    WSTETH,
    crowd_moved,
    emitted,
    happened,
    paid_in,
    refuses,
    transfer,
)

DECIMALS = [0, 2, 6, 8, 18, 24, 27]
LEVELS = dict(enumerate(DECIMALS, start=1))
"""Asset ids of a house with a token of each."""
CUSTODY_BITS = 112


@pytest.fixture(scope="module")
def tokens() -> Stage:
    return Stage(collateral={c: Collateral(ETH, decimals=d) for c, d in LEVELS.items()})


def deposited(stage: Stage, account: bytes, asset: int, payer: str, amount: int):
    return emitted(
        stage.house,
        "Deposited",
        account=account,
        owner=stage.owner(account),
        asset=asset,
        payer=stage.actor(payer).address,
        amount=amount,
    )


def test_cash_is_credited_in_dollars(stage: Stage) -> None:
    account, owner = stage.account("owner"), stage.actor("owner")
    before = stage.house.call.pool()
    paid_in(stage, "owner", CASH, 1_234_567)
    receipt = stage.house.deposit(account, CASH, 1_234_567, sender=owner)
    assert receipt.value == 1_234_567
    assert happened(receipt) == [
        transfer(stage, CASH, owner, stage.vault, 1_234_567),
        deposited(stage, account, CASH, "owner", 1_234_567),
    ]
    assert stage.portfolio(account) == Portfolio(cash=wad("1.234567"))
    supplied = before.supplied + wad("1.234567")
    assert stage.house.call.pool() == before._replace(supplied=supplied)
    assert tuple(stage.house.call.versions(account)) == (0, 0)
    assert stage.house.call.claims(CASH) == 0
    assert stage.surplus([account]) == 0


def test_collateral_is_held_as_it_came(stage: Stage) -> None:
    account, owner = stage.account("owner"), stage.actor("owner")
    pool = stage.house.call.pool()
    paid_in(stage, "owner", WBTC, 12_345_678)
    crowd = stage.assets[WBTC].crowd
    receipt = stage.house.deposit(account, WBTC, 12_345_678, sender=owner)
    stage.note_total(WBTC, 12_345_678)
    assert receipt.value == 12_345_678
    assert happened(receipt) == [
        transfer(stage, WBTC, owner, stage.vault, 12_345_678),
        *crowd_moved(stage, WBTC, crowd),
        deposited(stage, account, WBTC, "owner", 12_345_678),
    ]
    assert stage.portfolio(account) == Portfolio(collateral=(Holding(WBTC, 12_345_678),))
    assert stage.house.call.claims(WBTC) == 12_345_678
    assert stage.house.call.pool() == pool
    assert stage.margin(account).equity == 12_345_678 * 10**10 * stage.marks[BTC] // WAD


def test_holdings_are_kept_in_order_of_their_ids(stage: Stage) -> None:
    for asset in (WSTETH, WETH, WBTC):
        stage.deposit("owner", asset, 10 + asset)
    account = stage.deposit("owner", WETH, 5)
    held = (Holding(WETH, 16), Holding(WBTC, 12), Holding(WSTETH, 14))
    assert stage.portfolio(account) == Portfolio(collateral=held)


def test_a_stranger_adds_to_what_is_there(stage: Stage) -> None:
    account, stranger = stage.deposit("owner", WETH, WAD), stage.actor("stranger")
    for asset in (CASH, WETH):
        paid_in(stage, "stranger", asset, 7)
        receipt = stage.house.deposit(account, asset, 7, sender=stranger)
        assert happened(receipt) == [
            transfer(stage, asset, stranger, stage.vault, 7),
            deposited(stage, account, asset, "stranger", 7),
        ]
    held = Portfolio(7 * 10**12, (Holding(WETH, WAD + 7),))
    assert stage.portfolio(account) == held


def test_a_debt_is_repaid_first(stage: Stage) -> None:
    account = stage.deposit("owner", WETH, 10 * WAD)
    stage.withdraw_cash(account, 1_000)
    pool = stage.house.call.pool()
    assert pool.borrowed == wad(1_000)
    stage.fund("owner", 1_500)
    assert stage.cash(account) == wad(500)
    supplied = pool.supplied + wad(500)
    assert stage.house.call.pool() == pool._replace(borrowed=0, supplied=supplied)


def test_an_account_below_its_margin_may_be_helped(stage: Stage) -> None:
    """A deposit is never checked: it can only help."""
    stage.fund("owner", 30_000)
    stage.fund("maker", 1_000_000)
    stage.trade("owner", "maker", {ETH: 100})
    stage.report({ETH: wad(1_800)})
    account = stage.account("owner")
    before = stage.margin(account)
    assert not before.is_healthy
    stage.fund("owner", 1)
    assert stage.margin(account).equity == before.equity + WAD


@pytest.mark.parametrize(("asset", "decimals"), LEVELS.items())
def test_one_unit_of_a_token_of_any_decimals(tokens: Stage, asset: int, decimals: int) -> None:
    """Worth what it is, rounded down; below 10^-18 of a token nothing."""
    with tokens.evm.anchored():
        account = tokens.deposit("owner", asset, 1)
        assert tokens.portfolio(account).collateral == (Holding(asset, 1),)
        units = 10**18 // 10**decimals
        assert tokens.margin(account).equity == units * 2_000


@pytest.mark.parametrize(("asset", "decimals"), LEVELS.items())
def test_a_holding_stays_below_its_place(tokens: Stage, asset: int, decimals: int) -> None:
    """In units of the underlying, or in those of the token where these are the finer ones."""
    with tokens.evm.anchored():
        account, owner = tokens.account("owner"), tokens.actor("owner")
        most = ceil_div((MAX_UNITS + 1) * 10**decimals, WAD)
        if most < 2**CUSTODY_BITS:
            units = most * WAD // 10**decimals
            error, args = "HoldingTooLarge", (asset, units)
        else:
            most = 2**CUSTODY_BITS
            error, args = "SafeCastOverflowedUintDowncast", (CUSTODY_BITS, most)
        paid_in(tokens, "owner", asset, most)
        with refuses(tokens, error, *args):
            tokens.house.deposit(account, asset, most, sender=owner)


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_one_unit_of_a_settlement_token_of_any_decimals(decimals: int) -> None:
    stage = Stage(cash_decimals=decimals)
    account = stage.deposit("owner", CASH, 1)
    assert stage.cash(account) == 10 ** (18 - decimals)
    assert stage.surplus([account]) == 0


def test_the_cap_counts_what_all_hold_to_the_last_unit(stage: Stage) -> None:
    """In hours, since an hour brings no more than its growth."""
    for _ in range(2):
        stage.deposit("maker", RATIONED, 2 * WAD)
        stage.pass_time(HOUR)
    account, owner = stage.account("owner"), stage.actor("owner")
    paid_in(stage, "owner", RATIONED, WAD + 1)
    terms = stage.assets[RATIONED].params()
    value = ceil_div((5 * WAD + 1) * stage.marks[ETH], WAD)
    with refuses(stage, "CapExceeded", RATIONED, value, wad(terms.cap)):
        stage.house.deposit(account, RATIONED, WAD + 1, sender=owner)
    stage.house.deposit(account, RATIONED, WAD, sender=owner)
    assert stage.house.call.claims(RATIONED) == 5 * WAD


def test_an_hour_brings_its_growth_to_the_last_unit(stage: Stage) -> None:
    stage.deposit("maker", RATIONED, WAD)
    stage.pass_time(HOUR - 1)
    account, owner = stage.account("owner"), stage.actor("owner")
    paid_in(stage, "owner", RATIONED, 2 * WAD)
    terms = stage.assets[RATIONED].params()
    value = ceil_div((2 * WAD + 1) * stage.marks[ETH], WAD)
    with refuses(stage, "GrowthExceeded", RATIONED, value, wad(terms.growth)):
        stage.house.deposit(account, RATIONED, WAD + 1, sender=owner)
    stage.pass_time(1)
    stage.house.deposit(account, RATIONED, WAD + 1, sender=owner)
    assert stage.house.call.claims(RATIONED) == 2 * WAD + 1


def test_caps_are_weighed_at_the_last_observed_price(stage: Stage) -> None:
    stage.report({ETH: wad(1)})
    owner = stage.actor("owner")
    paid_in(stage, "owner", RATIONED, 3 * WAD)
    value, growth = wad(6_000), wad(stage.assets[RATIONED].params().growth)
    with refuses(stage, "GrowthExceeded", RATIONED, value, growth):
        stage.house.deposit(stage.account("owner"), RATIONED, 3 * WAD, sender=owner)
    stage.observe(ETH)
    stage.house.deposit(stage.account("owner"), RATIONED, 3 * WAD, sender=owner)


def test_the_crowd_rate_follows_what_the_house_holds(stage: Stage) -> None:
    """Beyond the first tier: by the most that an hour allows."""
    for hours in (1, 2):
        before = stage.assets[WETH].crowd
        account, owner = stage.account("owner"), stage.actor("owner")
        paid_in(stage, "owner", WETH, wad(20_000))
        receipt = stage.house.deposit(account, WETH, wad(20_000), sender=owner)
        stage.note_total(WETH, hours * wad(20_000))
        assert stage.assets[WETH].crowd == hours * oracle.CROWD_MOST
        assert happened(receipt)[1:-1] == crowd_moved(stage, WETH, before)
        stage.pass_time(HOUR)
    assert stage.engine.call.collateralTerms(WETH).crowd == 2 * oracle.CROWD_MOST
    assert stage.margin(account).equity == wad(40_000 * 2_000)


class TestRefused:
    @pytest.mark.parametrize("asset", [CASH, WETH])
    def test_while_deposits_are_paused(self, stage: Stage, asset: int) -> None:
        stage.house.setPause(1 << DEPOSITS, 0)
        paid_in(stage, "owner", asset, 1)
        with refuses(stage, "Paused", action=DEPOSITS, asset=asset):
            stage.house.deposit(stage.account("owner"), asset, 1, sender=stage.actor("owner"))

    @pytest.mark.parametrize(("paused", "other"), [(CASH, WETH), (WETH, WBTC)])
    def test_while_the_asset_is_paused(self, stage: Stage, paused: int, other: int) -> None:
        stage.house.setPause(0, 1 << paused)
        paid_in(stage, "owner", paused, 1)
        with refuses(stage, "Paused", action=DEPOSITS, asset=paused):
            stage.house.deposit(stage.account("owner"), paused, 1, sender=stage.actor("owner"))
        stage.deposit("owner", other, 1)

    def test_before_the_engine_is_sealed(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Stage, "seal", lambda self, house: self.engine.wire(house))
            patch.setattr(Stage, "fund", lambda self, who, dollars: self.account(who))
            stage = Stage()
        paid_in(stage, "owner", CASH, 1)
        with refuses(stage, "NotSealed"):
            stage.house.deposit(stage.account("owner"), CASH, 1, sender=stage.actor("owner"))
        stage.engine.seal()
        stage.house.deposit(stage.account("owner"), CASH, 1, sender=stage.actor("owner"))
        assert stage.cash(stage.account("owner")) == 10**12

    def test_a_stranger_opens_nothing(self, stage: Stage) -> None:
        account, stranger = stage.account("owner"), stage.actor("stranger")
        stage.appoint(account, stranger)
        paid_in(stage, "stranger", WETH, 1)
        with refuses(stage, "OnlyOwnerOpens", account=account, asset=WETH):
            stage.house.deposit(account, WETH, 1, sender=stranger)

    @pytest.mark.parametrize("asset", [CASH, WETH])
    def test_nothing(self, stage: Stage, asset: int) -> None:
        with refuses(stage, "NothingReceived", token=stage.tokens[asset].address):
            stage.house.deposit(stage.account("owner"), asset, 0, sender=stage.actor("owner"))

    @pytest.mark.parametrize("asset", [CASH, WETH])
    def test_without_approval_or_tokens(self, stage: Stage, asset: int) -> None:
        owner, token = stage.actor("owner"), stage.tokens[asset]
        token.approve(stage.vault, 4, sender=owner)
        with refuses(stage, "NotAllowed", owner.address, stage.vault.address, 4, 5):
            stage.house.deposit(stage.account("owner"), asset, 5, sender=owner)
        with refuses(stage, "Insufficient", owner.address, 0, 4):
            stage.house.deposit(stage.account("owner"), asset, 4, sender=owner)

    @pytest.mark.parametrize("asset", [6, 95, 96, 255, 2**16 - 1])
    def test_an_asset_that_is_not_listed(self, stage: Stage, asset: int) -> None:
        with refuses(stage, "UnknownAsset", asset=asset):
            stage.house.deposit(stage.account("owner"), asset, 1, sender=stage.actor("owner"))

    def test_ether(self, stage: Stage) -> None:
        paid_in(stage, "owner", CASH, 1)
        owner = stage.actor("owner")
        with refuses(stage, "ValueNotAccepted", value=3):
            stage.house.deposit(stage.account("owner"), CASH, 1, sender=owner, value=3)

    def test_more_cash_than_has_its_place(self, stage: Stage) -> None:
        """A principal has 120 bits."""
        units = 2**119 // 10**12 + 1
        paid_in(stage, "owner", CASH, units)
        with refuses(stage, "PrincipalTooLarge", principal=units * 10**12):
            stage.house.deposit(stage.account("owner"), CASH, units, sender=stage.actor("owner"))
        stage.deposit("owner", CASH, units - 1)
        assert stage.cash(stage.account("owner")) == (units - 1) * 10**12

    def test_while_the_token_is_moving(self, stage: Stage) -> None:
        """A deposit within a deposit: the inner one fails, the outer one goes on."""
        account, owner = stage.account("owner"), stage.actor("owner")
        paid_in(stage, "owner", CASH, 3)
        data = stage.house.encode("deposit", account, CASH, 1)
        stage.dollar.setHook(stage.house, data)
        stage.house.deposit(account, CASH, 3, sender=owner)
        assert not stage.dollar.call.hookPassed()
        raw = bytes(stage.dollar.call.hookAnswer())
        assert stage.evm.registry.errors[raw[:4]].name == "Reentered"
        assert stage.cash(account) == 3 * 10**12
