"""The command `plimsoll`: accounts, trades, markets, collateral and solvency from a terminal.

Everything but `reporter` only reads.
Tables on a terminal, plain columns in a pipe. Assets are shown rounded down, requirements up.
"""

import json
import os
import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import click
from eth_account import Account as Keys
from eth_typing import ChecksumAddress, HexAddress, HexStr
from rich.console import Console
from rich.table import Table
from web3 import Web3

from plimsoll import preview as governance
from plimsoll.errors import PlimsollError
from plimsoll.instruments import AccountId, Instrument
from plimsoll.instruments import Kind as InstrumentKind
from plimsoll.keeper.discover import Directory
from plimsoll.protocol import Account, Fill, Plimsoll
from plimsoll.records import (
    AccountRisk,
    AuctionState,
    CollateralValue,
    Margin,
    MarginParts,
    Portfolio,
    UnderlyingRisk,
)
from plimsoll.reporter.settings import reporter_on, surface_reporter_beside
from plimsoll.risk.params import Kind
from plimsoll.snapshot import LiquidationPrices, expiries_of
from plimsoll.units import show_down, show_up

_UNIT_PLACES = 6
_RATE_PLACES = 4


class AccountType(click.ParamType):
    """`0xOwner`, `0xOwner/sub-account` or the packed 32 bytes."""

    name = "account"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> AccountId:
        owner, _, sub_account = str(value).partition("/")
        try:
            if len(owner) == 66:
                return AccountId.decode(owner)
            return AccountId(ChecksumAddress(HexAddress(HexStr(owner))), int(sub_account or 0))
        except (ValueError, PlimsollError) as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class AddressType(click.ParamType):
    """An address, with or without its checksum."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ChecksumAddress:
        if not Web3.is_address(value):
            self.fail(f"{value!r} is not an address", param, ctx)
        return Web3.to_checksum_address(value)


class TradeType(click.ParamType):
    """`MARKET:SIZE@PRICE`, size negative to sell."""

    name = "market:size@price"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Decimal, Decimal]:
        market, _, rest = str(value).partition(":")
        size, _, price = rest.partition("@")
        try:
            return market, Decimal(size), Decimal(price)
        except ArithmeticError:
            self.fail(f"{value!r} is not {self.name}, such as ETH:-2.5@2010", param, ctx)


class PriceType(click.ParamType):
    """`MARKET=PRICE`."""

    name = "market=price"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Decimal]:
        market, _, price = str(value).partition("=")
        try:
            return market, Decimal(price)
        except ArithmeticError:
            self.fail(f"{value!r} is not {self.name}, such as ETH=1800", param, ctx)


class SubjectType(AccountType):
    """An account, or the kind of a parameter."""

    name = "account or kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        named = str(value).upper()
        return Kind[named] if named in Kind.__members__ else super().convert(value, param, ctx)


class Group(click.Group):
    """Says what went wrong in one line, without a trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PlimsollError as error:
            raise click.ClickException(str(error)) from error
        except (FileNotFoundError, ConnectionError) as error:
            raise click.ClickException(f"cannot connect: {error}") from error


@click.group(cls=Group)
@click.option("--rpc", envvar="PLIMSOLL_RPC", default="http://127.0.0.1:8545", show_default=True)
@click.option(
    "--manifest",
    envvar="PLIMSOLL_MANIFEST",
    required=True,
    help="The folder of a deployment, or the name of a shipped one.",
)
@click.pass_context
def main(ctx: click.Context, rpc: str, manifest: str) -> None:
    """Looks at a Plimsoll clearinghouse."""
    ctx.obj = lambda: Plimsoll.connect(rpc, manifest)


