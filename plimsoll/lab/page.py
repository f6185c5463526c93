"""One self-contained HTML page of a run: equity against maintenance margin.

Nothing is loaded from elsewhere. Every chart has a title and a description, has its numbers in a
table below it, tells its two lines apart by shape and not by colour alone, and is read out step by
step with the arrow keys.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from plimsoll.lab.figures import depth, dollars, exact, outcome, percent, ratio, verdict
from plimsoll.lab.optiontables import Table, book_tables, expiry_tables, greeks_text, outcomes_text
from plimsoll.lab.record import (
    Compartment,
    Portrait,
    Quiet,
    Reading,
    RunRecord,
    SharedLoss,
    WorldRecord,
)

WAD = 10**18
_WIDTH, _HEIGHT = 520, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 14, 26
_DASHES = ("", "7 3", "2 3", "9 3 2 3")


def render_page(run: RunRecord) -> str:
    """The whole page as text."""
    shell = Template(files("plimsoll.lab").joinpath("page.html").read_text(encoding="utf-8"))
    return shell.substitute(
        title=escape(run.title),
        source=escape(run.label),
        badge="synthetic" if run.synthetic else "real data",
        summary=_summary(run),
        market=_market(run.worlds[0], run.step_seconds),
        traders="".join(_trader(run, at) for at in range(len(run.worlds[0].portraits))),
        options="".join(_book(run, at) for at in range(len(run.worlds[0].options))),
        losses=_losses(run) + "".join(_after(world) for world in run.worlds),
        books="".join(_books(world) for world in run.worlds),
    )


def _summary(run: RunRecord) -> str:
    names = ["portfolio"]
    for world in run.worlds:
        names += [f"{world.name}: opening", "end", "outcome"]
    rows = [
        _row(portrait.name, *(cell for world in run.worlds for cell in _fate(world.portraits[at])))
        for at, portrait in enumerate(run.worlds[0].portraits)
    ]
    return _table("What each portfolio was worth, and what became of it", names, rows)


def _fate(portrait: Portrait) -> tuple[str, str, str]:
    last = len(portrait.compartments[0].readings) - 1
    mood = "bad" if portrait.slices or portrait.losses else "good"
    return (
        dollars(portrait.equity(0)),
        dollars(portrait.equity(last)),
        f'<span class="{mood}">{escape(outcome(portrait))}</span>',
    )


def _market(world: WorldRecord, step_seconds: int) -> str:
    """Every price that moved, as a share of its opening."""
    opening = world.prices[0]
    lines = {
        symbol: [prices[symbol] * WAD // first for prices in world.prices]
        for symbol, first in opening.items()
        if any(prices[symbol] != first for prices in world.prices)
    }
    every = [WAD, *(value for line in lines.values() for value in line)]
    scale = _Scale(len(world.prices), min(every), max(every))
    falls = ", ".join(f"{name} to {ratio(min(line))}" for name, line in lines.items())
    picture = _picture(
        key="market",
        title="Prices as a share of the opening",
        description=f"At their lowest: {falls} of the opening. A step is {step_seconds} seconds.",
        body=scale.axis(ratio)
        + "".join(_line(n, name, values, scale) for n, (name, values) in enumerate(lines.items())),
        readout=[
            ", ".join(f"{name} {ratio(line[at])}" for name, line in lines.items())
            for at in range(scale.count)
        ],
    )
    rows = [
        _row(str(at), *(dollars(prices[symbol], places=2) for symbol in opening))
        for at, prices in enumerate(world.prices)
    ]
    return picture + _details("Prices by step", _table("Index prices", ["step", *opening], rows))


def _line(number: int, name: str, values: Sequence[int], scale: "_Scale") -> str:
    style = f'class="line l{number % 4}" stroke-dasharray="{_DASHES[number % 4]}"'
    x, y = _LEFT + 8 + 64 * number, _HEIGHT - _BOTTOM - 8
    return (
        f'<path {style} d="{scale.path(values)}"/>'
        f'<text class="key l{number % 4}" x="{x}" y="{y}">{escape(name)}</text>'
    )


def _trader(run: RunRecord, at: int) -> str:
    portrait = run.worlds[0].portraits[at]
    columns = "".join(_world_column(world, at) for world in run.worlds)
    return (
        f'<section class="trader"><h3>{escape(portrait.name)}</h3><p>{escape(portrait.story)}</p>'
        f'<div class="worlds">{columns}</div></section>'
    )


def _world_column(world: WorldRecord, at: int) -> str:
    portrait = world.portraits[at]
    charts = "".join(
        _chart(world.name, portrait.name, each, f"{world.name}-{at}-{number}")
        for number, each in enumerate(portrait.compartments)
    )
    fate = f"<small>{escape(outcome(portrait))}</small>"
    return f"<div><h4>{escape(world.name)} {fate}</h4>{charts}</div>"


def _chart(world: str, trader: str, compartment: Compartment, key: str) -> str:
    readings = compartment.readings
    equity = [each.equity for each in readings]
    margin = [each.maintenance for each in readings]
    scale = _Scale(len(readings), min(*equity, *margin, 0), max(*equity, *margin, 1))
    lowest = min(readings, key=lambda each: each.equity - each.maintenance)
    picture = _picture(
        key=key,
        title=f"{trader}, {world}: {compartment.name}",
        description=(
            f"Equity from {dollars(equity[0])} to {dollars(equity[-1])}; "
            f"maintenance margin from {dollars(margin[0])} to {dollars(margin[-1])}; "
            f"closest at step {lowest.step}; slices taken: {len(compartment.slices)}."
        ),
        body=(
            f"{scale.axis(dollars)}"
            f'<path class="margin" d="{scale.area(margin)}"/>'
            f'<path class="edge" d="{scale.path(margin)}"/>'
            f'<path class="equity" d="{scale.path(equity)}"/>'
            f"{''.join(_marker(scale, compartment, n) for n in range(len(compartment.slices)))}"
        ),
        readout=[_reading_text(each) for each in readings],
    )
    return f"<h5>{escape(compartment.name)}</h5>{picture}{_numbers(compartment)}"


def _reading_text(reading: Reading) -> str:
    return f"equity {dollars(reading.equity)}, maintenance margin {dollars(reading.maintenance)}"


def _marker(scale: "_Scale", compartment: Compartment, number: int) -> str:
    taken = compartment.slices[number]
    x = scale.x(taken.step)
    y = scale.y(compartment.readings[taken.step].equity) - 4
    text = f"step {taken.step}: {percent(taken.fraction)} taken at a depth of {depth(taken.depth)}"
    return f'<path class="slice" d="M{x:.1f} {y:.1f}l-5 -9h10z"><title>{text}</title></path>'


def _numbers(compartment: Compartment) -> str:
    rows = [
        _row(
            str(each.step),
            *(dollars(value, 2) for value in (each.equity, each.maintenance, each.initial)),
        )
        for each in compartment.readings
    ]
    names = ["step", "equity", "maintenance margin", "initial margin"]
    tables = _table("Equity and margins", names, rows)
    return _details("Numbers", tables + (_slices(compartment) if compartment.slices else ""))


def _slices(compartment: Compartment) -> str:
    rows = [
        _row(
            str(each.step),
            percent(each.fraction),
            depth(each.depth),
            *(dollars(v, 2) for v in (each.equity, each.price, each.discount, each.payout)),
            escape(each.bidder),
        )
        for each in compartment.slices
    ]
    names = ["step", "slice", "depth", "worth", "price", "discount", "paid by the pool", "bidder"]
    return _table("Slices taken", names, rows)


def _losses(run: RunRecord) -> str:
    names = ["world", "bad debt", "from reserves", "from suppliers of cash", "recorded deficit"]
    rows = [
        _row(
            world.name,
            *(
                dollars(sum(part), 2)
                for part in (
                    [loss.total for loss in world.losses],
                    [loss.from_reserves for loss in world.losses],
                    [loss.from_suppliers for loss in world.losses],
                    [loss.to_deficit for loss in world.losses],
                )
            ),
            dollars(world.desk_earned, 2),
        )
        for world in run.worlds
    ]
    return _table("Bad debt, and who bore it", [*names, "bidder earned"], rows)


def _after(world: WorldRecord) -> str:
    """The quiet hours, the backstop and the shared loss of a world, each if there was one."""
    parts = (
        _quiet(world.name, world.quiet),
        *(_plain_table(table) for table in expiry_tables(world)),
        _backstop(world),
        _shared(world.name, world.shared),
    )
    return "".join(parts)


def _book(run: RunRecord, number: int) -> str:
    """An option book: margin of parts against portfolio margin, and why they differ."""
    book = run.worlds[-1].options[number]
    greeks = "".join(
        f"<p>Greeks, {name}: {escape(greeks_text(found))}.</p>"
        for name, found in (("options alone", book.options), ("with the hedge", book.hedged))
    )
    tables = "".join(_plain_table(table) for table in book_tables(run, number))
    heading = f"<h2>{escape(book.trader)}: margin of parts and portfolio margin</h2>"
    fate = f"<p>Liquidated: {escape(outcomes_text(run, number))}.</p>"
    return heading + _margins(run, number) + greeks + fate + tables


def _margins(run: RunRecord, number: int) -> str:
    cross = run.worlds[-1]
    book = cross.options[number]
    compartments = cross.portrait(book.trader).compartments
    lines = {
        "parts": [each.parts_maintenance for each in book.steps],
        "equity": [cross.portrait(book.trader).equity(step.step) for step in book.steps],
        "portfolio": [
            sum(each.readings[step.step].maintenance for each in compartments)
            for step in book.steps
        ],
    }
    every = [0, *(value for line in lines.values() for value in line)]
    scale = _Scale(len(book.steps), min(every), max(every))
    opening = ", ".join(f"{name} {dollars(line[0])}" for name, line in lines.items())
    most = ", ".join(f"{name} {dollars(max(line))}" for name, line in lines.items())
    return _picture(
        key=f"book-{number}",
        title=f"{book.trader}: maintenance margin of parts, of the portfolio, and equity",
        description=f"The same positions. At the opening: {opening}. At most: {most}.",
        body=scale.axis(dollars)
        + "".join(_line(n, name, values, scale) for n, (name, values) in enumerate(lines.items())),
        readout=[
            f"volatility {percent(step.volatility)}, "
            + ", ".join(f"{name} {dollars(line[at])}" for name, line in lines.items())
            for at, step in enumerate(book.steps)
        ],
    )


def _plain_table(table: Table) -> str:
    title, names, rows = table
    return _table(title, names, [_row(row[0], *map(escape, row[1:])) for row in rows])


def _quiet(world: str, quiet: Quiet | None) -> str:
    if quiet is None:
        return ""
    rows = [_row(row.name, dollars(row.interest, 4), dollars(row.funding, 4)) for row in quiet.rows]
    rows.append(_row("reserves", dollars(quiet.to_reserves, 4), ""))
    caption = (
        f"{quiet.hours} quiet hours in the {world} world: borrowers pay "
        f"{percent(quiet.borrow_rate)} a year, suppliers earn {percent(quiet.supply_rate)}; "
        f"{quiet.reports} batches of signed reports set funding"
    )
    return _table(caption, ["account", "interest", "funding"], rows)


def _backstop(world: WorldRecord) -> str:
    taken = world.backstop
    if taken is None:
        return ""
    names = ["depth", "slice", "worth", "price", "margin drawn", "sold again", "returned"]
    row = _row(
        depth(taken.depth),
        percent(taken.fraction),
        dollars(taken.equity, 2),
        dollars(taken.price, 2),
        dollars(taken.funding, 2),
        percent(taken.unwound),
        dollars(taken.swept, 2),
        dollars(taken.value_before, 2),
        dollars(taken.value_after, 2),
    )
    caption = f"The backstop buys what nobody bids on, in the {world.name} world"
    return _table(caption, [*names, "shares before", "shares after"], [row])


def _shared(world: str, loss: SharedLoss | None) -> str:
    """Adds up to the loss, to the wei."""
    if loss is None:
        return ""
    rows = [_row("reserves (the backstop)", "", "", exact(loss.from_reserves))]
    rows += [
        _row(row.name, dollars(row.cash, 2), dollars(row.expected, 2), exact(row.borne))
        for row in loss.rows
    ]
    rows += [
        _row("rounding, kept by the vault", "", "", exact(loss.rounding)),
        _row("recorded deficit", "", "", exact(loss.to_deficit)),
        _row("sum", "", "", exact(loss.parts)),
        _row("loss that was booked", "", "", exact(loss.total)),
    ]
    caption = f"A loss beyond the reserves, shared to the wei, in the {world} world"
    return _table(caption, ["who bears it", "cash before", "foreseen", "bears"], rows)


def _books(world: WorldRecord) -> str:
    rows = [
        _row(
            str(check.number),
            f'<span class="claim">{escape(check.claim)}</span>',
            str(check.left),
            str(check.right),
            f'<span class="{"good" if check.holds else "bad"}">{verdict(check)}</span>',
        )
        for check in world.checks
    ]
    names = ["no.", "claim", "left", "right", "verdict"]
    return _table(f"Books of the {world.name} world, in the smallest unit", names, rows)


class _Scale:
    """From steps and values to the picture."""

    def __init__(self, count: int, low: int, high: int) -> None:
        margin = max((high - low) // 12, 1)
        self.count = count
        self.low = low if low == 0 else low - margin
        self.high = high + margin

    def x(self, step: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / max(1, self.count - 1)

    def y(self, value: int) -> float:
        height = _HEIGHT - _TOP - _BOTTOM
        return _TOP + height * (self.high - value) / (self.high - self.low)

    def path(self, values: Sequence[int]) -> str:
        points = (f"{self.x(at):.1f} {self.y(value):.1f}" for at, value in enumerate(values))
        return "M" + "L".join(points)

    def area(self, values: Sequence[int]) -> str:
        base = self.y(max(self.low, 0))
        return f"{self.path(values)}V{base:.1f}H{self.x(0):.1f}Z"

    def axis(self, label: Callable[[int], str]) -> str:
        lines = [
            self._level("grid", tick) + self._label(tick, label(tick))
            for tick in round_ticks(self.low, self.high)
        ]
        if self.low < 0 < self.high:
            lines.append(self._level("zero", 0))
        last = self.count - 1
        steps = sorted({0, last // 4, last // 2, last * 3 // 4, last})
        y = _HEIGHT - 8
        lines += [f'<text class="step" x="{self.x(s):.1f}" y="{y}">{s}</text>' for s in steps]
        return "".join(lines)

    def _level(self, style: str, value: int) -> str:
        return f'<path class="{style}" d="M{_LEFT} {self.y(value):.1f}H{_WIDTH - _RIGHT}"/>'

    def _label(self, value: int, text: str) -> str:
        return f'<text class="tick" x="{_LEFT - 6}" y="{self.y(value) + 4:.1f}">{text}</text>'


def round_ticks(low: int, high: int) -> range:
    """Multiples of 1, 2 or 5 times a power of ten, at most six, within the limits."""
    rough = max(1, (high - low) // 6)
    power: int = 10 ** (len(str(rough)) - 1)
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor > rough)
    return range(-(-low // step) * step, high + 1, step)


def _picture(key: str, title: str, description: str, body: str, readout: Sequence[str]) -> str:
    key = "".join(letter if letter.isalnum() else "-" for letter in key)
    data = escape(json.dumps(list(readout)))
    return (
        f'<figure data-readout="{data}" data-left="{_LEFT}" data-right="{_RIGHT}">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" tabindex="0"'
        f' aria-labelledby="{key}-t {key}-d"><title id="{key}-t">{escape(title)}</title>'
        f'<desc id="{key}-d">{escape(description)}</desc>{body}<path class="cursor" d=""/></svg>'
        f'<figcaption aria-live="polite">{escape(description)}</figcaption></figure>'
    )


def _table(caption: str, names: Iterable[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in names)
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(name: str, *cells: str) -> str:
    """`name` is text, cells are markup."""
    return f"<tr><th scope=row>{escape(name)}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>"


def _details(name: str, inside: str) -> str:
    return f"<details><summary>{escape(name)}</summary>{inside}</details>"
