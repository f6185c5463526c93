"""Every MUST of ERC-4626 and ERC-7540 that holds for a vault with two valuations and redemption by
request, at prices of a share that have left their first ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from plimsoll.risk import backstop as twin
from plimsoll.risk.backstop import Shares
from plimsoll.risk.model import WAD, ceil_div
from tests.evm import Receipt
from tests.scenarios.stage import BTC, CASH, CASH_SCALE, ETH
from tests.unit.backstop_house import Backed, build, with_slice
from tests.unit.books import emitted, happened, transfer
from tests.unit.conftest import kept

MILLION = 10**12
"""A million dollars in units of the settlement token."""
AMOUNTS = [1, 7, 10**3, 10**6, 123_456_789_012, 10**13]
MAX = 2**256 - 1


def untouched(stage: Backed) -> None:
    """Nobody holds a share, nothing is in the reserves."""


def gifted(stage: Backed) -> None:
    """The reserves are older than the first share."""
    stage.add_reserves("54321.098765")


def equal(stage: Backed) -> None:
    stage.invest("first", MILLION)


def earned(stage: Backed) -> None:
    """Shares are worth more than was paid."""
    stage.invest("first", MILLION)
    stage.add_reserves("333333.333333")


def lost(stage: Backed) -> None:
    """A loss took two fifths."""
    stage.invest("first", MILLION)
    stage.invest("second", MILLION // 7)
    stage.lose(457_143)


def ruined(stage: Backed) -> None:
    """Next to nothing is left."""
    stage.invest("first", MILLION)
    stage.lose(999_999)


def invested(stage: Backed) -> None:
    """A sub-account holds a slice at prices that have left their stable ones: two valuations."""
    stage.invest("first", 50 * MILLION)
    with_slice(stage)
    stage.move({ETH: 2_050})
    value = stage.value()
    assert value.upper > value.lower


def under_water(stage: Backed) -> None:
    """A sub-account owes more than it has."""
    stage.invest("first", 50 * MILLION)
    account = with_slice(stage)
    for price in (1_700, 1_500, 1_300):
        stage.move({ETH: price})
    assert stage.margin(account).equity < 0


def waiting(stage: Backed) -> None:
    """A third of the shares waits to be redeemed."""
    earned(stage)
    stage.request("first", stage.shares_of("first") // 3)


SITUATIONS = [
    untouched,
    gifted,
    equal,
    earned,
    lost,
    ruined,
    invested,
    under_water,
    waiting,
]


@pytest.fixture(scope="module")
def backed() -> Backed:
    return build(reserves=0)


@pytest.fixture(params=SITUATIONS, ids=lambda one: one.__name__)
def stage(request: pytest.FixtureRequest, backed: Backed) -> Iterator[Backed]:
    situation: Callable[[Backed], None] = request.param
    for one in kept(backed):
        assert isinstance(one, Backed)
        situation(one)
        yield one


@pytest.fixture
def plain(backed: Backed) -> Iterator[Backed]:
    for one in kept(backed):
        assert isinstance(one, Backed)
        yield one


def mirror(stage: Backed) -> Shares:
    """A twin with the same number of shares: what conversions depend on."""
    supply = stage.backstop.call.totalSupply()
    return Shares(CASH_SCALE, balances={"all": supply} if supply else {})


# What it is


def test_the_asset_is_the_settlement_token(stage: Backed) -> None:
    assert stage.backstop.call.asset() == stage.dollar.address
    assert stage.backstop.call.decimals() == stage.cash_decimals + 3
    assert stage.backstop.call.share() == stage.backstop.address


def test_total_assets_are_the_lower_valuation(stage: Backed) -> None:
    assert stage.backstop.call.totalAssets() == stage.value().lower // CASH_SCALE


@pytest.mark.parametrize("interface", ["01ffc9a7", "1626ba7e", "e3bc4e65", "620ee8e4", "2f0a18c5"])
def test_says_which_standards_it_follows(plain: Backed, interface: str) -> None:
    """ERC-165, ERC-1271, operators and redemption of ERC-7540, ERC-7575."""
    assert plain.backstop.call.supportsInterface(bytes.fromhex(interface))
    assert not plain.backstop.call.supportsInterface(b"\xff" * 4)


# Conversions


@pytest.mark.parametrize("amount", AMOUNTS)
def test_conversions_are_the_twins(stage: Backed, amount: int) -> None:
    call, value, shares = stage.backstop.call, stage.value(), mirror(stage)
    assert call.convertToShares(amount) == shares.to_shares(amount, value)
    assert call.convertToAssets(amount) == shares.to_assets(amount, value)
    assert call.previewDeposit(amount) == shares.preview_deposit(amount, value)
    assert call.previewMint(amount) == shares.preview_mint(amount, value)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_conversions_do_not_depend_on_the_caller(stage: Backed, amount: int) -> None:
    call = stage.backstop.call
    for ask in (
        call.convertToShares,
        call.convertToAssets,
        call.previewDeposit,
        call.previewMint,
    ):
        answers = {ask(amount, sender=stage.actor(who)) for who in ("first", "stranger")}
        assert len(answers) == 1


@pytest.mark.parametrize("amount", AMOUNTS)
def test_conversions_round_against_who_converts(stage: Backed, amount: int) -> None:
    """There and back never gains, in either direction."""
    call = stage.backstop.call
    assert call.convertToAssets(call.convertToShares(amount)) <= amount
    assert call.convertToShares(call.convertToAssets(amount)) <= amount
    assert call.previewDeposit(amount) <= call.convertToShares(amount)
    assert call.previewMint(amount) >= call.convertToAssets(amount)
    assert call.previewMint(call.previewDeposit(amount)) <= amount
    assert call.previewDeposit(call.previewMint(amount)) >= amount


def test_nothing_converts_to_nothing(stage: Backed) -> None:
    call = stage.backstop.call
    assert call.convertToShares(0) == call.convertToAssets(0) == 0
    assert call.previewDeposit(0) == call.previewMint(0) == 0


# Deposit and mint


@pytest.mark.parametrize("amount", AMOUNTS)
def test_a_deposit_mints_what_was_shown(stage: Backed, amount: int) -> None:
    before, shown = stage.value(), stage.backstop.call.previewDeposit(amount)
    had, supply = stage.shares_of("second"), stage.backstop.call.totalSupply()
    reserves, second = stage.reserves, stage.hold("second", amount)
    if shown == 0:
        with stage.evm.reverts("ZeroAmount"):
            stage.backstop.deposit(amount, second, sender=second)
        return
    receipt = stage.backstop.deposit(amount, second, sender=second)
    assert receipt.value == shown == stage.shares_of("second") - had
    assert stage.dollar.call.balanceOf(second) == 0
    assert stage.dollar.call.balanceOf(stage.backstop) == 0
    assert stage.reserves == reserves + amount * CASH_SCALE
    first = not supply and before.upper > 0
    given = ceil_div(before.upper, CASH_SCALE) * twin.VIRTUAL_SHARES if first else 0
    assert stage.backstop.call.totalSupply() == supply + shown + given
    assert deposits(receipt) == [(second.address, second.address, amount, shown)]


@pytest.mark.parametrize("amount", AMOUNTS)
def test_a_mint_costs_what_was_shown(stage: Backed, amount: int) -> None:
    shown = stage.backstop.call.previewMint(amount)
    had, reserves, second = stage.shares_of("second"), stage.reserves, stage.hold("second", shown)
    receipt = stage.backstop.mint(amount, second, sender=second)
    assert receipt.value == shown
    assert stage.shares_of("second") - had == amount
    assert stage.dollar.call.balanceOf(second) == 0
    assert stage.reserves == reserves + shown * CASH_SCALE
    assert deposits(receipt) == [(second.address, second.address, shown, amount)]


def deposits(receipt: Receipt) -> list[tuple[str, str, int, int]]:
    return [(e.sender, e.owner, e.assets, e.shares) for e in receipt.events("Deposit")]


@pytest.mark.parametrize("amount", AMOUNTS)
def test_nobody_is_diluted_by_a_deposit(stage: Backed, amount: int) -> None:
    """What a share fetches does not fall, whoever comes."""
    call = stage.backstop.call
    each = 10**30
    before = call.convertToAssets(each)
    if call.previewDeposit(amount):
        stage.invest("second", amount)
    assert call.convertToAssets(each) >= before


@pytest.mark.parametrize("amount", AMOUNTS)
def test_coming_and_going_never_gains(stage: Backed, amount: int) -> None:
    if not stage.backstop.call.previewDeposit(amount):
        return
    had = stage.shares_of("second")
    got = stage.invest("second", amount).value
    assert stage.backstop.call.convertToAssets(got) <= amount
    assert stage.shares_of("second") == had + got


def test_a_deposit_for_somebody_else(plain: Backed) -> None:
    equal(plain)
    first, second = plain.hold("first", 10), plain.actor("second")
    shares = plain.backstop.call.previewDeposit(10)
    receipt = plain.backstop.deposit(10, second, sender=first)
    assert happened(receipt) == [
        transfer(plain, CASH, first, plain.backstop, 10),
        transfer(plain, CASH, plain.backstop, plain.vault, 10),
        emitted(
            plain.house,
            "ReservesAdded",
            from_=plain.backstop.address,
            amount=10 * CASH_SCALE,
            repaidDeficit=0,
        ),
        emitted(
            plain.backstop,
            "Transfer",
            from_="0x" + "00" * 20,
            to=second.address,
            value=shares,
        ),
        emitted(
            plain.backstop,
            "Deposit",
            sender=first.address,
            owner=second.address,
            assets=10,
            shares=shares,
        ),
    ]


# What the most is


def test_the_most_that_is_deposited_is_taken_and_no_more(stage: Backed) -> None:
    second = stage.actor("second")
    most = stage.backstop.call.maxDeposit(second)
    units, _ = mirror(stage).room(stage.value(), stage.reserves)
    assert most == units > 0
    stage.hold("second", most + 1)
    values = (second.address, most + 1, most)
    with stage.evm.reverts("ERC4626ExceededMaxDeposit", *values):
        stage.backstop.deposit(most + 1, second, sender=second)
    assert stage.backstop.call.deposit(most, second, sender=second) > 0


def test_the_most_that_is_minted_is_given_and_no_more(stage: Backed) -> None:
    second = stage.actor("second")
    most = stage.backstop.call.maxMint(second)
    _, shares = mirror(stage).room(stage.value(), stage.reserves)
    assert most == shares > 0
    stage.hold("second", 2**130)
    with stage.evm.reverts("ERC4626ExceededMaxMint", second.address, most + 1, most):
        stage.backstop.mint(most + 1, second, sender=second)
    assert stage.backstop.call.mint(most, second, sender=second) > 0


def test_the_most_does_not_depend_on_who_asks_nor_on_what_he_has(stage: Backed) -> None:
    call = stage.backstop.call
    rich = stage.hold("second", 10**20)
    for ask in (call.maxDeposit, call.maxMint):
        assert ask(rich) == ask("0x" + "00" * 20) == ask(stage.backstop)


def test_nothing_is_taken_while_a_deficit_would_swallow_it(plain: Backed) -> None:
    equal(plain)
    plain.lose(60_000_000)
    assert plain.house.call.pool().deficit > 0
    second = plain.hold("second", 10)
    assert plain.backstop.call.maxDeposit(second) == plain.backstop.call.maxMint(second) == 0
    with plain.evm.reverts("ERC4626ExceededMaxDeposit", second.address, 10, 0):
        plain.backstop.deposit(10, second, sender=second)


def test_nothing_is_taken_at_a_doubtful_price(plain: Backed) -> None:
    invested(plain)
    plain.underlyings[ETH].feed.break_down()
    assert plain.value().doubtful
    second = plain.hold("second", 10)
    with plain.evm.reverts("ERC4626ExceededMaxMint", second.address, 1, 0):
        plain.backstop.mint(1, second, sender=second)
    plain.underlyings[ETH].feed.mend()
    assert plain.backstop.call.maxMint(second) > 0


def test_a_price_of_nobodys_concern_stops_nothing(plain: Backed) -> None:
    equal(plain)
    for u in (ETH, BTC):
        plain.underlyings[u].feed.break_down()
    assert plain.invest("second", 10).value == 10_000


def test_nothing_deposited_or_minted_is_refused(stage: Backed) -> None:
    first = stage.hold("first", 1)
    with stage.evm.reverts("ZeroAmount"):
        stage.backstop.deposit(0, first, sender=first)
    with stage.evm.reverts("ZeroAmount"):
        stage.backstop.mint(0, first, sender=first)


def test_a_token_that_keeps_a_part_is_refused(plain: Backed) -> None:
    plain.dollar.setFee(1_000)
    first = plain.hold("first", 10**6)
    with plain.evm.reverts("TransferIncomplete", 10**6, 900_000):
        plain.backstop.deposit(10**6, first, sender=first)


def test_without_tokens_or_approval(plain: Backed) -> None:
    first = plain.actor("first")
    plain.dollar.mint(first, 5)
    plain.dollar.approve(plain.backstop, 4, sender=first)
    with plain.evm.reverts("NotAllowed", first.address, plain.backstop.address, 4, 5):
        plain.backstop.deposit(5, first, sender=first)
    plain.dollar.approve(plain.backstop, 6, sender=first)
    with plain.evm.reverts("Insufficient", first.address, 5, 6):
        plain.backstop.deposit(6, first, sender=first)


# Redemption


def test_previews_of_redemption_revert(stage: Backed) -> None:
    """ERC-7540: MUST revert for all callers and inputs."""
    for ask in (stage.backstop.call.previewRedeem, stage.backstop.call.previewWithdraw):
        for amount in (0, 1, MAX):
            with stage.evm.reverts("AsynchronousRedemption"):
                ask(amount)


def test_nothing_can_be_claimed_before_it_settles(stage: Backed) -> None:
    first, call = stage.actor("first"), stage.backstop.call
    assert call.maxRedeem(first) == call.maxWithdraw(first) == 0
    with stage.evm.reverts("ERC4626ExceededMaxRedeem", first.address, 1, 0):
        stage.backstop.redeem(1, first, first, sender=first)
    with stage.evm.reverts("ERC4626ExceededMaxWithdraw", first.address, 1, 0):
        stage.backstop.withdraw(1, first, first, sender=first)


@pytest.mark.parametrize("situation", [equal, earned, lost, ruined], ids=lambda one: one.__name__)
def test_a_redemption_pays_the_lower_valuation(
    plain: Backed, situation: Callable[[Backed], None]
) -> None:
    situation(plain)
    shares = plain.shares_of("first")
    supply = plain.backstop.call.totalSupply()
    lower = plain.value().lower // CASH_SCALE
    expected = shares * (lower + 1) // (supply + 1_000)
    assert plain.backstop.call.convertToAssets(shares) == expected
    had = plain.dollar.call.balanceOf(plain.actor("first"))
    assert plain.redeemed("first") == expected
    assert plain.dollar.call.balanceOf(plain.actor("first")) == had + expected
    assert plain.shares_of("first") == 0
    assert plain.backstop.call.totalSupply() == supply - shares


@pytest.mark.parametrize("units", [1, 999, 10**6, 3 * MILLION])
def test_a_holder_who_comes_and_goes_gains_nothing(stage: Backed, units: int) -> None:
    """Whatever the price of a share, and whoever else is in."""
    if not stage.backstop.call.previewDeposit(units):
        return
    had = stage.shares_of("second")
    shares = stage.invest("second", units).value
    assert stage.backstop.call.convertToAssets(shares) <= units
    if stage.used():
        return
    assert stage.redeemed("second", shares) <= units
    assert stage.shares_of("second") == had


# The tokens


def test_shares_move_by_allowance(plain: Backed) -> None:
    equal(plain)
    first, second, third = (plain.actor(who) for who in ("first", "second", "third"))
    plain.backstop.approve(second, 5, sender=first)
    plain.backstop.transferFrom(first, third, 4, sender=second)
    assert plain.shares_of("third") == 4
    assert plain.backstop.call.allowance(first, second) == 1
    with plain.evm.reverts("ERC20InsufficientAllowance", second.address, 1, 2):
        plain.backstop.transferFrom(first, third, 2, sender=second)


def test_shares_are_permitted_by_signature(plain: Backed) -> None:
    from eth_account.messages import encode_typed_data

    equal(plain)
    first, second = plain.actor("first"), plain.actor("second")
    _, *values, _, _ = plain.backstop.call.eip712Domain()
    domain = dict(zip(("name", "version", "chainId", "verifyingContract"), values, strict=True))
    names = ("owner", "spender", "value", "nonce", "deadline")
    kinds = ("address", "address", "uint256", "uint256", "uint256")
    types = {"Permit": [{"name": n, "type": k} for n, k in zip(names, kinds, strict=True)]}
    terms = dict(zip(names, (first.address, second.address, 9, 0, plain.now), strict=True))
    signed = first.sign_message(encode_typed_data(domain, types, terms))
    parts = signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")
    plain.backstop.permit(first, second, 9, plain.now, *parts, sender=plain.actor("stranger"))
    assert plain.backstop.call.allowance(first, second) == 9


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_any_settlement_token(decimals: int) -> None:
    stage = build(reserves=0, cash_decimals=decimals, lent=1_000)
    unit = 10**decimals
    assert stage.backstop.call.decimals() == decimals + 3
    assert stage.invest("first", 100 * unit).value == 100_000 * unit
    stage.add_reserves(50)
    scale = 10 ** (18 - decimals)
    assert stage.value() == twin.Valuation(150 * WAD, 150 * WAD)
    shares = Shares(scale, balances={"first": 100_000 * unit})
    expected = shares.to_assets(40_000 * unit, stage.value())
    assert stage.redeemed("first", 40_000 * unit) == expected
