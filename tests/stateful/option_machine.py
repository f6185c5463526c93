"""The machine with options and futures: surfaces are reported, books of them traded, taken over,
fixed and settled, while everybody else acts as before."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from plimsoll.risk.instruments import Instrument, expiry_of, future, is_friday, option
from plimsoll.risk.ledger import Account, Refused
from plimsoll.risk.model import BPS, WAD
from plimsoll.risk.oracle import FIXING_INTERVAL, FIXING_SAMPLES, fixing_instant
from plimsoll.risk.surface import NANO
from tests.house import BTC, ETH
from tests.stateful import option_invariants
from tests.stateful.backed_machine import BackedMachine
from tests.stateful.invariants import named
from tests.stateful.machine import TRADERS, who
from tests.surfaces import first_day, flat
from tests.world import RoundsFeed

CURVED = (ETH, BTC)
FIXING = FIXING_SAMPLES * FIXING_INTERVAL
Expiry = tuple[int, int]
"""Underlying and day."""

underlyings = st.sampled_from(CURVED)
# A kind, a strike in bps of the price, an expiry by its place, a ratio.
legs = st.tuples(
    st.sampled_from(["call", "call", "put", "put", "future"]),
    st.sampled_from([9_000, 10_000, 10_000, 11_000]),
    st.integers(0, 1),
    st.sampled_from([WAD, -WAD]),
)


class OptionMachine(BackedMachine):
    """Books are small: a strike or two of the next expiries."""

    def __init__(self) -> None:
        super().__init__()
        self.overdue = 0

    # Surfaces

    @rule(u=underlyings, vol=st.sampled_from([35, 60, 60, 110]), late=st.booleans())
    def report_surface(self, u: int, vol: int, late: bool) -> None:
        """Of the next expiries; or of what was seen before the last time."""
        self._report_surface(u, vol)
        if late:
            day = self._days()[0]
            seen_at = self.house.expiries[u, day].observed_at
            age = self.house.now - seen_at
            with self.house.evm.reverts("ReportNotNewer", u, seen_at, seen_at):
                self.house.report_surface(u, [flat(day, vol)], age=age)
            self.house.outcomes["surface: ReportNotNewer"] += 1

    def _report_surface(self, u: int, vol: int = 60) -> None:
        days = self._days()
        seen = [self.house.expiries.get((u, day)) for day in days]
        if any(one is not None and one.observed_at >= self.house.now for one in seen):
            return
        slices = [flat(day, vol, NANO + i * NANO // 1_000) for i, day in enumerate(days)]
        self.house.report_surface(u, slices)
        self.house.outcomes["surface: done"] += 1
        self.moved()

    def _days(self) -> list[int]:
        """The day that expires next, at least a day ahead, and the Friday after it."""
        first = first_day(self.house.now)
        return [first, next(day for day in range(first + 1, first + 8) if is_friday(day))]

    # Trading

    @rule(
        maker=who,
        taker=who,
        u=underlyings,
        picked=st.lists(legs, min_size=1, max_size=2),
        load=st.sampled_from([1, 2_000, 6_000, 20_000]),
        buys=st.booleans(),
        offset=st.sampled_from([0, 0, 0, -200, 200]),
        fresh=st.sampled_from([True, True, True, True, False]),
        odd=st.sampled_from([0, 0, 0, 0, 0, 1]),
    )
    def trade_dated(
        self,
        maker: int,
        taker: int,
        u: int,
        picked: list[tuple[str, int, int, int]],
        load: int,
        buys: bool,
        offset: int,
        fresh: bool,
        odd: int,
    ) -> None:
        """One or two legs at or beside the mark, mostly on a fresh surface; an odd strike has too
        many digits to be listed."""
        if fresh:
            self._report_surface(u)
        package = {
            self._instrument(u, kind, share, place, odd): ratio
            for kind, share, place, ratio in picked
        }
        taker = (taker + 1) % TRADERS if taker == maker else taker
        self._trade_dated(self.people[maker], self.people[taker], package, load, buys, offset)

    def _trade_dated(
        self,
        first: Account,
        second: Account,
        package: dict[int, int],
        load: int,
        buys: bool,
        offset: int = 0,
    ) -> None:
        sizes = self._size_of(second, package, load)
        try:
            marks = {i: self.house.mark(i) for i in package}
        except Refused:
            marks = dict.fromkeys(package, WAD)
        net = sum(ratio * marks[i] for i, ratio in package.items()) // WAD
        order = self.house.order(
            first, package, sizes if buys else -sizes, net * (BPS + offset) // BPS
        )
        with self._trading(first, second):
            self.house.take(order, second, sizes)

    def _instrument(self, u: int, kind: str, share: int, place: int, odd: int = 0) -> int:
        day = self._days()[place]
        if kind == "future":
            return future(u, day)
        return option(u, day, _strike(self.prices[u] * share // BPS, odd), put=kind == "put")

    @rule(
        index=who,
        which=st.integers(0, 7),
        part=st.sampled_from([1, 5_000, BPS, BPS + 1]),
        offset=st.sampled_from([0, 0, -100, 100]),
    )
    def reduce_dated(self, index: int, which: int, part: int, offset: int) -> None:
        """Closes a part against the dealer, also where the market is closed or the slice stale."""
        account = self.accounts[index]
        held = self._dated(account)
        if not held or account == self.dealer:
            self.settle_dated(which)
            return
        one = held[which % len(held)]
        size = abs(self.house.ledger.state(account).position(one).size)
        self._reduce(account, one, max(1, size * part // BPS), offset)

    def _dated(self, account: Account) -> list[int]:
        positions = self.house.ledger.state(account).positions
        return [p.instrument for p in positions if option_invariants.is_dated(p)]

    @rule(which=st.integers(0, 31))
    def settle_dated(self, which: int) -> None:
        """Anybody settles anything."""
        held = [(a, i) for a in self.accounts for i in self._dated(a)]
        if held:
            self._settle_dated(*held[which % len(held)])

    def _settle_dated(self, account: Account, instrument: int) -> None:
        before, final = self.picture, self.picture.context.market(instrument).is_final
        with self.acting("settlement of a dated position", unit=1 + final):
            self.house.settle(account, instrument)
            self.house.outcomes["settle: final"] += final
        if final:
            with named("settlement of a final position"):
                option_invariants.check_settled(before, self.picture, account)

    # The end

    @rule(
        which=st.integers(0, 3),
        into=st.sampled_from([-1, 0, 650, FIXING - 1, FIXING, FIXING + 5_400]),
        bps=st.sampled_from([0, 0, -1_500, 2_500]),
    )
    def pass_expiry(self, which: int, into: int, bps: int) -> None:
        """Time goes on to a moment around the fixing of an expiry, and the price may move."""
        coming = sorted(self._open(), key=lambda one: one[1])
        u, day = coming[which % len(coming)] if coming else (ETH, self._days()[0])
        self._pass_to(expiry_of(day) - FIXING + into)
        if bps:
            self.move_price(u, bps)

    def _pass_to(self, time: int) -> None:
        if time > self.house.now:
            self._wait(time - self.house.now)

    def _open(self) -> list[Expiry]:
        """What is held and not fixed."""
        held = {
            (one.underlying, one.day)
            for account in self.accounts
            for one in map(Instrument.decode, self._dated(account))
        }
        return [one for one in held if not self.house.expiries[one].is_final]

    @rule(
        which=st.integers(0, 3),
        count=st.sampled_from([1, 2, FIXING_SAMPLES, FIXING_SAMPLES]),
        beside=st.sampled_from([0, 0, 0, -1, 1]),
    )
    def record_fixing(self, which: int, count: int, beside: int) -> None:
        """The samples that can be taken now, or rounds beside them."""
        known = sorted(self.house.expiries, key=lambda one: one[1])
        due = [one for one in known if self._is_due(one)]
        chosen = due if which and due else known
        if chosen:
            u, day = chosen[which % len(chosen)]
            self._record_fixing(u, day, [n + beside for n in self._samples(u, day)[:count]])

    def _is_due(self, one: Expiry) -> bool:
        _, day = one
        begun = self.house.now >= expiry_of(day) - FIXING
        return begun and not self.house.expiries[one].is_final

    def _record_fixing(self, u: int, day: int, rounds: Sequence[int]) -> None:
        before = self.picture
        try:
            self.house.record_fixing(u, day, rounds)
        except Refused:
            self._look()
            with named("fixing"):
                option_invariants.check_unchanged(before, self.picture)
            return
        self.moved()

    def _samples(self, u: int, day: int) -> list[int]:
        """The round of each instant that is missing and past; of one to come, the latest."""
        feed, taken = self.house.underlyings[u].feed, self.house.expiries[u, day].samples
        assert isinstance(feed, RoundsFeed)
        found = []
        for place in range(taken, FIXING_SAMPLES):
            start = fixing_instant(expiry_of(day), place)
            later = [n for n, one in feed.rounds.items() if one.updated_at >= start]
            found.append(min(later, default=feed.latest))
            if not later:
                break
        return found

    @precondition(lambda self: any(expiry_of(day) <= self.house.now for _, day in self._open()))
    @invariant()
    def fix_in_time(self) -> None:
        """Keepers record what everybody waits for, a few steps later, and settle some of it."""
        self.overdue += 1
        if self.overdue < 4:
            return
        self.overdue = 0
        self._refresh()
        for u, day in self._open():
            if expiry_of(day) <= self.house.now:
                self._record_fixing(u, day, self._samples(u, day))
        self.settle_dated(self.operations % 32)

    # Liquidation

    def _give_up(self, account: Account) -> None:
        """What is final becomes cash, and the rest is sold."""
        for instrument in self._dated(account):
            if self.picture.context.market(instrument).is_final:
                self._settle_dated(account, instrument)
        super()._give_up(account)

    @rule(
        index=st.integers(0, 3),
        u=underlyings,
        put=st.booleans(),
        load=st.sampled_from([3_000, 9_000]),
        beyond=st.sampled_from([10_100, 12_000, 30_000]),
        clock=st.sampled_from([30, 300, 900]),
        vault=st.booleans(),
    )
    def crush_a_seller(
        self, index: int, u: int, put: bool, load: int, beyond: int, clock: int, vault: bool
    ) -> None:
        """Who sold options is taken over in slices, or by the backstop."""
        account = self.people[index]
        self._report_surface(u)
        sold = self._instrument(u, "put" if put else "call", 10_000, 1)
        hedge = self._instrument(u, "put" if put else "call", 9_000 if put else 11_000, 1)
        self._trade_dated(self.dealer, account, {sold: WAD, hedge: -WAD // 3}, load, True)
        self.move_against(index, beyond)
        self._auction(account, clock)
        if vault:
            self._take_over(account)
        for fraction in (WAD // 3, WAD):
            self._bid(account, self.liquidator, fraction)


def _strike(price: int, odd: int) -> int:
    """A strike of two digits, or of one or two too many."""
    scale = max(10**8, 10 ** (len(str(price)) - 2))
    strike = max(1, price // scale) * scale
    return strike + odd * max(10**8, scale // 100)
