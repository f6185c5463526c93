"""The run in a terminal: what a trader understands at a glance. Plain text without a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table

from plimsoll.lab.figures import bps, depth, dollars, exact, fates, percent, ratio, verdict
from plimsoll.lab.optiontables import book_tables, expiry_tables, greeks_text, outcomes_text
from plimsoll.lab.record import Portrait, RunRecord, WorldRecord

_PLAIN_WIDTH = 132
_WAD_PER_BPS = 10**14


def console() -> Console:
    """Colours and lines for a terminal; bare text for a file or a pipe."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_PLAIN_WIDTH)


class Stages:
    """Says what is being done, and how long it took."""

    def __init__(self, to: Console) -> None:
        self.to = to
        self.started = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = self.elapsed
        self.to.print(f"[bold]{began:6.1f} s  {name}[/bold]")
        yield
        self.to.print(f"          done in {self.elapsed - began:.1f} s")

    def tell(self, text: str) -> None:
        self.to.print(f"          {text}")


class Report:
    def __init__(self, run: RunRecord, to: Console) -> None:
        self.run = run
        self.to = to

    def show(self) -> None:
        self.to.print()
        self.to.print(f"[bold]{self.run.title}[/bold]: {self.run.label}")
        self._market()
        self._openings()
        for world in self.run.worlds:
            self._quiet(world)
        for number in range(len(self.run.worlds[0].options)):
            self._book(number)
        self._outcomes()
        for world in self.run.worlds:
            self._slices(world)
        self._losses()
        for world in self.run.worlds:
            self._expiry(world)
            self._backstop(world)
            self._shared(world)
        for world in self.run.worlds:
            self._books(world)
        self._summary()

    def _summary(self) -> None:
        """The last lines on the screen: each world in one."""
        self.to.print()
        for world in self.run.worlds:
            hit = [each.name for each in world.portraits if each.slices or each.losses]
            debt = dollars(sum(loss.total for loss in world.losses))
            holding = sum(check.holds for check in world.checks)
            if world.expiry is not None:
                kept = sum(not each.broken for each in world.expiry.books)
                held = f"{kept} of {len(world.expiry.books)} times while options expired, "
            else:
                held = ""
            self.to.print(
                f"[bold]{world.name} world[/bold]: {len(hit)} of {len(world.portraits)} portfolios"
                f" liquidated ({', '.join(hit) or 'none'}); bad debt {debt};"
                f" the books hold {held}{holding} of {len(world.checks)} checks at the end",
                soft_wrap=True,
            )

    def _market(self) -> None:
        table = self._table(
            "The crash", ["", "opening", "lowest", "at step", "end", "lowest / opening"]
        )
        series = self.run.worlds[0].prices
        for symbol in series[0]:
            prices = [each[symbol] for each in series]
            low = min(prices)
            table.add_row(
                symbol,
                dollars(prices[0], 2),
                dollars(low, 2),
                str(prices.index(low)),
                dollars(prices[-1], 2),
                ratio(low * 10**18 // prices[0]),
            )
        self.to.print(table)

    def _openings(self) -> None:
        names = ["portfolio"]
        for world in self.run.worlds:
            names += [f"{world.name}: equity", "initial margin", "maintenance"]
        table = self._table("At the opening: the same portfolios, two ways to margin them", names)
        for at, portrait in enumerate(self.run.worlds[0].portraits):
            cells: list[str] = []
            for world in self.run.worlds:
                first = [each.readings[0] for each in world.portraits[at].compartments]
                cells += [
                    dollars(sum(reading.equity for reading in first)),
                    dollars(sum(reading.initial for reading in first)),
                    dollars(sum(reading.maintenance for reading in first)),
                ]
            table.add_row(portrait.name, *cells)
        self.to.print(table)

    def _book(self, number: int) -> None:
        """One option book: its legs apart and together, and both through the crash."""
        for title, names, rows in book_tables(self.run, number):
            table = self._table(title, names)
            for row in rows:
                table.add_row(*row)
            self.to.print(table)
        book = self.run.worlds[0].options[number]
        for name, greeks in (("options alone", book.options), ("with the hedge", book.hedged)):
            self.to.print(f"{name}: {greeks_text(greeks)}", style="dim", soft_wrap=True)
        self.to.print(f"liquidated: {outcomes_text(self.run, number)}", soft_wrap=True)

    def _expiry(self, world: WorldRecord) -> None:
        """How the options ended, and whether the books held meanwhile."""
        if world.expiry is None:
            return
        for title, names, rows in expiry_tables(world):
            table = self._table(title, names)
            for row in rows:
                table.add_row(*row)
            self.to.print(table)

    def _outcomes(self) -> None:
        names = ["portfolio"]
        for world in self.run.worlds:
            names += [f"{world.name}: end", "change", "outcome"]
        table = self._table("Who is liquidated, and what is left", names)
        for at, portrait in enumerate(self.run.worlds[0].portraits):
            cells: list[str] = []
            for world in self.run.worlds:
                cells += self._outcome(world.portraits[at])
            table.add_row(portrait.name, *cells)
        self.to.print(table)

    def _outcome(self, portrait: Portrait) -> list[str]:
        last = len(portrait.compartments[0].readings) - 1
        opening, end = portrait.equity(0), portrait.equity(last)
        colour = "red" if portrait.slices or portrait.losses else "green"
        words = "\n".join(fates(portrait))
        return [dollars(end), dollars(end - opening), f"[{colour}]{words}[/{colour}]"]

    def _slices(self, world: WorldRecord) -> None:
        table = self._table(
            f"{world.name} world: who bought which slice at which discount",
            ["step", "from", "slice", "depth", "worth", "price", "discount", "from pool", "bidder"],
        )
        rows = [
            (taken, portrait, compartment)
            for portrait in world.portraits
            for compartment in portrait.compartments
            for taken in compartment.slices
        ]
        for taken, portrait, compartment in sorted(rows, key=lambda row: row[0].time):
            alone = len(portrait.compartments) == 1
            table.add_row(
                str(taken.step),
                portrait.name if alone else f"{portrait.name}: {compartment.name}",
                percent(taken.fraction),
                depth(taken.depth),
                dollars(taken.equity, 2),
                dollars(taken.price, 2),
                dollars(taken.discount, 2),
                dollars(taken.payout, 2),
                taken.bidder,
            )
        if rows:
            self.to.print(table)
        else:
            self.to.print(f"{world.name} world: nobody was liquidated")

    def _losses(self) -> None:
        table = self._table(
            "Bad debt, and who bore it",
            ["world", "bad debt", "reserves", "suppliers", "deficit", "lender", "bidder", "gas"],
        )
        for world in self.run.worlds:
            losses = world.losses
            table.add_row(
                world.name,
                dollars(sum(loss.total for loss in losses), 2),
                dollars(sum(loss.from_reserves for loss in losses), 2),
                dollars(sum(loss.from_suppliers for loss in losses), 2),
                dollars(sum(loss.to_deficit for loss in losses), 2),
                dollars(world.lender_change, 2),
                dollars(world.desk_earned, 2),
                f"{world.keeper_gas:,} in {world.keeper_transactions} tx",
            )
        self.to.print(table)

    def _quiet(self, world: WorldRecord) -> None:
        quiet = world.quiet
        if quiet is None:
            return
        used = percent(quiet.utilisation * _WAD_PER_BPS)
        self.to.print(
            f"{world.name} world, {quiet.hours} quiet hours: {used} of the cash is lent, borrowers "
            f"pay {percent(quiet.borrow_rate)} a year, suppliers earn {percent(quiet.supply_rate)};"
            f" {quiet.reports} batches of signed reports set funding",
            style="italic",
            soft_wrap=True,
        )
        table = self._table("Interest and funding", ["account", "interest", "funding"])
        for row in quiet.rows:
            table.add_row(row.name, dollars(row.interest, 4), dollars(row.funding, 4))
        table.add_row("reserves", dollars(quiet.to_reserves, 4), "")
        self.to.print(table)
        agreed = ", ".join(f"{name} {bps(value)}" for name, value in quiet.premiums.items())
        self.to.print(f"premiums agreed on, over the index: {agreed or 'none'}", style="dim")

    def _backstop(self, world: WorldRecord) -> None:
        taken = world.backstop
        if taken is None:
            return
        table = self._table(f"{world.name} world: the backstop buys what nobody bids on", ["", ""])
        for label, value in (
            ("depth of the auction", depth(taken.depth)),
            ("slice of the account", percent(taken.fraction)),
            ("worth of the slice", dollars(taken.equity, 2)),
            ("its price", dollars(taken.price, 2)),
            ("drawn from the reserves as margin", dollars(taken.funding, 2)),
            ("part sold again, by orders it signs by ERC-1271", percent(taken.unwound)),
            ("returned to the reserves", dollars(taken.swept, 2)),
            ("all shares fetch, before", dollars(taken.value_before, 2)),
            ("all shares fetch, after", dollars(taken.value_after, 2)),
        ):
            table.add_row(label, value)
        self.to.print(table)

    def _shared(self, world: WorldRecord) -> None:
        """A table that adds up to the loss, to the wei."""
        loss = world.shared
        if loss is None:
            return
        table = self._table(
            f"{world.name} world: a loss beyond the reserves, shared to the wei",
            ["who bears it", "cash before", "foreseen", "bears"],
        )
        table.add_row("reserves (the backstop)", "", "", exact(loss.from_reserves))
        for row in loss.rows:
            table.add_row(
                row.name, dollars(row.cash, 2), dollars(row.expected, 2), exact(row.borne)
            )
        table.add_row("rounding, kept by the vault", "", "", exact(loss.rounding))
        table.add_row("recorded deficit", "", "", exact(loss.to_deficit))
        table.add_section()
        table.add_row("sum", "", "", exact(loss.parts))
        table.add_row("loss that was booked", "", "", exact(loss.total))
        self.to.print(table)
        halted = "new risk is halted" if loss.halted else "new risk goes on"
        self.to.print(f"{dollars(loss.provision, 2)} were provided for; {halted}", style="dim")

    def _books(self, world: WorldRecord) -> None:
        """Each check on two lines: what is claimed and found, and the two numbers."""
        self.to.print(f"{world.name} world: the books, in the smallest unit", style="italic")
        for check in world.checks:
            colour = "green" if check.holds else "red"
            found = f"[{colour}]{verdict(check)}[/{colour}]"
            self.to.print(f"{check.number:>4}  {check.claim}: {found}")
            sign = "=" if check.left == check.right else ">" if check.left > check.right else "<"
            self.to.print(f"      {check.left} {sign} {check.right}", style="dim")

    def _table(self, title: str, names: Sequence[str]) -> Table:
        style = box.ROUNDED if self.to.is_terminal else box.ASCII2
        table = Table(title=title, title_justify="left", box=style, pad_edge=False)
        for number, name in enumerate(names):
            table.add_column(name, justify="left" if number == 0 else "right")
        return table
