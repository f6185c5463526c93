"""The backstop through the SDK and by a keeper, over a provider: deposit, bid, unwind, leave."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from plimsoll.backstop import Backstop
from plimsoll.chain import Chain
from plimsoll.errors import ContractError, InvalidConnectionError
from plimsoll.instruments import AccountId, Instrument
from plimsoll.keeper.act import Keeper
from plimsoll.keeper.backstop import BackstopBid, SettleEpoch, Sweep
from plimsoll.keeper.decide import Limits
from plimsoll.keeper.discover import Directory
from plimsoll.protocol import Account, Leg, Order, SignedOrder
from plimsoll.risk.backstop import EPOCH_LENGTH
from tests.evm import Contract, actor
from tests.unit.lens_house import ETH, USD, House

DEEP = 300
CENT = Decimal("0.01")


class Backed(House):
    """A house whose reserves belong to a backstop."""

    def _deploy(self) -> Contract:
        house = super()._deploy()
        self.vault = self.evm.deploy("BackstopVault", house.address)
        house.bindBackstop(self.vault)
        return house

    def backstop(self, who: str) -> Backstop:
        return self.seen_by(actor(who)).backstop()

    def invest(self, who: str, dollars: int) -> Backstop:
        backstop = self.backstop(who)
        self._pay(actor(who).address, USD, dollars)
        backstop.deposit(dollars)
        return backstop


class Listed(Directory):
    """A directory that was told its accounts: the test chain keeps no logs."""

    def catch_up(self, head: int) -> None:
        self.read_to = head


@pytest.fixture(scope="module")
def built() -> Backed:
    house = Backed(reserves=0)
    house.wait(1_800)
    return house


@pytest.fixture
def house(built: Backed) -> Iterator[Backed]:
    with built.terms.anchored():
        yield built


@pytest.fixture
def first(house: Backed) -> Backstop:
    return house.invest("first", 100_000)


def fallen(house: Backed) -> Account:
    """Long five ether on a thousand dollars, two looks and some minutes after the fall."""
    maker = house.person("maker", USD=1_000_000)
    bull = house.person("bull", USD=1_000)
    house.trade(bull, maker, "ETH", 5)
    house.set_price("ETH", 1_880)
    stranger = house.seen_by(actor("stranger"))
    for wait in (12, DEEP):
        stranger.account(bull.id).auction.flag()
        house.wait(wait)
    return bull


def test_deposit_and_worth(house: Backed, first: Backstop) -> None:
    assert first.shares() == 100_000
    assert first.worth(first.shares()) == 100_000
    value = first.valuation()
    assert (value.upper, value.lower, value.doubtful) == (100_000, 100_000, False)
    house.reserve(50_000)
    assert 149_999 < first.worth(100_000) <= 150_000


def test_request_settle_and_claim(house: Backed, first: Backstop) -> None:
    assert first.next_epoch() is None
    first.request("40_000")
    found = first.next_epoch()
    assert found is not None
    epoch, ends_at = found
    assert EPOCH_LENGTH <= ends_at - first.chain.now() <= 2 * EPOCH_LENGTH
    assert first.shares() == 60_000
    with pytest.raises(ContractError, match="EpochRunning"):
        first.settle_epoch()
    house.wait(ends_at - first.chain.now())
    first.settle_epoch()
    assert first.redemptions(epoch).settled
    assert first.redemptions(epoch).assets == first.claimable() == 40_000
    first.claim()
    assert first.cash.balance() == 40_000
    assert first.claimable() == 0
    first.request()
    assert first.shares() == 0


def test_bid_unwind_and_sweep(house: Backed, first: Backstop) -> None:
    bull = fallen(house)
    before, quote = first.valuation(), first.quote(bull.id)
    first.bid(bull.id)
    (sub,) = first.sub_accounts()
    assert sub.owner == first.contract.address
    assert first.valuation().upper > before.upper
    held = house.deployer.account(sub).portfolio()
    eth = house.market("ETH").instrument
    assert abs(held.size(eth) - 5 * quote.fraction) < CENT

    desk = house.person("desk", USD=100_000)
    mark = house.price_of("ETH")
    price = mark * (1 - first.slack(sub))
    order = closing(first, sub, held.size(eth), price)
    desk.take(SignedOrder(order, first.signature(order)), held.size(eth))
    first.sweep(sub)
    assert first.sub_accounts() == []
    assert first.valuation().lower > before.lower
    worse = closing(first, sub, held.size(eth), price - CENT)
    with pytest.raises(ContractError, match="NotInUse"):
        first.signature(worse)


def closing(backstop: Backstop, sub: AccountId, size: Decimal, price: Decimal) -> Order:
    """An order that sells what a sub-account holds of ether."""
    return Order(
        account=sub,
        signer=backstop.contract.address,
        legs=(Leg(Instrument.perpetual(ETH)),),
        quantity=-size,
        price=price,
        reduce_only=True,
        expiry=backstop.chain.now() + 600,
        epoch=0,
    )


def test_buys_collateral(house: Backed, first: Backstop) -> None:
    maker, owner = house.person("maker", USD=1_000_000), house.person("bull", USD=600)
    house.give(owner, "WETH", "0.5")
    house.trade(owner, maker, "ETH", 5)
    house.set_price("ETH", 1_810)
    stranger = house.seen_by(actor("stranger"))
    for wait in (12, DEEP):
        stranger.account(owner.id).auction.flag()
        house.wait(wait)
    first.bid(owner.id)
    (sub,) = first.sub_accounts()
    weth = house.seen_by(actor("first")).asset("WETH")
    held = house.deployer.account(sub).portfolio().units(weth.id)
    amount = Decimal(held) / 10**18
    house._pay(actor("first").address, USD, 2_000)
    first.buy_collateral(sub, weth, amount, max_cost=2_000)
    assert weth.balance() == amount


def test_a_house_without_one(house: Backed) -> None:
    bare = House(reserves=0)
    with pytest.raises(InvalidConnectionError, match="no backstop"):
        bare.seen_by(actor("first")).backstop()


def test_a_keeper_tends_it(house: Backed, first: Backstop) -> None:
    """Without an account of its own it has the backstop bid, and settles the epoch of who left."""
    first.request("1_000")
    bull = fallen(house)
    chain = Chain(house.w3, house.addresses, actor("liquidator"))
    directory = Listed(chain, 0, known={bull.id.encode()})
    limits = Limits(gas_price_ceiling=10**12)
    keeper = Keeper(chain, directory, None, limits, tends_backstop=True, native_price=10**15)
    done = [each.action for each in keeper.step().outcomes if each.receipt is not None]
    assert done == [BackstopBid(bull.id.encode())]
    (sub,) = first.sub_accounts()
    swept = [each.action for each in keeper.step().outcomes if each.receipt is not None]
    assert swept == [Sweep(sub.encode())]
    found = first.next_epoch()
    assert found is not None
    house.wait(found[1] - chain.now())
    settled = [each.action for each in keeper.step().outcomes if each.receipt is not None]
    assert SettleEpoch() in settled
    assert first.claimable() > 999


def test_a_keeper_leaves_it_alone_unless_told(house: Backed, first: Backstop) -> None:
    bull = fallen(house)
    chain = Chain(house.w3, house.addresses, actor("liquidator"))
    keeper = Keeper(chain, Listed(chain, 0, known={bull.id.encode()}), None)
    assert keeper.look().backstop is None
    assert keeper.step().outcomes == ()
