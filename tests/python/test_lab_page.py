"""The page stands alone, can be read without seeing it, and says what the record says."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.lab.figures import bps, dollars, exact, outcome, percent, verdict
from plimsoll.lab.optiontables import shown_steps
from plimsoll.lab.page import render_page, round_ticks
from plimsoll.lab.record import (
    WHOLE,
    BackstopSlice,
    BookStep,
    Check,
    Compartment,
    Expiry,
    Fixing,
    Greeks,
    Interim,
    Loss,
    LossRow,
    OptionBook,
    OptionLeg,
    Portrait,
    Quiet,
    QuietRow,
    Reading,
    RunRecord,
    Settled,
    SharedLoss,
    Slice,
    WorldRecord,
)
from plimsoll.lab.report import Report, console

WAD = 10**18
STEPS = 5


def compartment(name: str, *, sliced: bool) -> Compartment:
    readings = [
        Reading(step, (100 - 30 * step) * WAD, (20 + step) * WAD, 30 * WAD) for step in range(STEPS)
    ]
    made = Compartment(name.encode().ljust(32), name, readings)
    if sliced:
        made.slices = [
            Slice(3, 1_000, "keeper", WAD // 2, 230, 4 * WAD, 0, 5 * WAD),
            Slice(4, 1_015, "keeper", WAD, 5_000, -15 * WAD, 15 * WAD, -10 * WAD),
        ]
        made.losses = [Loss(4, 12 * WAD, 3 * WAD, 0)]
    return made


@pytest.fixture
def run() -> RunRecord:
    def world(name: str, *compartments: Compartment) -> WorldRecord:
        made = WorldRecord(name, [Portrait("bull & bear", "Bets <all>.", list(compartments))])
        made.prices = [{"ETH": (2_500 - 100 * step) * WAD} for step in range(STEPS)]
        made.checks = [Check(1, "in = out", 5, 5), Check(2, "held >= owed", 9, 7, slack=3)]
        return made

    return RunRecord(
        title="A fall",
        label="synthetic prices, seed 1",
        synthetic=True,
        step_seconds=60,
        worlds=[
            world("isolated", compartment("ETH", sliced=True), compartment("loan", sliced=False)),
            world("cross", compartment(WHOLE, sliced=False)),
        ],
    )


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_nothing_is_loaded_from_elsewhere(run):
    text = render_page(run)
    page = Page(text)
    assert not page.all("link") + page.all("img") + page.all("iframe")
    assert all("src" not in attributes for attributes in page.all("script"))
    assert not re.search(r"https?://|@import|url\(", text)


def test_every_chart_has_a_title_a_description_and_its_numbers(run):
    text = render_page(run)
    page = Page(text)
    charts = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    # The market, two compartments of the isolated world, one of the cross world.
    assert len(charts) == 4
    identifiers = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for chart in charts:
        assert set(chart["aria-labelledby"].split()) <= identifiers
        assert chart["tabindex"] == "0"
    assert len(identifiers) == 2 * len(charts)
    assert len(page.all("details")) == len(charts)
    assert page.all("html") == [{"lang": "en"}]


def test_shows_what_the_record_says(run):
    text = Page(render_page(run)).text
    for expected in (
        "A fall",
        "synthetic prices",
        "bull & bear",
        "Bets <all>.",
        "ETH: all liquidated, left bad debt",
        "untouched",
        "holds, 2 wei in favour of the vault",
        dollars(-15 * WAD, 2),
        dollars(12 * WAD, 2),
    ):
        assert expected in text


def test_slices_are_marked(run):
    assert render_page(run).count('<path class="slice"') == 1 + 2


def test_the_terminal_says_the_same_without_colours(run, capsys):
    Report(run, console()).show()
    text = capsys.readouterr().out
    assert "\x1b" not in text
    for expected in ("A fall", "ETH: all liquidated, left bad debt", "50.00 %", "2.3 %", "$15.00"):
        assert expected in text


SHARED = SharedLoss(
    total=10 * WAD + 1,
    from_reserves=4 * WAD,
    from_suppliers=6 * WAD + 1,
    to_deficit=0,
    provision=9 * WAD,
    rows=[
        LossRow("a & b", 100 * WAD, 5 * WAD, 4 * WAD + 2),
        LossRow("other", 50 * WAD, 2 * WAD, 2 * WAD),
    ],
    halted=True,
)


def test_the_parts_of_a_shared_loss_are_the_loss():
    assert SHARED.rounding == -1
    assert SHARED.parts == SHARED.total


@pytest.fixture
def full(run) -> RunRecord:
    """A run with everything that comes before and after the crash."""
    world = run.worlds[0]
    rows = [QuietRow("a & b", -3 * WAD, 2 * WAD)]
    premiums = {"ETH": 75 * WAD // 100_000}
    world.quiet = Quiet(5, WAD // 25, WAD // 50, 5_000, premiums, 8, rows, WAD // 10)
    world.backstop = BackstopSlice(
        5_120, WAD // 4, 6 * WAD, 7 * WAD, 8 * WAD, WAD // 2, 5 * WAD, 90 * WAD, 92 * WAD
    )
    world.shared = SHARED
    return run


def with_options(run: RunRecord) -> RunRecord:
    """The first trader is one of options, and they have expired."""
    legs = [
        OptionLeg("ETH-10JAN25-2450-P", -60 * WAD, 69 * WAD, 10_000 * WAD, 8_000 * WAD),
        OptionLeg("ETH", -23 * WAD, 2_500 * WAD, 4_000 * WAD, 3_000 * WAD),
    ]
    steps = [
        BookStep(step, (60 + 5 * step) * WAD // 100, 14_000 * WAD, 11_000 * WAD)
        for step in range(STEPS)
    ]
    margins = 30 * WAD, 20 * WAD
    greeks = Greeks(23 * WAD, -WAD // 10, -8_400 * WAD, 280 * WAD), Greeks(0, -1, -WAD, WAD)
    for world in run.worlds:
        world.options = [
            OptionBook("bull & bear", "ETH", 1_736_496_000, legs, *margins, *greeks, steps)
        ]
        world.expiry = Expiry(
            1_736_496_000,
            [Fixing("ETH", [2_400 * WAD + n for n in range(6)], list(range(16, 22)), 2_400 * WAD)],
            [Settled("a & b", "ETH-10JAN25-2450-P", -WAD, -50 * WAD, 9 * WAD, 9 * WAD)],
            {"bull & bear": 4_321 * WAD},
            [Interim("halfway", 17, 18, ["in = out"]), Interim("settled", 18, 18, [])],
        )
    return run


OPTIONS_SHOWN = (
    "ETH-10JAN25-2450-P",
    "expiring 2025-01-10 08:00 UTC",
    "\u221260.0000",
    "$14,000",  # the parts
    "$13,970",  # less the portfolio's
    "80.00 %",  # volatility at the last step
    "vega \u2212$84.00 a point",
    "round 16 of the feed",
    "the mean",
    "17 of 18",
    "$4,321",
    "isolated: ETH: all liquidated, left bad debt; cross: untouched",
    "\u2212$50.00",
)


def test_the_option_book_is_on_the_page(run):
    page = Page(render_page(with_options(run)))
    for expected in OPTIONS_SHOWN:
        assert expected in page.text, expected
    # The market, three compartments, and the margins of the book.
    assert len([svg for svg in page.all("svg") if svg.get("role") == "img"]) == 5


def test_the_terminal_shows_the_option_book(run, capsys):
    Report(with_options(run), console()).show()
    text = capsys.readouterr().out
    for expected in OPTIONS_SHOWN:
        assert expected in text, expected
    assert "the books hold 1 of 2 times while options expired" in text


def test_a_world_holds_when_every_check_does_at_the_end_and_between(run):
    world = run.worlds[0]
    assert world.holds
    world.checks.append(Check(3, "a = b", 4, 5))
    assert not world.holds
    world.checks.pop()
    world.expiry = Expiry(0, books=[Interim("halfway", 17, 18, ["in = out"])])
    assert not world.holds


def test_shows_the_lowest_price_among_the_steps():
    prices = [100 - step for step in range(24)] + [60 + step for step in range(17)]
    assert shown_steps(prices) == [0, 5, 10, 15, 20, 24, 25, 30, 35, 40]
    assert shown_steps([5, 3, 4]) == [0, 1, 2]


SHOWN = (
    "5 quiet hours",
    "4.00 % a year",
    "8 batches of signed reports",
    "51.2 %",
    "a & b",
    exact(4 * WAD + 2),
    exact(SHARED.total),
    "\u2212$0.000000000000000001",
)


def test_what_comes_before_and_after_the_crash_is_on_the_page(full):
    text = Page(render_page(full)).text
    for expected in SHOWN:
        assert expected in text, expected


def test_the_terminal_shows_it_too(full, capsys):
    Report(full, console()).show()
    text = capsys.readouterr().out
    for expected in (*SHOWN, "ETH 7.50 bps", "new risk is halted"):
        assert expected in text, expected


def test_exact_dollars_round_nothing():
    assert exact(WAD * 1_234 + 5) == "$1,234.000000000000000005"
    assert exact(-1) == "\u2212$0.000000000000000001"
    assert bps(WAD // 1_000) == "10.00 bps"


def test_a_broken_check_is_called_broken():
    assert verdict(Check(1, "a = b", 4, 5)) == "BROKEN by -1"
    assert verdict(Check(1, "a >= b", 9, 5, slack=3)) == "BROKEN by 4"
    assert verdict(Check(1, "a = b", 5, 5)) == "exact"


@pytest.mark.parametrize(
    ("value", "places", "shown"),
    [
        (WAD * 5 // 2, 2, "$2.50"),
        (-WAD * 1_234_567, 0, "\u2212$1,234,567"),
        (-1, 0, "$0"),
        (WAD - 1, 0, "$1"),
        (WAD * 999_999 // 1_000_000, 2, "$1.00"),
    ],
)
def test_dollars_as_people_read_them(value, places, shown):
    assert dollars(value, places) == shown


def test_percent_rounds_down():
    assert percent(WAD * 99_999 // 100_000) == "99.99 %"


def test_outcome_names_the_compartments_that_were_hit(run):
    isolated, cross = (world.portraits[0] for world in run.worlds)
    assert outcome(isolated) == "ETH: all liquidated, left bad debt"
    assert outcome(cross) == "untouched"


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**30))
def test_ticks_are_few_round_and_inside(low, height):
    ticks = round_ticks(low, low + height)
    assert len(ticks) <= 6
    assert len(ticks) >= 2 or height < 6
    assert all(low <= tick <= low + height for tick in ticks)
    assert str(ticks.step).rstrip("0") in ("1", "2", "5")
