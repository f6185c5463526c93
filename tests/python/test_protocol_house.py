"""The SDK against the contracts: every class, every verb, every way to be refused."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from plimsoll import cli
from plimsoll.chain import Addresses
from plimsoll.errors import (
    ContractError,
    InexactAmountError,
    InvalidConnectionError,
    InvalidDelegationError,
    InvalidOrderError,
    MalformedIdError,
    TransactionFailedError,
)
from plimsoll.instruments import AccountId
from plimsoll.orders import Leg, Order
from plimsoll.protocol import REVOKED, Account, Auction, Delegation, Plimsoll
from plimsoll.records import AuctionState, PriceStatus
from plimsoll.units import from_wad
from tests.evm import actor
from tests.unit.lens_house import FEES, House

DAY = 24 * 3_600


@pytest.fixture(scope="module")
def built() -> House:
    house = House()
    house.wait(1_800)
    return house


@pytest.fixture
def house(built: House):
    with built.evm.anchored():
        yield built


@pytest.fixture
def trader(house: House) -> Account:
    return house.person("trader", USD=20_000, WETH=5)


@pytest.fixture
def maker(house: House) -> Account:
    return house.person("maker", USD=200_000)


class TestConnection:
    def test_the_wrong_chain_is_refused(self, house: House):
        elsewhere = house.addresses.model_copy(update={"chain_id": 1})
        with pytest.raises(InvalidConnectionError, match="for chain 1, the node is on 31337"):
            Plimsoll.connect(house.w3, elsewhere)

    def test_an_empty_address_is_refused(self, house: House):
        nowhere = house.addresses.model_copy(update={"clearing_house": "0x" + "12" * 20})
        with pytest.raises(InvalidConnectionError, match="no ClearingHouse at"):
            Plimsoll.connect(house.w3, nowhere)

    def test_without_a_signer_one_reads_and_does_not_write(self, house: House, trader: Account):
        visitor = Plimsoll.connect(house.w3, house.addresses)
        account = visitor.account(trader.id)
        assert account.margin() == trader.margin()
        with pytest.raises(InvalidConnectionError, match="without a signer"):
            account.cancel_all()

    def test_a_node_may_hold_the_key(self, house: House, trader: Account):
        """An address for a signer: the node signs transactions, orders need a key."""
        unlocked = house.seen_by(trader.id.owner).account()
        unlocked.cancel_all()
        assert unlocked.epoch() == 1
        order = unlocked.order(house.market("ETH"), 1, 2_000)
        with pytest.raises(InvalidConnectionError, match="needs a key"):
            unlocked.sign(order)

    def test_names_are_those_of_the_deployment(self, house: House):
        assert house.deployer.asset("WBTC").id == 2
        assert house.deployer.market("BTC").instrument.underlying == 2
        with pytest.raises(MalformedIdError, match="names BTC, ETH"):
            house.deployer.market("DOGE")

    def test_addresses_come_from_a_manifest(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no deployment"):
            Addresses.from_manifest(str(tmp_path / "missing"))


class TestMoney:
    def test_a_deposit_approves_what_it_needs(self, house: House):
        saver = house.person("saver")
        usd = saver_asset(house, saver, "USD")
        house._pay(saver.id.owner, 0, 100)
        receipt = saver.deposit(usd, "60.5")
        told = receipt.one("Deposited")
        assert told.args["amount"] == 60_500_000
        assert AccountId.decode(told.args["account"]) == saver.id
        assert saver.portfolio().cash == Decimal("60.5")
        assert usd.balance() == Decimal("39.5")
        assert (
            usd.contract.functions.allowance(saver.id.owner, saver.chain.vault.address).call() == 0
        )

    def test_an_amount_finer_than_the_token_is_refused(self, house: House, trader: Account):
        with pytest.raises(InexactAmountError, match="more than 6 decimals"):
            trader.withdraw(house.deployer.asset("USD"), "0.0000001")

    def test_a_withdrawal_goes_where_it_is_told(self, house: House, trader: Account):
        friend = actor("friend").address
        trader.withdraw(house.deployer.asset("WETH"), "1.5", friend)
        assert house.deployer.asset("WETH").balance(friend) == Decimal("1.5")

    def test_sub_accounts_share_an_owner_only(self, house: House, trader: Account, maker: Account):
        savings = house.seen_by(actor("trader")).account(sub_account=7)
        trader.transfer(savings, house.deployer.asset("WETH"), 2)
        trader.transfer(savings, house.deployer.asset("USD"), "0.000000000000000001")
        held = savings.portfolio()
        assert held.units(1) == 2 * 10**18
        assert held.cash == Decimal("0.000000000000000001")
        with pytest.raises(ContractError) as refused:
            trader.transfer(maker, house.deployer.asset("USD"), 1)
        assert refused.value.name == "NotYourSubAccount"
        assert "withdraw and deposit instead" in str(refused.value)

    def test_a_refusal_tells_its_values(self, house: House, trader: Account):
        with pytest.raises(ContractError) as refused:
            trader.withdraw(house.deployer.asset("WETH"), 6)
        assert refused.value.name == "InsufficientCollateral"
        assert refused.value.values["balance"] == 5 * 10**18
        assert refused.value.values["amount"] == 6 * 10**18

    def test_a_listing_can_be_explained(self, house: House):
        value = house.deployer.asset("WETH").explain(10)
        assert value.units == 10
        assert value.value == 20_000
        lost = value.scan_loss + value.haircut + value.basis_charge + value.price_reserve
        assert value.counted == value.value - lost

    def test_an_unlisted_asset_has_no_terms(self, house: House):
        with pytest.raises(InvalidConnectionError, match="asset 50 is not listed"):
            house.deployer.asset(50)


class TestOrders:
    def test_the_digest_is_the_chain_s(self, house: House, maker: Account):
        order = maker.order(
            [
                Leg(house.market("BTC").instrument, Decimal("-0.05")),
                Leg(house.market("ETH").instrument),
            ],
            "-2.5",
            "-17.25",
            taker=actor("trader").address,
            minimum_fill="0.5",
            reduce_only=True,
        )
        on_chain = house.contract.call.hashOrder(order.message())
        assert order.digest(maker.chain.domain) == on_chain

    def test_two_signed_orders_are_matched_by_anyone(self, house, trader, maker):
        eth = house.market("ETH")
        ask = maker.sign(maker.order(eth, -3, "2_001"))
        bid = trader.sign(trader.order(eth, 2, "2_005"))
        receipt = house.deployer.trade(ask, bid, 2)
        sides = receipt.all("OrderFilled")
        assert [from_wad(side.args["price"]) for side in sides] == [2_001, 2_001]
        assert trader.portfolio().size(eth.instrument) == 2
        assert maker.portfolio().size(eth.instrument) == -2
        assert maker.filled(ask.order) == 2
        assert eth.open_interest() == 2

    def test_a_package_trades_at_one_net_price(self, house, trader, maker):
        legs = [
            Leg(house.market("BTC").instrument, Decimal("0.04")),
            Leg(house.market("ETH").instrument, Decimal(-1)),
        ]
        ask = maker.sign(maker.order(legs, -5, "1.5"))
        trader.take(ask, 5)
        held = trader.portfolio()
        assert held.size(house.market("BTC").instrument) == Decimal("0.2")
        assert held.size(house.market("ETH").instrument) == -5

    def test_a_cancelled_order_is_spent(self, house, trader, maker):
        ask = maker.sign(maker.order(house.market("ETH"), -3, 2_001))
        maker.cancel(ask.order)
        assert maker.filled(ask.order) is None
        with pytest.raises(ContractError, match="OrderSpent"):
            trader.take(ask, 1)

    def test_one_cancels_one_s_own(self, house, trader, maker):
        with pytest.raises(InvalidOrderError, match="the order is of"):
            trader.cancel(maker.order(house.market("ETH"), -3, 2_001))

    def test_all_orders_of_an_epoch_go_at_once(self, house, trader, maker):
        ask = maker.sign(maker.order(house.market("ETH"), -3, 2_001))
        maker.cancel_all()
        with pytest.raises(ContractError) as refused:
            trader.take(ask, 1)
        assert refused.value.name == "OrderEpochPassed"
        assert (refused.value.values["orderEpoch"], refused.value.values["accountEpoch"]) == (0, 1)

    def test_a_delegate_signs_until_he_is_revoked(self, house, trader, maker):
        delegate = actor("delegate")
        maker.set_delegate(delegate.address, Delegation.build(maker.chain.now() + DAY))
        order = maker.order(house.market("ETH"), -3, 2_001, signer=delegate.address)
        signed = maker.sign(order, delegate)
        trader.take(signed, 1)
        maker.set_delegate(delegate.address, REVOKED)
        with pytest.raises(ContractError, match="NotAuthorised"):
            trader.take(signed, 1)

    def test_a_delegate_is_kept_to_his_grant(self, house, trader, maker):
        delegate, eth = actor("delegate"), house.market("ETH")
        scope = Delegation.build(max_leverage="0.05", markets=[eth.instrument], reduce_only=False)
        assert maker.delegation(delegate.address) is None
        maker.set_delegate(delegate.address, scope)
        assert maker.delegation(delegate.address) == scope
        ask = maker.sign(maker.order(eth, -20, 2_001, signer=delegate.address), delegate)
        trader.take(ask, 3)
        with pytest.raises(ContractError) as refused:
            trader.take(ask, 3)
        assert refused.value.name == "LeverageExceeded"
        assert refused.value.values["maxLeverage"] == 5
        bitcoin = maker.order(house.market("BTC"), -1, 50_000, signer=delegate.address)
        with pytest.raises(ContractError, match="DelegateMarket"):
            trader.take(maker.sign(bitcoin, delegate), 1)

    def test_a_signed_grant_is_brought_by_anybody_once(self, house, trader, maker):
        delegate, scope = actor("delegate").address, Delegation.build(reduce_only=True)
        signed = maker.sign_delegate(delegate, scope)
        told = signed.grant.message()
        args = (told["account"], delegate, scope.message(), told["nonce"], told["deadline"])
        on_chain = maker.chain.call(maker.contract.functions.hashDelegate(*args))
        assert signed.grant.digest(maker.chain.domain) == bytes(on_chain)
        stranger = house.seen_by(actor("stranger")).account(maker.id)
        stranger.bring_delegate(signed)
        assert maker.delegation(delegate) == scope
        with pytest.raises(ContractError, match="InvalidSignature"):
            stranger.bring_delegate(signed)

    def test_a_signed_grant_is_for_its_account_and_its_time(self, house, trader, maker):
        delegate = actor("delegate").address
        signed = maker.sign_delegate(delegate, Delegation.build(), expires_in=60)
        with pytest.raises(InvalidDelegationError, match="the grant is of"):
            trader.bring_delegate(signed)
        with pytest.raises(InvalidDelegationError, match="has to sign"):
            maker.sign_delegate(delegate, Delegation.build(), key=actor("stranger"))
        house.wait(61)
        with pytest.raises(ContractError, match="GrantExpired"):
            maker.bring_delegate(signed)

    def test_an_order_expires_by_the_chain_s_clock(self, house, trader, maker):
        ask = maker.sign(maker.order(house.market("ETH"), -3, 2_001, expires_in=60))
        house.wait(61)
        with pytest.raises(ContractError, match="OrderExpired"):
            trader.take(ask, 1)

    def test_what_travels_is_what_was_signed(self, house, trader, maker):
        ask = maker.sign(maker.order(house.market("ETH"), -3, 2_001))
        again = Order.from_message(ask.order.message())
        assert again == ask.order
        assert again.with_price(2_002).salt != ask.order.salt

    def test_settling_moves_the_variation_into_cash(self, house, trader, maker):
        eth = house.market("ETH")
        house.trade(trader, maker, "ETH", 2)
        house.set_price("ETH", 2_050)
        before = trader.margin().equity
        receipt = trader.settle(eth)
        moved = from_wad(receipt.one("VariationSettled").args["amount"])
        assert 99 < moved <= 100
        assert trader.margin().equity <= before
        assert before - trader.margin().equity <= Decimal("1e-18")

    def test_a_batch_is_checked_once_at_its_end(self, house, maker):
        """Neither leg alone passes, the pair does: long ether, short bitcoin."""
        hedger = house.person("hedger", USD="700")
        eth, btc = house.market("ETH"), house.market("BTC")
        legs = maker.sign(maker.order(eth, -5, 2_000)), maker.sign(maker.order(btc, "0.2", 50_000))
        take = hedger.contract.functions.take
        calls = [
            take(signed.order.message(), signed.signature, hedger.id.encode(), quantity)
            for signed, quantity in zip(legs, (5 * 10**18, 2 * 10**17), strict=True)
        ]
        with pytest.raises(ContractError, match="RatioWorsened"):
            hedger.take(legs[0], 5)
        receipt = house.seen_by(actor("hedger")).multicall(*calls)
        assert len(receipt.all("OrderFilled")) == 4
        assert hedger.margin().free


class TestWhatIf:
    @settings(max_examples=15)
    @given(
        size=st.integers(-(10**19), 10**19).filter(bool),
        price=st.integers(1_950 * 10**18, 2_050 * 10**18),
        is_taker=st.booleans(),
    )
    def test_the_twin_says_what_the_chain_says(self, built, size, price, is_taker):
        with built.evm.anchored():
            trader = built.person("trader", USD=20_000, WETH=5, STETH=2)
            maker = built.person("maker", USD=200_000)
            built.trade(trader, maker, "BTC", "0.1")
            fill = built.market("ETH").fill(from_wad(size), from_wad(price), is_taker=is_taker)
            assert trader.what_if(fill) == trader.preview(fill)

    def test_a_snapshot_prices_any_account_of_its_assets(self, house, trader, maker):
        house.trade(trader, maker, "ETH", 3)
        state = house.deployer.snapshot([1, 2], [1, 2, 3])
        for account in (trader, maker):
            assert state.margin(account.portfolio()) == account.margin()
        assert state.fees[1] == (FEES.taker_fee, FEES.maker_fee)
        assert state.timestamp == house.evm.time

    def test_a_move_of_prices_is_what_then_happens(self, house, trader, maker):
        house.trade(trader, maker, "ETH", 3)
        _, expected = trader.what_if(prices={1: 1_800})
        house.set_price("ETH", 1_800, observe=False)
        assert trader.margin() == expected

    def test_a_liquidation_price_is_exact_on_both_sides(self, house, trader, maker):
        """Long bitcoin against short ether: each can go too far one way."""
        house.trade(trader, maker, "BTC", 1)
        house.trade(maker, trader, "ETH", 30)
        wei = Decimal("1e-18")
        for symbol in ("ETH", "BTC"):
            prices = trader.liquidation_prices(house.market(symbol))
            edges = [
                (price, inside)
                for price, inside in ((prices.at_or_below, wei), (prices.at_or_above, -wei))
                if price is not None
            ]
            assert edges
            for price, inside in edges:
                with house.evm.anchored():
                    house.set_price(symbol, price, observe=False)
                    assert not trader.margin().healthy
                    house.set_price(symbol, price + inside, observe=False)
                    assert trader.margin().healthy

    def test_savings_are_never_liquidated(self, house):
        prices = house.person("saver", USD=5, WETH=1).liquidation_prices(house.market("ETH"))
        assert (prices.at_or_below, prices.at_or_above) == (None, None)

    def test_who_is_below_maintenance_is_liquidated_at_the_present_price(
        self, house, trader, maker
    ):
        house.trade(trader, maker, "ETH", 20)
        house.set_price("ETH", 850)
        prices = trader.liquidation_prices(house.market("ETH"))
        assert (prices.at_or_below, prices.at_or_above) == (850, 850)

    def test_a_ramp_a_doubt_and_a_discount_reach_the_snapshot(self, house, trader, maker):
        house.give(trader, "STETH", 3)
        house.trade(trader, maker, "ETH", 3)
        house.staked.setRate(12 * 10**17)
        house.break_feed("BTC")
        house.evm.warp(DAY // 100)
        state = house.deployer.snapshot([1, 2], [1, 3])
        assert state.margin(trader.portfolio()) == trader.margin()
        assert state.inputs.underlyings[2].price.status != PriceStatus.OK


class TestAuction:
    def flagged(self, house: House, trader: Account, maker: Account) -> Auction:
        house.trade(trader, maker, "ETH", 20)
        house.set_price("ETH", 850)
        auction = Auction(maker.chain, trader.id)
        assert auction.flag().one("AuctionObserved")
        with pytest.raises(ContractError, match="ObservedTooRecently"):
            auction.flag()
        house.wait(12)
        assert auction.flag().one("AuctionFlagged")
        return auction

    def test_a_slice_is_quoted_and_taken(self, house, trader, maker):
        auction = self.flagged(house, trader, maker)
        clock, depth = auction.clock()
        assert (clock.state, depth) == (AuctionState.RUNNING, Decimal("0.02"))
        with pytest.raises(ContractError, match="SameBlock"):
            auction.quote()
        house.wait(60)
        quote = auction.quote()
        with pytest.raises(ContractError) as refused:
            auction.bid(maker, quote.price - 1)
        assert refused.value.name == "PriceAboveLimit"
        told = auction.bid(maker, quote.price).one("SliceTaken").args
        assert from_wad(told["fraction"]) == quote.fraction
        assert from_wad(told["price"]) == quote.price

    def test_a_bid_is_for_the_contents_that_were_seen(self, house, trader, maker):
        auction = self.flagged(house, trader, maker)
        house.wait(60)
        with pytest.raises(ContractError) as refused:
            auction.bid(maker, 10**6, version=trader.version() + 1)
        assert refused.value.name == "VersionChanged"

    def test_a_cured_account_stands_and_then_resets(self, house, trader, maker):
        auction = self.flagged(house, trader, maker)
        house.set_price("ETH", 2_000)
        auction.stand_still()
        assert auction.clock()[0].state is AuctionState.STANDING
        auction.reset()
        assert trader.auction.clock()[0].state is AuctionState.NONE

    def test_only_debt_is_written_off(self, house, trader, maker):
        with pytest.raises(ContractError, match="NothingToWriteOff"):
            trader.auction.write_off()


class TestFailures:
    def test_a_transaction_that_reverts_when_mined_is_explained(self, house, trader):
        """With gas named there is no estimate, so the refusal is only known once mined."""
        functions = trader.contract.functions
        call = functions.withdraw(trader.id.encode(), 1, 6 * 10**18, trader.id.owner)
        with pytest.raises(ContractError, match="InsufficientCollateral"):
            trader.chain.send(call, gas=10**6)

    def test_an_event_that_is_not_there_is_said_to_be_missing(self, house, trader):
        receipt = trader.cancel_all()
        with pytest.raises(TransactionFailedError, match="told 0 Deposited, not one"):
            receipt.one("Deposited")


class TestCommand:
    def run(self, house: House, monkeypatch, *arguments: str) -> list[list[str]]:
        monkeypatch.setattr(
            Plimsoll, "connect", lambda rpc, manifest: Plimsoll(house.deployer.chain)
        )
        result = CliRunner().invoke(cli.main, ["--manifest", "here", *arguments])
        assert result.exit_code == 0, result.output
        return [line.split("\t") for line in result.output.splitlines()]

    def test_risk_rounds_assets_down_and_requirements_up(self, house, monkeypatch, trader, maker):
        house.trade(trader, maker, "ETH", "13.3333333")
        rows = {row[0]: row[1:] for row in self.run(house, monkeypatch, "risk", str(trader.id))}
        margin = trader.margin()
        assert rows["equity"] == [f"{floor_cents(margin.equity):,}"]
        shown = rows["maintenance equity / margin"][0].split(" / ")
        assert shown[1] == f"{-floor_cents(-margin.maintenance_margin):,}"
        assert rows["health"][0].endswith("(healthy)")
        assert rows["ETH perpetual"][0] == "13.333333"
        assert rows["ETH"][1] == "OK"
        assert rows["WETH"] == ["5.000000"]
        prices = trader.liquidation_prices(house.market("ETH"))
        below, above = -floor_cents(-prices.at_or_below), floor_cents(prices.at_or_above)
        assert rows["ETH"][5:] == [f"{below:,}", f"{above:,}"]

    def test_on_a_terminal_there_are_tables(self, house, monkeypatch, trader):
        console = Console(force_terminal=True, width=140, no_color=True)
        monkeypatch.setattr("plimsoll.cli.Console", lambda: console)
        with console.capture() as shown:
            self.run(house, monkeypatch, "risk", str(trader.id))
        assert "underlying" in shown.get()
        assert "│ equity" in shown.get()

    def test_a_delegate_is_shown_with_what_he_may(self, house, monkeypatch, maker):
        delegate = actor("delegate").address
        rows = ("delegate", str(maker.id), delegate.lower())
        scope = Delegation.build(maker.chain.now(), max_leverage="2.5", markets=[1])
        maker.set_delegate(delegate, scope)
        shown = {row[0]: row[1] for row in self.run(house, monkeypatch, *rows)}
        assert shown["holds"] == "yes"
        assert shown["leverage"] == "at most 2.50"
        assert shown["markets"] == "ETH"
        house.wait(1)
        shown = {row[0]: row[1] for row in self.run(house, monkeypatch, *rows)}
        assert shown["holds"] == "no longer"

    def test_preview_shows_now_and_then(self, house, monkeypatch, trader):
        rows = self.run(house, monkeypatch, "preview", str(trader.id), "--trade", "ETH:-2@1999")
        before, after = trader.preview(house.market("ETH").fill(-2, 1_999))
        assert rows[1] == ["equity", *(f"{floor_cents(m.equity):,}" for m in (before, after))]
        assert rows[-1] == ["verdict", "healthy", "healthy"]

    def test_preview_at_other_prices_asks_the_twin(self, house, monkeypatch, trader, maker):
        house.trade(trader, maker, "ETH", 20)
        rows = self.run(house, monkeypatch, "preview", str(trader.id), "--at", "ETH=850")
        assert rows[-1] == ["verdict", "healthy", "below maintenance"]

    def test_markets_lists_what_the_deployment_names(self, house, monkeypatch):
        header, *rows = self.run(house, monkeypatch, "markets")
        assert header[0] == "market"
        assert [row[:2] for row in rows] == [["ETH", "2,000.00"], ["BTC", "50,000.00"]]
        assert self.run(house, monkeypatch, "markets", "2")[1:] == rows[1:]

    def test_explain_tells_why(self, house, monkeypatch):
        rows = {row[0]: row[1:] for row in self.run(house, monkeypatch, "explain", "WETH", "10")}
        value = house.deployer.asset("WETH").explain(10)
        assert rows["counts for"] == [f"{floor_cents(value.counted):,}"]
        assert rows["less haircut"] == [f"{-floor_cents(-value.haircut):,}"]

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("risk", "0x12"), "is not an address"),
            (("preview", "0x" + "11" * 20, "--trade", "ETH:2"), "such as ETH:-2.5@2010"),
            (("preview", "0x" + "11" * 20, "--at", "ETH"), "such as ETH=1800"),
            (("markets", "DOGE"), "no underlying 'DOGE'"),
            (("explain", "WETH", "ten"), "is not a number"),
        ],
    )
    def test_mistakes_are_told_in_one_line(self, house, monkeypatch, arguments, complaint):
        monkeypatch.setattr(
            Plimsoll, "connect", lambda rpc, manifest: Plimsoll(house.deployer.chain)
        )
        result = CliRunner().invoke(cli.main, ["--manifest", "here", *arguments])
        assert result.exit_code != 0
        assert complaint in result.output
        assert "Traceback" not in result.output

    def test_no_deployment_is_told_too(self):
        result = CliRunner().invoke(cli.main, ["--manifest", "nowhere", "markets"])
        assert result.exit_code != 0
        assert "no deployment 'nowhere'" in result.output


def saver_asset(house: House, account: Account, symbol: str):
    return house.seen_by(actor("saver")).asset(symbol)


def floor_cents(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.01"), "ROUND_FLOOR")


def test_the_sdk_needs_none_of_the_extras():
    """Without Ape, numpy, YAML and the like, SDK, twin and command import all the same."""
    extras = "ape", "ape_foundry", "hypothesis", "numpy", "pandas", "pyrevm", "silverback", "yaml"
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({extras!r}));"
        "import plimsoll.cli, plimsoll.protocol, plimsoll.risk.model; print('imported')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "imported\n", done.stderr
