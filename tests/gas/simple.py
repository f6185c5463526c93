"""The house as the peers were measured: one simple feed for each underlying, plain tokens.

It has as many markets and tokens as one account can hold, each token on an underlying of its own.
A contract governs it and sets its feeds, so that a hundred calls are one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from ape import chain, project
from ape.api import AccountAPI
from ape.contracts import ContractContainer, ContractInstance
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from ethpm_types import ContractType

from plimsoll import reports
from plimsoll.lab import components
from plimsoll.lab.components import container
from plimsoll.risk.params import (
    AssetParams,
    FundingParams,
    GlobalParams,
    Kind,
    LendingParams,
    MarketParams,
    OptionsParams,
    ReportsParams,
    SourceParams,
    TokenParams,
    UnderlyingParams,
)
from plimsoll.risk.surface import Slice
from plimsoll.units import to_units_exact, to_wad_exact
from tests.gas.house import House, Token
from tests.gas.measure import wait

ACCESS_MANAGER = (
    Path(__file__).parents[2]
    / "node_modules/@openzeppelin/contracts/build/contracts/AccessManager.json"
)
UNDERLYINGS = range(1, 129)
COLLATERALS = range(1, 96)
PRICE = Decimal(2_000)
FEED_DECIMALS = 8
SETTLEMENT_DECIMALS = 6
MAX_AGE = 100_000
BATCH = 64
PREMIUM = Decimal("0.0001")
FUNDING = FundingParams(10_000)
GLOBAL = GlobalParams(stress_share=65_535, winners_cap=2**32 - 1, payout_cap=2**32 - 1)
RISK = UnderlyingParams(range=600, window=120, closing=5, concentration=500, band=5)
LENDING = LendingParams(kink=80, rate_at_kink=50, rate_at_full=600, reserve_share=10)
MARKET = MarketParams(taker_fee=500, maker_fee=200, stress_jump=3_000)
OPTED = range(1, 4)
OPTIONS = OptionsParams(
    vol_shift=3_000,
    term_forward=100,
    term_vol=500,
    option_closing=5,
    digits=3,
    horizon=400,
    dailies=7,
)
ASSET = AssetParams(
    tier1=10_000_000, tier2=50_000_000, haircut1=100, haircut2=300, haircut3=1_000, basis=0
)


Call = tuple[ContractInstance, Any, tuple[Any, ...]]
"""A contract, its method, the arguments."""


def build(deployer: AccountAPI, relayer: AccountAPI) -> House:
    """Deploys, sets up, seals; every underlying has a price and a market."""
    dollars = _faucet(deployer, SETTLEMENT_DECIMALS)
    batch = Batch(deployer)
    manager = deployer.deploy(_access_manager(), batch.puppet)
    engine = _engine(deployer, manager)
    modules = deployer.deploy(project.TradingModule), deployer.deploy(project.LiquidationModule)
    permit2 = deployer.deploy(container(components.permit2()))
    parts = manager, engine, dollars, permit2, *modules
    house = deployer.deploy(project.ClearingHouse, *parts)
    backstop = deployer.deploy(project.BackstopVault, house)
    reporter: LocalAccount = Account.from_key(keccak(text="reporter"))
    oracle = deployer.deploy(
        project.ReportOracle, manager, [reporter.address], 1, 0, to_wad_exact(PREMIUM), 0
    )
    feeds = {u: _feed(deployer, PRICE if u else Decimal(1)) for u in (0, *UNDERLYINGS)}
    collateral = [_token(deployer, asset) for asset in COLLATERALS]
    batch.run(
        [
            *((engine, engine.setUp, word) for word in _words(feeds, collateral)),
            (engine, engine.setUp, (Kind.REPORTS, 0, ReportsParams(int(oracle.address, 16)).word)),
            (house, house.bindBackstop, (backstop.address,)),
            (engine, engine.wire, (house.address,)),
            (engine, engine.observe, (list(feeds),)),
            (engine, engine.seal, ()),
            *((engine, engine.reportPremium, one) for one in _reports(reporter, oracle.address)),
        ]
    )
    return House(
        clearing_house=house,
        engine=engine,
        vault=project.CollateralVault.at(house.VAULT()),
        settlement=_wrapped(dollars, 0, 0, SETTLEMENT_DECIMALS, Decimal(1), deployer),
        collateral=collateral,
        prices=dict.fromkeys(UNDERLYINGS, PRICE),
        push=lambda prices: _push(batch, feeds, prices),
        deployer=deployer,
        relayer=relayer,
        permit2=permit2,
        backstop=backstop,
        lend=lambda: _lend(batch, engine, house, feeds),
        report_surface=lambda u, slices: batch.run(
            [(engine, engine.reportSurface, _surface(reporter, oracle.address, u, slices))]
        ),
    )


def _engine(deployer: AccountAPI, manager: ContractInstance) -> ContractInstance:
    table = deployer.deploy(project.NormalTable)
    parameters = deployer.deploy(project.ParameterModule, manager)
    reports = deployer.deploy(project.ReportModule, manager)
    risk = deployer.deploy(project.RiskModule, manager, reports, table)
    cover = deployer.deploy(project.CoverModule, manager, reports, table)
    return deployer.deploy(project.MarginEngine, manager, parameters, reports, risk, cover, table)


def _lend(
    batch: Batch,
    engine: ContractInstance,
    house: ContractInstance,
    feeds: Mapping[int, ContractInstance],
) -> None:
    """Governs terms of loans, through the delay, and has the house adopt them."""
    batch.run([(engine, engine.submit, (Kind.LENDING, 0, LENDING.word))])
    wait(engine.DELAY())
    _push(batch, feeds, {u: PRICE if u else Decimal(1) for u in feeds})
    batch.run(
        [
            (engine, engine.observe, (list(feeds),)),
            (engine, engine.accept, (Kind.LENDING, 0)),
            (house, house.refresh, (0,)),
        ]
    )


def _reports(reporter: LocalAccount, oracle: str) -> Iterator[tuple[Any, ...]]:
    """Every market pays funding: the arguments of `reportPremium`."""
    domain, now = reports.report_domain(chain.chain_id, oracle), chain.blocks.head.timestamp
    for underlying in UNDERLYINGS:
        signed = reports.PremiumReport(underlying, PREMIUM, now).sign(reporter, domain)
        yield reports.Batch(underlying, (signed,)).arguments()


def _surface(
    reporter: LocalAccount, oracle: str, underlying: int, slices: Sequence[Slice]
) -> tuple[Any, ...]:
    """The arguments of `reportSurface`."""
    domain, now = reports.report_domain(chain.chain_id, oracle), chain.blocks.head.timestamp
    report = reports.SurfaceReport(underlying, now, tuple(slices))
    # Ape takes no mapping within a struct.
    pieces = [tuple(piece.values()) for piece in report.message()["slices"]]
    return underlying, [(underlying, now, pieces)], [report.sign(reporter, domain).signature]


class Batch:
    """A contract that makes many calls in one transaction."""

    def __init__(self, owner: AccountAPI) -> None:
        self.owner = owner
        self.puppet = owner.deploy(project.Puppet)

    def run(self, calls: list[Call]) -> None:
        for start in range(0, len(calls), BATCH):
            steps = [
                (contract.address, method.encode_input(*args), False)
                for contract, method, args in calls[start : start + BATCH]
            ]
            self.puppet.run(steps, sender=self.owner)


def _push(
    batch: Batch, feeds: Mapping[int, ContractInstance], prices: Mapping[int, Decimal]
) -> None:
    """Every feed reports its price, as of the block before."""
    now = chain.blocks.head.timestamp
    answers = {u: to_units_exact(price, FEED_DECIMALS) for u, price in prices.items()}
    batch.run([(feeds[u], feeds[u].set, (answer, now)) for u, answer in answers.items()])


def _words(
    feeds: Mapping[int, ContractInstance], collateral: list[Token]
) -> list[tuple[Kind, int, int]]:
    words = [(Kind.GLOBAL, 0, GLOBAL.word)]
    for underlying, feed in feeds.items():
        source = SourceParams(
            int(feed.address, 16), decimals=FEED_DECIMALS, max_age=MAX_AGE, floor=40
        )
        words += [(Kind.UNDERLYING, underlying, RISK.word), (Kind.SOURCE, underlying, source.word)]
    for underlying in UNDERLYINGS:
        words.append((Kind.MARKET, underlying, MARKET.word))
        words.append((Kind.FUNDING, underlying, FUNDING.word))
        if underlying in OPTED:
            words.append((Kind.OPTIONS, underlying, OPTIONS.word))
    for token in collateral:
        listed = TokenParams(int(token.contract.address, 16), token.underlying, token.decimals)
        words += [(Kind.TOKEN, token.asset, listed.word), (Kind.ASSET, token.asset, ASSET.word)]
    return words


def _access_manager() -> ContractContainer:
    raw = json.loads(ACCESS_MANAGER.read_text())
    code = {"bytecode": raw["bytecode"]}
    return ContractContainer(
        ContractType(abi=raw["abi"], contractName="AccessManager", deploymentBytecode=code)
    )


def _feed(deployer: AccountAPI, price: Decimal) -> ContractInstance:
    return deployer.deploy(project.MockFeed, FEED_DECIMALS, to_units_exact(price, FEED_DECIMALS))


def _faucet(deployer: AccountAPI, decimals: int) -> ContractInstance:
    """An ordinary token: what misbehaves on demand reads more than an ordinary one."""
    return deployer.deploy(project.FaucetToken, "Faucet", "FCT", decimals, 0, deployer)


def _token(deployer: AccountAPI, asset: int) -> Token:
    contract = _faucet(deployer, 18)
    return _wrapped(contract, asset, asset, 18, PRICE, deployer)


def _wrapped(
    contract: ContractInstance,
    asset: int,
    underlying: int,
    decimals: int,
    worth: Decimal,
    deployer: AccountAPI,
) -> Token:
    def mint(to: str, units: int) -> Any:
        return contract.mint(to, units, sender=deployer)

    return Token(asset, underlying, decimals, contract, mint, worth)
