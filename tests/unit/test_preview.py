"""What is previewed of a change is, to the bit, what the chain computes once it is in force."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner

from plimsoll import cli
from plimsoll.errors import ContractError, InvalidConnectionError
from plimsoll.instruments import AccountId
from plimsoll.preview import (
    Outlook,
    Preview,
    Proposal,
    RefusedProposalError,
    TwinMismatchError,
    id_of,
    preview,
    propose,
)
from plimsoll.protocol import Account, Plimsoll
from plimsoll.records import Margin
from plimsoll.risk import params
from plimsoll.risk.params import Kind
from tests.evm import Reverted
from tests.unit.lens_house import BTC, ETH, PEG, STETH, WBTC, WETH, House

HOUR = 3_600
GAUGE_BIT = 220
"""Where an observation keeps the gauge."""
LEVERAGE = (20, 40, 55, 60, 62, 63)
"""Ether that a trader with 10,000 dollars is long."""

# A change of every word that moves margins: at once, by the delay, tighter and looser.
CHANGES: list[tuple[Kind, int, dict[str, str]]] = [
    (Kind.GLOBAL, 0, {"initial_factor": "150 %"}),
    (Kind.GLOBAL, 0, {"band_ceiling": "3 %", "stress_share": "50 %"}),
    (Kind.UNDERLYING, ETH, {"range": "9.5 %"}),
    (Kind.UNDERLYING, ETH, {"range": "5 %"}),
    (Kind.UNDERLYING, ETH, {"closing": "3 %", "band": "2 %"}),
    (Kind.UNDERLYING, BTC, {"window": "3 states", "concentration": "5 % per $10,000,000"}),
    (Kind.ASSET, WETH, {"haircut1": "15 %", "haircut2": "20 %", "haircut3": "30 %"}),
    (Kind.ASSET, STETH, {"basis": "12 %", "tier1": "$1,000"}),
    (Kind.ASSET, WBTC, {"haircut1": "1.6 %", "tier2": "$20,000,000"}),
]
NAMES = [f"{kind.name} {' '.join(fields)}" for kind, _, fields in CHANGES]


@pytest.fixture(scope="module")
def peopled() -> House:
    """People at every distance from their margins, while a falling price is not yet stable."""
    house = House()
    house.wait(HOUR)
    maker = house.person("maker", USD=2_000_000, WBTC=3)
    for size in LEVERAGE:
        house.trade(house.person(f"long {size}", USD=10_000), maker, "ETH", size)
    for size in (30, 60):
        carrier = house.person(f"carrier {size}", WETH=size)
        house.trade(maker, carrier, "ETH", size)
        house.trade(carrier, maker, "BTC", Decimal(size) / 40)
    staker = house.person("staker", STETH=9, WBTC="0.2")
    house.trade(maker, staker, "ETH", 60)
    house.person("saver", USD=500, WETH=1)
    house.trade(house.person("spread", USD=13_000), maker, "ETH", 80)
    house.trade(maker, house.person("spread"), "BTC", "3.2")
    house.set_price("ETH", 2_030)
    house.wait(HOUR)
    house.set_price("ETH", 1_985)
    house.evm.warp(600)
    return house


@pytest.fixture
def house(peopled: House) -> Iterator[House]:
    with peopled.evm.anchored():
        yield peopled


def everybody() -> list[AccountId]:
    names = ["maker", "carrier 30", "carrier 60", "staker", "saver", "spread"]
    return [_id(name) for name in (*names, *(f"long {size}" for size in LEVERAGE))]


def _id(name: str) -> AccountId:
    from tests.evm import actor

    return AccountId(actor(name).address)


def margins(house: House) -> dict[AccountId, Margin]:
    return {account: house.deployer.account(account).margin() for account in everybody()}


def previewed(house: House, kind: Kind, id_: int, fields: dict[str, str]) -> Preview:
    return preview(house.deployer, propose(house.deployer, kind, id_, fields), everybody())


def pass_time(house: House, seconds: int) -> None:
    """In hours, so that stable prices have settled at the end."""
    for _ in range(seconds // (6 * HOUR)):
        house.wait(6 * HOUR)
    for _ in range(4):
        house.wait(HOUR)


def submit(house: House, proposal: Proposal) -> None:
    house.terms.engine.submit(proposal.kind, proposal.id, proposal.new)


def accept(house: House, proposal: Proposal) -> None:
    house.terms.engine.accept(proposal.kind, proposal.id)


def awaiting(house: House, kind: Kind, id_: int, fields: dict[str, str]) -> Proposal:
    """The change at the moment at which it can come into force."""
    proposal = propose(house.deployer, kind, id_, fields)
    if not proposal.at_once:
        submit(house, proposal)
        pass_time(house, params.DELAY)
        house.set_price("ETH", 1_980)
        house.evm.warp(600)
    return propose(house.deployer, kind, id_, fields)


def enforce(house: House, proposal: Proposal) -> None:
    (submit if proposal.at_once else accept)(house, proposal)


@pytest.mark.parametrize(("kind", "id_", "fields"), CHANGES, ids=NAMES)
def test_as_it_comes_into_force(house: House, kind: Kind, id_: int, fields: dict[str, str]) -> None:
    proposal = awaiting(house, kind, id_, fields)
    found = preview(house.deployer, proposal, everybody())
    assert {account: now.before for account, (now, _) in found.outlooks.items()} == margins(house)
    enforce(house, proposal)
    told = margins(house)
    assert {account: now.after for account, (now, _) in found.outlooks.items()} == told
    listed = {each.account for each in found.affected if each.now.falls}
    assert listed == {
        account
        for account, margin in told.items()
        if (found.outlooks[account][0].before.free and not margin.free)
        or (found.outlooks[account][0].before.healthy and not margin.healthy)
    }


@pytest.mark.parametrize(("kind", "id_", "fields"), CHANGES, ids=NAMES)
def test_at_the_end_of_its_ramp(house: House, kind: Kind, id_: int, fields: dict[str, str]) -> None:
    """Of the same later moment, with the change and without it, all else equal."""
    proposal = awaiting(house, kind, id_, fields)
    with house.evm.anchored():
        pass_time(house, params.RAMP)
        found = previewed(house, kind, id_, fields)
        assert {a: end.before for a, (_, end) in found.outlooks.items()} == margins(house)
    enforce(house, proposal)
    pass_time(house, params.RAMP)
    assert {a: end.after for a, (_, end) in found.outlooks.items()} == margins(house)


@pytest.mark.parametrize(("kind", "id_", "fields"), CHANGES, ids=NAMES)
def test_three_days_ahead_while_nothing_else_moves(
    house: House, kind: Kind, id_: int, fields: dict[str, str]
) -> None:
    """What is foretold on the day of the change is what the chain says when its ramp is over."""
    awaiting(house, kind, id_, fields)
    pass_time(house, HOUR)
    found = previewed(house, kind, id_, fields)
    enforce(house, found.proposal)
    pass_time(house, params.RAMP)
    assert {a: end.after for a, (_, end) in found.outlooks.items()} == margins(house)


def test_the_margins_of_a_ramp_in_flight(house: House) -> None:
    """A second change starts from where the first one stands, and the first one ends meanwhile."""
    first = propose(house.deployer, Kind.UNDERLYING, ETH, {"closing": "3 %", "band": "2 %"})
    submit(house, first)
    pass_time(house, params.RAMP // 2)
    fields = {"closing": "4 %"}
    second = propose(house.deployer, Kind.UNDERLYING, ETH, fields)
    assert second.current not in (second.old, first.old)
    found = preview(house.deployer, second, everybody())
    with house.evm.anchored():
        submit(house, second)
        assert {a: now.after for a, (now, _) in found.outlooks.items()} == margins(house)
    pass_time(house, params.RAMP)
    later = previewed(house, Kind.UNDERLYING, ETH, fields)
    assert {a: end.before for a, (_, end) in later.outlooks.items()} == margins(house)


def test_a_ramp_takes_nobody_below_maintenance_at_once(house: House) -> None:
    proposal = awaiting(house, Kind.UNDERLYING, ETH, {"range": "9.5 %"})
    found = preview(house.deployer, proposal, everybody())
    assert not any(each.now.liquidatable for each in found.affected)
    doomed = [each for each in found.affected if each.end.liquidatable]
    assert {_id("long 63"), _id("long 62")} <= {each.account for each in doomed}
    assert len(doomed) < len(everybody())
    short = [each.end.maintenance_shortfall for each in doomed]
    assert short == sorted(short, reverse=True)
    for each in doomed:
        after = each.end.after
        assert each.end.maintenance_shortfall == after.maintenance_margin - after.maintenance_equity
        assert each.end.maintenance_shortfall > 0
        assert each.end.initial_shortfall == after.initial_margin - after.initial_equity


def test_who_was_below_before_is_not_put_there(house: House) -> None:
    house.set_price("ETH", 1_890)
    found = previewed(house, Kind.UNDERLYING, ETH, {"closing": "0.06 %"})
    before = {account for account, margin in margins(house).items() if not margin.healthy}
    assert before
    assert not before & {each.account for each in found.affected}


def test_a_doubtful_price(house: House) -> None:
    """Its band follows the new range; it is what initial margin takes meanwhile."""
    house.break_feed("ETH")
    house.evm.warp(900)
    found = previewed(house, Kind.UNDERLYING, ETH, {"closing": "3 %", "band": "9 %"})
    submit(house, found.proposal)
    assert {a: now.after for a, (now, _) in found.outlooks.items()} == margins(house)


@pytest.mark.parametrize("gauge", [6_000, 17_345, 40_000])
def test_in_calm_and_in_storm(house: House, gauge: int) -> None:
    """The range that is proposed counts at the gauge of the moment, as the one in force does."""
    engine, place = house.terms.engine.address, 256 + ETH
    word = house.evm.storage(engine, place) & ~(0xFFFF << GAUGE_BIT)
    house.evm.set_storage(engine, place, word | gauge << GAUGE_BIT)
    assert house.terms.engine.call.volatility(ETH).maintenanceGauge == gauge
    proposal = awaiting(house, Kind.UNDERLYING, ETH, {"range": "7 %"})
    found = preview(house.deployer, proposal, everybody())
    assert {a: now.before for a, (now, _) in found.outlooks.items()} == margins(house)
    enforce(house, proposal)
    assert {a: now.after for a, (now, _) in found.outlooks.items()} == margins(house)


def test_a_frozen_price_and_its_end(house: House) -> None:
    house.break_feed("ETH")
    house.terms.warp(8 * 24 * HOUR)
    fields = {"value": "$1,500"}
    submit(house, propose(house.deployer, Kind.FROZEN_PRICE, ETH, fields))
    house.terms.warp(params.DELAY)
    frozen = previewed(house, Kind.FROZEN_PRICE, ETH, fields)
    accept(house, frozen.proposal)
    assert {a: now.after for a, (now, _) in frozen.outlooks.items()} == margins(house)
    assert {each.account for each in frozen.affected} >= {_id("long 40"), _id("long 63")}

    submit(house, propose(house.deployer, Kind.FROZEN_PRICE, ETH, {"unset": ""}))
    house.terms.warp(params.DELAY)
    lifted = previewed(house, Kind.FROZEN_PRICE, ETH, {"unset": ""})
    accept(house, lifted.proposal)
    assert {a: now.after for a, (now, _) in lifted.outlooks.items()} == margins(house)


def test_lifting_what_is_not_frozen_changes_nothing(house: House) -> None:
    found = previewed(house, Kind.FROZEN_PRICE, ETH, {"unset": ""})
    assert all(now.before == now.after for now, _ in found.outlooks.values())


def test_an_account_that_cannot_be_read(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    risks = Plimsoll.risks

    def one_missing(self: Plimsoll, accounts: Any, block: Any = "latest") -> Any:
        return [None, *risks(self, accounts, block)[1:]]

    monkeypatch.setattr(Plimsoll, "risks", one_missing)
    found = previewed(house, Kind.GLOBAL, 0, {"initial_factor": "150 %"})
    assert found.unreadable == (_id("maker"),)
    assert _id("maker") not in found.outlooks


def test_a_twin_that_is_wrong_says_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plimsoll.risk.model.CONCENTRATION_SCALE", 10**28)
    with pytest.raises(TwinMismatchError, match="the chain says"):
        previewed(house, Kind.GLOBAL, 0, {"initial_factor": "150 %"})


def test_an_engine_that_keeps_its_observations_elsewhere(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plimsoll.preview._OBSERVED", 0)
    with pytest.raises(InvalidConnectionError, match="elsewhere"):
        previewed(house, Kind.UNDERLYING, ETH, {"closing": "0.06 %"})


@pytest.mark.parametrize(
    ("kind", "fields", "effect"),
    [
        (Kind.MARKET, {"taker_fee": "0.06 %"}, "bind the next trade"),
        (Kind.MARKET, {"closed": "yes"}, "bind the next trade"),
        (Kind.SECOND_SOURCE, {"unset": ""}, "the next observation"),
        (Kind.SEQUENCER, {"unset": ""}, "while that feed says"),
    ],
)
def test_what_moves_no_margin_says_what_changes(
    house: House, kind: Kind, fields: dict[str, str], effect: str
) -> None:
    found = previewed(house, kind, ETH if kind is not Kind.SEQUENCER else 0, fields)
    assert effect in found.effect
    assert found.outlooks == {}
    assert found.affected == []


REFUSED = [
    (
        Kind.UNDERLYING,
        ETH,
        {"range": "26 %"},
        r"UNDERLYING: range = 26 %: the registry takes 0.01 % to 25 %",
    ),
    (
        Kind.UNDERLYING,
        ETH,
        {"range": "4.8 %"},
        r"range = 4.8 % is more than one step: .* 4.88 % to",
    ),
    (Kind.ASSET, WETH, {"haircut1": "30 %"}, r"ASSET: haircut2 = 5 % must not be below haircut1"),
    (Kind.ASSET, WETH, {"tier1": "$3,000,000"}, r"tier1 = \$3,000,000 is more than one step"),
    (Kind.GLOBAL, 0, {"initial_factor": "120 %"}, r"initial_factor = 120 %: .* 125 % to 400 %"),
    (Kind.GLOBAL, 7, {"dust": "$1"}, r"GLOBAL: id = 7: the registry takes 0 to 0"),
    (Kind.GLOBAL, 1 << 16, {"dust": "$1"}, r"GLOBAL: id = 65536"),
    (Kind.UNDERLYING, ETH, {"rnge": "7 %"}, r"UNDERLYING has no rnge; it has range, window"),
    (Kind.UNDERLYING, ETH, {"range": "7"}, r"range: '7' is not of the form \"15 %\""),
    (Kind.UNDERLYING, 77, {"range": "7 %"}, r"was never set: give window, closing"),
    (Kind.MARKET, ETH, {"unset": ""}, r"MARKET cannot be taken away"),
    (Kind.MARKET, ETH, {"closed": "maybe"}, r"'maybe' is none of yes, no"),
    (Kind.TOKEN, 9, {"address": "0x12"}, r"TOKEN was never set: give underlying, decimals"),
    (Kind.FROZEN_PRICE, ETH, {"price": "$1"}, r"FROZEN_PRICE has no price; it has value"),
]


@pytest.mark.parametrize(("kind", "id_", "fields", "complaint"), REFUSED)
def test_what_the_registry_would_refuse(
    house: House, kind: Kind, id_: int, fields: dict[str, str], complaint: str
) -> None:
    with pytest.raises(RefusedProposalError, match=complaint):
        propose(house.deployer, kind, id_, fields)


def test_the_registry_itself_is_asked_when_its_governor_is_known(house: House) -> None:
    """A token is set once: no bound of the word says so."""
    fields = {"decimals": "8"}
    propose(house.deployer, Kind.TOKEN, WETH, fields)
    governor = house.evm.deployer
    with pytest.raises(ContractError) as refused:
        propose(house.deployer, Kind.TOKEN, WETH, fields, governor=governor)  # type: ignore[arg-type]
    assert refused.value.name == "AlreadySet"
    tighter = propose(house.deployer, Kind.UNDERLYING, ETH, {"band": "1 %"}, governor=governor)  # type: ignore[arg-type]
    assert tighter.at_once
    with pytest.raises(Reverted):
        house.terms.engine.submit(Kind.TOKEN, WETH, 1)


def test_ids_have_symbols(house: House) -> None:
    assert id_of(house.deployer, Kind.ASSET, "WBTC") == WBTC
    assert id_of(house.deployer, Kind.UNDERLYING, "BTC") == BTC
    assert id_of(house.deployer, Kind.UNDERLYING, "0") == PEG


def test_numbers_of_a_listed_account_are_exact_in_json(house: House) -> None:
    found = previewed(house, Kind.GLOBAL, 0, {"initial_factor": "150 %"})
    told = json.loads(json.dumps(found.to_json()))
    assert told["changes"] == ["initial_factor: 125 % -> 150 %"]
    assert (told["at_once"], told["delay"], told["ramp"]) == (True, 0, params.RAMP)
    assert told["accounts"] == len(everybody())
    assert told["affected"]
    for entry, each in zip(told["affected"], found.affected, strict=True):
        assert entry["account"] == str(each.account)
        assert entry["now"]["below_initial"] is each.now.restricted
        assert Decimal(entry["now"]["after"]["initial_margin"]) == each.now.after.initial_margin
        assert Decimal(entry["now"]["initial_shortfall"]) == each.now.initial_shortfall


class TestCommand:
    """`plimsoll preview KIND ID FIELD=VALUE...`"""

    @pytest.fixture(autouse=True)
    def known(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        class Known:
            known = frozenset(account.encode() for account in everybody())

            def __init__(self, chain: Any, first_block: int) -> None:
                assert first_block == 0

            def catch_up(self, head: int) -> None:
                assert head == house.evm.block_number

        monkeypatch.setattr("plimsoll.cli.Directory", Known)
        monkeypatch.setattr(
            Plimsoll, "connect", lambda rpc, manifest: Plimsoll(house.deployer.chain)
        )

    def run(self, *arguments: str) -> Any:
        return CliRunner().invoke(cli.main, ["--manifest", "here", "preview", *arguments])

    def test_lists_whom_a_change_hurts(self, house: House) -> None:
        result = self.run("global", "0", "initial_factor=150 %")
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert lines[0] == "GLOBAL 0: initial_factor: 125 % -> 150 %"
        assert lines[1] == "in force at once; maintenance follows over three days"
        found = previewed(house, Kind.GLOBAL, 0, {"initial_factor": "150 %"})
        assert f"{len(found.affected)} fall below a margin" in lines[2]
        rows = [line.split("\t") for line in lines[4:]]
        assert {row[0] for row in rows} == {str(each.account) for each in found.affected}
        assert {row[2] for row in rows} == {"initial"}

    def test_json(self) -> None:
        result = self.run("UNDERLYING", "ETH", "range=9.5 %", "--json")
        told = json.loads(result.output)
        assert (told["kind"], told["id"], told["delay"]) == ("UNDERLYING", ETH, params.DELAY)
        assert any(each["end"]["below_maintenance"] for each in told["affected"])

    def test_what_moves_no_margin_asks_for_no_account(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr("plimsoll.cli.Directory")
        result = self.run("MARKET", "ETH", "taker_fee=0.06 %")
        assert result.output.splitlines() == [
            "MARKET ETH: taker_fee: 0.05 % -> 0.06 %",
            "in force after two days, on acceptance",
            "fees, cap and stress jump bind the next trade; nothing that is held changes",
        ]

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("UNDERLYING", "ETH"), "give KIND ID FIELD=VALUE"),
            (("UNDERLYING", "ETH", "range"), "'range' is not FIELD=VALUE"),
            (("UNDERLYING", "ETH", "range=26 %"), "range = 26 %: the registry takes"),
            (("UNDERLYING", "DOGE", "range=6 %"), "no underlying 'DOGE'"),
            (("NOTHING", "ETH", "range=6 %"), "is not an address"),
            (("0x" + "11" * 20, "range=6 %"), "belong to the preview of a parameter"),
        ],
    )
    def test_mistakes_are_told_in_one_line(self, arguments: Any, complaint: str) -> None:
        result = self.run(*arguments)
        assert result.exit_code != 0
        assert complaint in result.output
        assert "Traceback" not in result.output


def test_an_outlook_at_the_line_is_not_below_it(house: House) -> None:
    """Both comparisons include equality."""
    account: Account = house.deployer.account(_id("saver"))
    margin = account.margin()
    exact = Margin(
        margin.equity,
        margin.initial_margin,
        margin.maintenance_margin,
        margin.initial_margin,
        margin.maintenance_margin,
        False,
    )
    outlook = Outlook(margin, exact)
    assert not outlook.falls
    assert outlook.initial_shortfall == outlook.maintenance_shortfall == 0