@main.command()
@click.argument("account", type=AccountType())
@click.pass_context
def risk(ctx: click.Context, account: AccountId) -> None:
    """What ACCOUNT holds, what it is worth and how close to liquidation it is."""
    house: Plimsoll = ctx.obj()
    show = Show()
    block = house.chain.w3.eth.block_number
    now = house.account(account).risk(block)
    state = house.snapshot(
        [each.underlying for each in now.underlyings],
        [held.asset for held in now.portfolio.collateral],
        block,
        expiries=expiries_of(held.instrument for held in now.portfolio.positions),
    )
    show.facts(f"Account {account}", _health_rows(now))
    show.table("Margin", ["", "initial", "maintenance"], _parts_rows(now.initial, now.maintenance))
    names = _names(house.chain.addresses.underlyings)
    show.table("Collateral", ["asset", "amount"], _holding_rows(house, now.portfolio))
    show.table(
        "Underlyings",
        [
            "underlying",
            "price",
            "status",
            "delta",
            "value",
            "worst scenario",
            "liquidated below",
            "above",
        ],
        [
            [
                names.get(each.underlying, str(each.underlying)),
                show_down(each.price.index),
                each.price.status.name,
                show_down(each.delta, _UNIT_PLACES),
                show_down(each.value),
                show_down(each.worst_case),
                *_liquidation(state.liquidation_prices(now.portfolio, each.underlying)),
            ]
            for each in now.underlyings
        ],
    )
    if greeks := _greek_rows(now.underlyings, names):
        header = ["underlying", "delta", "gamma per $", "vega per point", "theta per day"]
        show.table("Greeks", header, greeks)
    show.table(
        "Positions",
        ["instrument", "size", "quote"],
        [
            [
                _title(held.instrument, names),
                show_down(held.size, _UNIT_PLACES),
                show_down(held.quote),
            ]
            for held in now.portfolio.positions
        ],
    )


@main.command()
@click.argument("account", type=AccountType())
@click.argument("delegate", type=AddressType())
@click.pass_context
def delegate(ctx: click.Context, account: AccountId, delegate: ChecksumAddress) -> None:
    """What somebody may do with an account that is not his."""
    house: Plimsoll = ctx.obj()
    granted = house.account(account).delegation(delegate)
    if granted is None:
        raise click.ClickException(f"{delegate} was granted nothing on {account}")
    names = _names(house.chain.addresses.underlyings)
    markets = ", ".join(names.get(u, str(u)) for u in sorted(granted.markets))
    rows = [
        ("holds", "yes" if granted.holds(house.chain.now()) else "no longer"),
        ("until", str(granted.expiry)),
        ("bids", "yes" if granted.may_bid else "no"),
        ("trades", "to reduce" if granted.reduce_only else "either way"),
        ("leverage", "any" if granted.max_leverage is None else f"at most {granted.max_leverage}"),
        ("markets", markets or "all"),
    ]
    Show().table(f"Delegate {delegate} of {account}", ["", ""], rows)


@main.command()
@click.argument("subject", type=SubjectType())
@click.argument("change", nargs=-1)
@click.option("--trade", "trades", type=TradeType(), multiple=True, help="MARKET:SIZE@PRICE")
@click.option("--at", "prices", type=PriceType(), multiple=True, help="MARKET=PRICE")
@click.option("--maker", is_flag=True, help="Pay the maker's fee, not the taker's.")
@click.option("--json", "as_json", is_flag=True, help="Everything, exact, for programs.")
@click.pass_context
def preview(
    ctx: click.Context,
    subject: AccountId | Kind,
    change: Sequence[str],
    trades: Sequence[tuple[str, Decimal, Decimal]],
    prices: Sequence[tuple[str, Decimal]],
    maker: bool,
    as_json: bool,
) -> None:
    """What trades would do to an account, or a parameter to everybody. Changes nothing.

    preview ACCOUNT --trade MARKET:SIZE@PRICE --at MARKET=PRICE: the chain computes trades at
    today's prices; with --at the integer twin computes, here.

    preview KIND ID FIELD=VALUE...: whom a change of this parameter takes below a margin, when it
    comes into force and at the end of its ramp. ID is a number or a symbol; `unset` for the
    fields takes the word away.
    """
    house: Plimsoll = ctx.obj()
    if isinstance(subject, Kind):
        _preview_parameter(house, subject, change, as_json)
        return
    if change or as_json:
        raise click.UsageError("FIELD=VALUE and --json belong to the preview of a parameter")
    account_ = house.account(subject)
    fills = [
        house.market(_number(market)).fill(size, price, is_taker=not maker)
        for market, size, price in trades
    ]
    before, after = _previewed(house, account_, fills, prices)
    rows = zip(_margin_rows(before), _margin_rows(after), strict=True)
    Show().table(
        f"Account {subject}",
        ["", "now", "then"],
        [[label, now, then] for (label, now), (_, then) in rows],
    )


