"""The SDK on the money around the margin: loans, permits, limits, losses, funding, the end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner

from plimsoll import cli
from plimsoll.errors import ContractError, InvalidConnectionError
from plimsoll.lab import components
from plimsoll.protocol import Account, Plimsoll
from plimsoll.risk.params import Kind, LendingParams, OutflowParams, encode_symbol
from tests.evm import Contract, actor
from tests.unit.lens_house import ETH, USD, WETH, House

TERMS = LendingParams(kink=80, rate_at_kink=50, rate_at_full=600, reserve_share=10)
DAY = 86_400


class Permitting(House):
    """Its dollar has permits, its Permit2 is the real one; with terms of loans and a name."""

    def _deploy(self) -> Contract:
        evm = self.terms.evm
        self.tokens[USD] = evm.deploy("FaucetToken", "Dollar", "USD", 6, 0, evm.deployer)
        self.permit2 = evm.deploy(components.permit2())
        self.terms.engine.setUp(Kind.LENDING, 0, TERMS.word)
        self.terms.engine.setUp(Kind.SYMBOL, ETH, encode_symbol("ETH"))
        self.terms.engine.setUp(Kind.OUTFLOW, WETH, OutflowParams(limit=1_000).word)
        return evm.deploy(
            "ClearingHouse",
            self.terms.manager.address,
            self.terms.engine.address,
            self.tokens[USD].address,
            self.permit2.address,
            evm.deploy("TradingModule").address,
            evm.deploy("LiquidationModule").address,
        )


@pytest.fixture(scope="module")
def built() -> Permitting:
    house = Permitting()
    for asset in (USD, WETH):
        house.deployer.refresh(asset)
    return house


@pytest.fixture
def house(built: Permitting):
    with built.evm.anchored():
        yield built


@pytest.fixture
def saver(house: House) -> Account:
    return house.person("saver", USD=100_000)


@pytest.fixture
def borrower(house: House, saver: Account) -> Account:
    account = house.person("borrower", WETH=100)
    account.borrow(50_000)
    return account


class TestLoans:
    def test_what_is_borrowed_costs_and_earns(
        self, house: House, saver: Account, borrower: Account
    ) -> None:
        now = house.deployer.solvency()
        assert now.utilisation == Decimal("0.5")
        assert 0 < now.supply_rate < now.borrow_rate < Decimal("0.05")
        house.evm.warp(365 * DAY)
        owed = -borrower.portfolio().cash
        assert abs(owed / 50_000 - 1 - now.borrow_rate) < Decimal("0.001")
        assert saver.portfolio().cash > 100_000

    def test_all_that_is_owed_can_be_repaid_at_once(self, house: House, borrower: Account) -> None:
        house.wait(DAY)
        house._pay(borrower.id.owner, USD, 1_000)
        borrower.repay()
        left = borrower.portfolio().cash
        assert 0 <= left < Decimal("0.5")
        with pytest.raises(ContractError, match="NothingReceived"):
            borrower.repay()

    def test_a_part_can_be_repaid(self, borrower: Account) -> None:
        before = borrower.portfolio().cash
        borrower.repay(20_000)
        assert borrower.portfolio().cash >= before + 20_000 - Decimal("0.000001")

    def test_a_loan_is_bounded_by_the_tokens_present(self, house: House, borrower: Account) -> None:
        house.give(borrower, "WETH", 100_000)
        tokens = house.deployer.solvency().tokens
        with pytest.raises(ContractError, match="InsufficientLiquidity"):
            borrower.borrow(tokens + 1)


class TestPermits:
    def test_pays_in_by_the_token_own_permit(self, house: House) -> None:
        account = house.person("payer")
        house._pay(account.id.owner, USD, 500)
        account.deposit_with_permit(house.deployer.asset("USD"), 500)
        assert account.portfolio().cash == 500

    def test_a_token_without_permits_says_so(self, house: House) -> None:
        account = house.person("payer")
        house._pay(account.id.owner, WETH, 1)
        with pytest.raises(InvalidConnectionError, match="takes no permits"):
            account.deposit_with_permit(house.deployer.asset("WETH"), 1)

    def test_pays_in_by_permit2(self, house: Permitting) -> None:
        account = house.person("payer")
        house._pay(account.id.owner, WETH, 3)
        house.tokens[WETH].approve(house.permit2.address, 2**256 - 1, sender=actor("payer"))
        account.deposit_with_permit2(house.deployer.asset("WETH"), 3)
        assert account.portfolio().units(WETH) == 3 * 10**18

    def test_a_nonce_serves_once(self, house: Permitting) -> None:
        account, weth = house.person("payer"), house.deployer.asset("WETH")
        house._pay(account.id.owner, WETH, 3)
        house.tokens[WETH].approve(house.permit2.address, 2**256 - 1, sender=actor("payer"))
        account.deposit_with_permit2(weth, 1, nonce=5)
        with pytest.raises(Exception, match=r"756688fe|InvalidNonce"):
            account.deposit_with_permit2(weth, 1, nonce=5)

    def test_a_house_without_permit2_says_so(self) -> None:
        bare = House()
        account = bare.person("payer")
        with pytest.raises(InvalidConnectionError, match="without Permit2"):
            account.deposit_with_permit2(bare.deployer.asset("WETH"), 1)


class TestViews:
    def test_limits_and_what_left(self, house: House) -> None:
        account, weth = house.person("owner", WETH=50), house.deployer.asset("WETH")
        assert weth.outflow().limit == 1_000
        assert house.deployer.asset("USD").outflow().limit is None
        house.evm.warp(7_200)
        account.withdraw(weth, 20)
        told = weth.outflow()
        assert told.used == 20
        assert told.window_start == house.evm.time

    def test_provisions_and_who_would_bear_them(self, house: House) -> None:
        long, short = house.person("long", USD=5_000), house.person("short", USD=100_000)
        house.trade(long, short, "ETH", 10)
        assert (house.deployer.provisions(), long.auction.provision()) == (0, 0)
        share = short.loss_share()
        assert share.expected == share.borne == 0
        assert 0 < share.share < 1

    def test_funding_and_volatility(self, house: House) -> None:
        house.wait(60)
        house.terms.report_premium(ETH, 10**15)
        told = house.deployer.funding("ETH")
        assert told.rate > 0
        assert told.since == house.evm.time
        assert house.deployer.volatility("ETH").gauge == 1
        assert house.deployer.volatility(ETH).price == 0

    def test_names(self, house: House) -> None:
        assert house.market("ETH").describe() == "ETH perpetual, in dollars"
        assert house.market("BTC").describe() == "perpetual on underlying 2, in dollars"

    def test_the_end(self, house: House) -> None:
        long, short = house.person("long", USD=5_000), house.person("short", USD=100_000)
        house.trade(long, short, "ETH", 1)
        told = house.deployer.wind_down()
        assert (told.halted, told.resume_ready_at, told.shut_ready_at, told.shut_at) == (
            False,
            None,
            None,
            None,
        )
        with pytest.raises(ContractError, match="NotShut"):
            long.close_out(house.market("ETH"))
        house.contract.submitShutdown()
        assert house.deployer.wind_down().shut_ready_at == house.evm.time + 2 * DAY
        house.wait(2 * DAY)
        house.contract.acceptShutdown()
        assert house.deployer.wind_down().shut_at == house.evm.time
        with pytest.raises(ContractError, match="TooEarlyToClose"):
            long.close_out(house.market("ETH"))
        house.wait(7 * DAY)
        long.close_out(house.market("ETH"))
        assert not long.portfolio().positions

    def test_the_command_shows_solvency(
        self, house: House, borrower: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect: Any = staticmethod(lambda *_: house.deployer)
        monkeypatch.setattr(Plimsoll, "connect", connect)
        done = CliRunner().invoke(cli.main, ["--manifest", "x", "solvency"])
        assert done.exit_code == 0, done.output
        shown = dict(line.split("\t") for line in done.output.strip().splitlines())
        assert shown["new risk"] == "open"
        assert shown["utilisation"].startswith("50")

    def test_the_command_reports_on_paper(
        self, house: House, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect: Any = staticmethod(lambda *_: house.deployer)
        monkeypatch.setattr(Plimsoll, "connect", connect)
        monkeypatch.setenv("PLIMSOLL_REPORTER_SOURCE", str(tmp_path / "premiums.json"))
        monkeypatch.setenv("PLIMSOLL_REPORTER_BOX", str(tmp_path / "box"))
        house.evm.warp(3_600)
        done = CliRunner().invoke(cli.main, ["--manifest", "x", "reporter", "--once"])
        assert done.exit_code == 0, done.output
        assert '"sent": 0' in done.output
        assert "the source says nothing" in done.output
