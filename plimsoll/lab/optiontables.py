"""The option book in tables of text: the same cells for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from plimsoll.lab.figures import dollars, outcome, percent, units
from plimsoll.lab.record import Greeks, OptionBook, RunRecord, WorldRecord

Table = tuple[str, Sequence[str], list[Sequence[str]]]
"""Title, names of columns, rows."""

_SHOWN = 8
"""Steps of a crash in the short table."""


def book_tables(run: RunRecord, number: int) -> Iterator[Table]:
    """The legs at the opening, and margins and equity through the crash."""
    cross = run.worlds[-1]
    book = cross.options[number]
    yield _legs(book)
    yield _through(run, number)


def _legs(book: OptionBook) -> Table:
    initial, maintenance = book.initial, book.maintenance
    parts = [sum(leg.initial for leg in book.legs), sum(leg.maintenance for leg in book.legs)]
    rows: list[Sequence[str]] = [
        (
            leg.name,
            units(leg.size),
            dollars(leg.mark, 2),
            dollars(leg.initial),
            dollars(leg.maintenance),
        )
        for leg in book.legs
    ]
    rows += [
        ("sum of parts", "", "", dollars(parts[0]), dollars(parts[1])),
        ("portfolio margin", "", "", dollars(initial), dollars(maintenance)),
        ("credit", "", "", dollars(parts[0] - initial), dollars(parts[1] - maintenance)),
    ]
    title = f"{book.trader}: the book at the opening, expiring {moment(book.expiry)}"
    return title, ["leg", "size", "mark", "initial margin alone", "maintenance alone"], rows


def _through(run: RunRecord, number: int) -> Table:
    """Of the cross world's positions: what they need apart, and behind one margin."""
    cross = run.worlds[-1]
    book = cross.options[number]
    names = ["step", book.underlying, "volatility", "parts: maintenance", "portfolio: maintenance"]
    names += [f"{world.name}: equity" for world in run.worlds]
    rows: list[Sequence[str]] = []
    for at in shown_steps([prices[book.underlying] for prices in cross.prices]):
        together = sum(
            each.readings[at].maintenance for each in cross.portrait(book.trader).compartments
        )
        rows.append(
            (
                str(at),
                dollars(cross.prices[at][book.underlying], 2),
                percent(book.steps[at].volatility),
                dollars(book.steps[at].parts_maintenance),
                dollars(together),
                *(dollars(world.portrait(book.trader).equity(at)) for world in run.worlds),
            )
        )
    if all(world.expiry for world in run.worlds):
        ends = [dollars(world.expiry.ends[book.trader]) for world in run.worlds if world.expiry]
        rows.append(("settled", dollars(_fixed(cross, book), 2), "", "", "", *ends))
    return f"{book.trader}: margins and equity through the crash", names, rows


def _fixed(world: WorldRecord, book: OptionBook) -> int:
    """At what his options were settled."""
    fixings = world.expiry.fixings if world.expiry else []
    return next(each.price for each in fixings if each.underlying == book.underlying)


def outcomes_text(run: RunRecord, number: int) -> str:
    """What became of the book in each world."""
    trader = run.worlds[0].options[number].trader
    return "; ".join(f"{world.name}: {outcome(world.portrait(trader))}" for world in run.worlds)


def shown_steps(prices: Sequence[int]) -> list[int]:
    """Evenly over the run, and the lowest price."""
    last = len(prices) - 1
    even = {last * part // _SHOWN for part in range(_SHOWN + 1)}
    return sorted(even | {prices.index(min(prices))})


def expiry_tables(world: WorldRecord) -> Iterator[Table]:
    """The fixing, who was settled, and the books meanwhile."""
    expiry = world.expiry
    if expiry is None:
        return
    for fixing in expiry.fixings:
        rows: list[Sequence[str]] = [
            (f"sample {n}, round {number} of the feed", dollars(price, 8))
            for n, (number, price) in enumerate(
                zip(fixing.rounds, fixing.samples, strict=True), start=1
            )
        ]
        rows.append(("settlement price, the mean", dollars(fixing.price, 8)))
        title = f"{world.name} world: the fixing of {fixing.underlying}"
        yield title, ["", fixing.underlying], rows
    settled: list[Sequence[str]] = [
        (
            each.name,
            each.instrument,
            units(each.size),
            dollars(each.paid, 2),
            dollars(each.equity_before, 2),
            dollars(each.equity_after, 2),
        )
        for each in expiry.settled
    ]
    names = ["account", "option", "size", "settled", "equity before", "after"]
    yield f"{world.name} world: anybody settles what has expired", names, settled
    books: list[Sequence[str]] = [
        (each.moment, f"{each.holding} of {each.checks}", "; ".join(each.broken) or "none")
        for each in expiry.books
    ]
    title = f"{world.name} world: the books while the options end"
    yield title, ["moment", "checks that hold", "broken"], books


def greeks_text(greeks: Greeks) -> str:
    """In one line, with what each is a change of."""
    return (
        f"delta {units(greeks.delta)}, gamma {units(greeks.gamma, 6)} a dollar, "
        f"vega {dollars(greeks.vega // 100, 2)} a point of volatility, "
        f"theta {dollars(greeks.theta, 2)} a day"
    )


def moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