def _preview_parameter(house: Plimsoll, kind: Kind, change: Sequence[str], as_json: bool) -> None:
    if len(change) < 2:
        raise click.UsageError("give KIND ID FIELD=VALUE..., such as UNDERLYING ETH range='7 %'")
    id_, *fields = change
    block = house.chain.w3.eth.block_number
    proposal = governance.propose(
        house,
        kind,
        governance.id_of(house, kind, id_),
        dict(_field(text) for text in fields),
        block,
        house.chain.addresses.governor,
    )
    accounts: list[AccountId] = []
    if proposal.kind in governance.MARGIN_KINDS:
        directory = Directory(house.chain, house.chain.addresses.first_block)
        directory.catch_up(block)
        accounts = [AccountId.decode(known) for known in sorted(directory.known)]
    found = governance.preview(house, proposal, accounts)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        _show_preview(found, id_)


def _field(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign and name != governance.UNSET:
        raise click.UsageError(f"{text!r} is not FIELD=VALUE")
    return name, value


def _show_preview(found: governance.Preview, name: str) -> None:
    proposal, show = found.proposal, Show()
    for line in proposal.changes or ["nothing changes"]:
        click.echo(f"{proposal.kind.name} {name}: {line}")
    waits = "at once" if proposal.at_once else "after two days, on acceptance"
    ramp = "; maintenance follows over three days" if governance.ramps(proposal) else ""
    click.echo(f"in force {waits}{ramp}")
    if found.effect:
        click.echo(found.effect)
        return
    affected = found.affected
    looked_at = f"{len(found.outlooks)} accounts at block {found.block}"
    unreadable = f"; {len(found.unreadable)} cannot be read" if found.unreadable else ""
    click.echo(f"{looked_at}: {len(affected)} fall below a margin{unreadable}")
    show.table(
        "Accounts that fall below a margin",
        [
            "account",
            "when",
            "below",
            "equity",
            "initial margin",
            "then",
            "short",
            "maintenance margin",
            "then",
            "short",
        ],
        [
            _outlook_row(each.account, when, outlook)
            for each in affected
            for when, outlook in (("now", each.now), ("end of ramp", each.end))
            if outlook.falls
        ],
    )


def _outlook_row(account: AccountId, when: str, outlook: governance.Outlook) -> list[str]:
    before, after = outlook.before, outlook.after
    return [
        str(account),
        when,
        "maintenance" if outlook.liquidatable else "initial",
        show_down(after.equity),
        show_up(before.initial_margin),
        show_up(after.initial_margin),
        show_up(outlook.initial_shortfall),
        show_up(before.maintenance_margin),
        show_up(after.maintenance_margin),
        show_up(outlook.maintenance_shortfall),
    ]


@main.command()
@click.argument("underlyings", nargs=-1)
@click.pass_context
def markets(ctx: click.Context, underlyings: Sequence[str]) -> None:
    """Prices and terms of UNDERLYINGS, by id or symbol; by default of all that are named."""
    house: Plimsoll = ctx.obj()
    known = house.chain.addresses.underlyings
    chosen = [house.market(_number(name)).instrument.underlying for name in underlyings]
    names = _names(known)
    states = house.markets(chosen or sorted(known.values()))
    Show().table(
        "Markets",
        ["market", "price", "stable", "status", "taker", "maker", "open interest", "cap", "open"],
        [
            [
                names.get(underlying, str(underlying)),
                show_down(state.price.index),
                show_down(state.price.stable),
                state.price.status.name,
                _percent_up(state.market.taker_fee),
                _percent_up(state.market.maker_fee),
                show_down(state.open_interest, _UNIT_PLACES),
                show_down(state.market.open_interest_cap, 0),
                "reduce only" if state.market.closed else "yes",
            ]
            for underlying, state in states.items()
        ],
    )


@main.command()
@click.argument("asset")
@click.argument("amount", type=str)
@click.pass_context
def explain(ctx: click.Context, asset: str, amount: str) -> None:
    """What AMOUNT of ASSET, held alone, counts for in initial margin, and why."""
    house: Plimsoll = ctx.obj()
    value = house.asset(_number(asset)).explain(amount)
    Show().facts(f"{amount} of asset {asset}", _collateral_rows(value))


@main.command()
@click.pass_context
def solvency(ctx: click.Context) -> None:
    """Whether the house can pay, and what cash costs and earns now."""
    house: Plimsoll = ctx.obj()
    now, end = house.solvency(), house.wind_down()
    state = "halted" if now.halted else "shut" if now.shut else "open"
    if end.resume_ready_at or end.shut_ready_at:
        state += f", changes from {end.resume_ready_at or end.shut_ready_at}"
    Show().facts(
        "The house",
        [
            ("new risk", state),
            ("reserves", show_down(now.reserves)),
            ("losses provided for", show_up(now.provision)),
            ("deficit", show_up(now.deficit)),
            ("settlement tokens present", show_down(now.tokens)),
            ("utilisation", _percent_up(now.utilisation)),
            ("borrowers pay, a year", _percent_up(now.borrow_rate)),
            ("suppliers earn, a year", _percent_down(now.supply_rate)),
        ],
    )


@main.command()
@click.option("--once", is_flag=True, help="Look once, report, and end.")
@click.option("--every", default=15.0, show_default=True, help="Seconds between looks.")
@click.pass_context
def reporter(ctx: click.Context, once: bool, every: float) -> None:
    """Signs premiums and reports them once a quorum agrees; one line of JSON a pass.

    Set up by PLIMSOLL_REPORTER_SOURCE, _BOX, _KEYS (or _COMMAND with _ADDRESS), _SENDER and
    _UNDERLYINGS. With _QUOTES it also fits and reports surfaces of volatility, on a line of their
    own. Without a sender it only says what it would report.
    """
    house: Plimsoll = ctx.obj()
    sender = os.environ.get("PLIMSOLL_REPORTER_SENDER")
    if sender:
        house = house.signed_by(Keys.from_key(sender))
    working = reporter_on(house.chain, os.environ)
    surfaces = surface_reporter_beside(working, os.environ)
    while True:
        click.echo(json.dumps(working.step().to_json()))
        if surfaces is not None:
            click.echo(json.dumps({"surfaces": surfaces.step().to_json()}))
        if once:
            return
        time.sleep(every)


class Show:
    """Tables for eyes, plain columns for pipes."""

    def __init__(self) -> None:
        self._console = Console()

    def table(self, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        rows = list(rows)
        if not rows:
            return
        if not self._console.is_terminal:
            for row in [header, *rows] if header else rows:
                click.echo("\t".join(row))
            return
        table = Table(title=title, title_justify="left", show_header=bool(header))
        for number, name in enumerate(header or rows[0]):
            table.add_column(name, justify="left" if number == 0 else "right")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def facts(self, title: str, rows: Iterable[tuple[str, str]]) -> None:
        self.table(title, (), [list(row) for row in rows])


def _previewed(
    house: Plimsoll,
    account: Account,
    fills: Sequence[Fill],
    prices: Sequence[tuple[str, Decimal]],
) -> tuple[Margin, Margin]:
    if not prices:
        return account.preview(*fills)
    moved = {house.market(_number(m)).instrument.underlying: price for m, price in prices}
    return account.what_if(*fills, prices=moved)


def _health_rows(now: AccountRisk) -> list[tuple[str, str]]:
    margin = now.margin
    rows = [
        ("health", f"{_ratio_down(now.health)} ({_verdict(margin)})"),
        ("equity", show_down(margin.equity)),
        ("initial equity / margin", _pair(margin.initial_equity, margin.initial_margin)),
        (
            "maintenance equity / margin",
            _pair(margin.maintenance_equity, margin.maintenance_margin),
        ),
        ("free collateral", show_down(now.free_collateral)),
        ("cash", show_down(now.portfolio.cash)),
    ]
    if now.auction.state is not AuctionState.NONE:
        rows.append(("auction", f"{now.auction.state.name} at {_percent_down(now.depth)}"))
    return rows


def _holding_rows(house: Plimsoll, portfolio: Portfolio) -> list[list[str]]:
    terms = house.assets([held.asset for held in portfolio.collateral])
    names = _names(house.chain.addresses.assets)
    return [
        [
            names.get(held.asset, str(held.asset)),
            show_down(held.amount(terms[held.asset].decimals), _UNIT_PLACES),
        ]
        for held in portfolio.collateral
    ]


def _liquidation(prices: LiquidationPrices) -> tuple[str, str]:
    """Rounded towards the present price, so that nobody believes himself safer than he is."""
    below, above = prices.at_or_below, prices.at_or_above
    return (
        "never" if below is None else show_up(below),
        "never" if above is None else show_down(above),
    )


def _margin_rows(margin: Margin) -> list[tuple[str, str]]:
    return [
        ("equity", show_down(margin.equity)),
        ("initial equity", show_down(margin.initial_equity)),
        ("initial margin", show_up(margin.initial_margin)),
        ("maintenance equity", show_down(margin.maintenance_equity)),
        ("maintenance margin", show_up(margin.maintenance_margin)),
        ("verdict", _verdict(margin)),
    ]


def _parts_rows(initial: MarginParts, maintenance: MarginParts) -> list[list[str]]:
    return [
        ["scan", show_up(initial.scan), show_up(maintenance.scan)],
        [
            "collateral charge",
            show_up(initial.collateral_charge),
            show_up(maintenance.collateral_charge),
        ],
        [
            "position charge",
            show_up(initial.position_charge),
            show_up(maintenance.position_charge),
        ],
        ["band", show_up(initial.band), show_up(maintenance.band)],
        *([["term", show_up(initial.term), show_up(maintenance.term)]] if initial.term else []),
    ]


def _greek_rows(risks: Sequence[UnderlyingRisk], names: dict[int, str]) -> list[list[str]]:
    return [
        [
            names.get(each.underlying, str(each.underlying)),
            show_down(each.delta, _UNIT_PLACES),
            show_down(each.gamma, _UNIT_PLACES),
            show_down(each.vega / 100),
            show_down(each.theta),
        ]
        for each in risks
        if each.is_curved
    ]


def _collateral_rows(value: CollateralValue) -> list[tuple[str, str]]:
    return [
        ("units of the underlying", show_down(value.units, _UNIT_PLACES)),
        ("value at the index price", show_down(value.value)),
        ("less loss at the scan range", show_up(value.scan_loss)),
        ("less haircut", show_up(value.haircut)),
        ("less basis charge", show_up(value.basis_charge)),
        ("less price reserve", show_up(value.price_reserve)),
        ("counts for", show_down(value.counted)),
    ]


def _verdict(margin: Margin) -> str:
    if not margin.healthy:
        return "below maintenance"
    if not margin.free:
        return "below initial"
    return "healthy, a price is doubtful" if margin.doubtful else "healthy"


def _title(instrument: Instrument, names: dict[int, str]) -> str:
    if instrument.kind is not InstrumentKind.PERPETUAL:
        return instrument.name(names)
    name = names.get(instrument.underlying, str(instrument.underlying))
    return f"{name} {instrument.kind.name.lower()}"


def _names(known: dict[str, int]) -> dict[int, str]:
    return {id_: symbol for symbol, id_ in known.items()}


def _number(id_or_symbol: str) -> int | str:
    return int(id_or_symbol) if id_or_symbol.isdecimal() else id_or_symbol


def _pair(equity: Decimal, margin: Decimal) -> str:
    return f"{show_down(equity)} / {show_up(margin)}"


def _ratio_down(health: Decimal) -> str:
    if health.is_finite():
        return show_down(health, _RATE_PLACES)
    return "no margin needed" if health > 0 else "only debt"


def _percent_down(share: Decimal) -> str:
    return f"{show_down(share * 100, _RATE_PLACES)} %"


def _percent_up(share: Decimal) -> str:
    return f"{show_up(share * 100, _RATE_PLACES)} %"


if __name__ == "__main__":
    main()
