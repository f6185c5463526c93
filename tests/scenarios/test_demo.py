"""The demo, small, as a person runs it: a process with an Anvil and a keeper of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = Path(__file__).with_name("small_crash.yaml")
ROOT = Path(__file__).parents[2]
PATIENCE = 300


def start(out: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """In a process group of its own, so that nothing it starts can hide."""
    return subprocess.Popen(
        [sys.executable, "-m", "plimsoll.lab.demo", "--out", str(out), *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return output


def group_is_empty(process: subprocess.Popen[str]) -> bool:
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def number(value: int | str) -> int:
    return int(value)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """One run by the environment, as `make demo SCENARIO=...` does it."""
    out = tmp_path_factory.mktemp("demo")
    process = start(out, SCENARIO=str(SMALL))
    text = finish(process)
    assert process.returncode == 0, text
    assert group_is_empty(process)
    return text, json.loads((out / "crash.json").read_text()), out


@pytest.fixture(scope="module")
def worlds(output):
    _, run, _ = output
    return {world["name"]: world for world in run["worlds"]}


def portrait(world, name: str):
    return next(each for each in world["portraits"] if each["name"] == name)


def slices(portrait) -> list:
    return [taken for each in portrait["compartments"] for taken in each["slices"]]


def test_every_check_of_the_books_holds(worlds):
    for world in worlds.values():
        assert [check["number"] for check in world["checks"]] == list(
            range(1, len(world["checks"]) + 1)
        )
        for check in world["checks"]:
            difference = number(check["left"]) - number(check["right"])
            assert 0 <= difference <= check["slack"], check["claim"]


def test_the_spread_survives_behind_one_margin_and_loses_a_leg_when_isolated(worlds):
    assert slices(portrait(worlds["cross"], "spread trader")) == []
    isolated = portrait(worlds["isolated"], "spread trader")
    long, short = isolated["compartments"]
    assert (long["name"], short["name"]) == ("long BTC", "short ETH")
    assert long["slices"]


def test_isolation_splits_the_same_collateral(worlds):
    for name in ("spread trader", "cash and carry"):
        cross, isolated = (portrait(worlds[world], name) for world in ("cross", "isolated"))
        assert len(cross["compartments"]) == 1
        assert len(isolated["compartments"]) == 2 + (name == "cash and carry")
        opening = [
            sum(number(each["readings"][0]["equity"]) for each in found["compartments"])
            for found in (cross, isolated)
        ]
        # Rounding of each part, one unit of the coarsest token at most.
        assert abs(opening[0] - opening[1]) < 10**16


def test_margin_nets_across_positions(worlds):
    for name in ("spread trader", "cash and carry"):
        cross, isolated = (portrait(worlds[world], name) for world in ("cross", "isolated"))
        needed = [
            sum(number(each["readings"][0]["initial"]) for each in found["compartments"])
            for found in (cross, isolated)
        ]
        assert 2 * needed[0] < needed[1]


def test_the_gap_leaves_bad_debt_and_says_who_bore_it(worlds):
    for world in worlds.values():
        compartments = portrait(world, "overreacher")["compartments"]
        losses = [loss for each in compartments for loss in each["losses"]]
        assert losses
        borne = sum(number(loss["from_reserves"]) for loss in losses)
        before = number(world["pool_before"]["reserves"])
        assert 0 < borne < before
        # Nothing but the backstop's own slice takes from them until the last loss takes all.
        assert number(world["shared"]["from_reserves"]) >= (before - borne) * 9 // 10
        assert number(world["pool_after"]["reserves"]) < before - borne


def test_a_borrower_pays_what_suppliers_and_reserves_get(worlds):
    for world in worlds.values():
        quiet = world["quiet"]
        interest = {row["name"]: number(row["interest"]) for row in quiet["rows"]}
        paid = -interest["treasury"]
        # Twelve million at about three per cent a year, for five hours.
        assert 150 * 10**18 < paid < 300 * 10**18
        assert 0 < number(quiet["supply_rate"]) < number(quiet["borrow_rate"])
        assert all(interest[name] > 0 for name in ("maker", "lender", "desk"))
        # Nothing else was moved, so that what differs is how each look was rounded.
        over = -sum(interest.values()) - number(quiet["to_reserves"])
        assert abs(over) <= 2 * len(interest)


def test_longs_pay_shorts_what_a_quorum_of_reporters_signed(worlds):
    for world in worlds.values():
        quiet = world["quiet"]
        assert quiet["reports"] == 2 * (quiet["hours"] - 1)
        # The lower one of the two that met first.
        assert {number(premium) for premium in quiet["premiums"].values()} == {75 * 10**13}
        funding = {row["name"]: number(row["funding"]) for row in quiet["rows"]}
        assert funding["overreacher"] < 0 < funding["maker"]
        assert funding["cash and carry"] > 0
        assert 0 <= -sum(funding.values()) <= 3 * len(funding) + 10


def test_the_backstop_buys_deep_and_sells_again(worlds):
    for world in worlds.values():
        taken = world["backstop"]
        assert taken["depth"] >= 5_000
        assert 0 < number(taken["fraction"]) < 10**18
        assert number(taken["unwound"]) == 10**18 // 2
        assert number(taken["swept"]) > 0
        # What the slice was worth beyond its price, less what selling costs, is the holders'.
        bought = number(taken["equity"]) - number(taken["price"])
        gained = number(taken["value_after"]) - number(taken["value_before"])
        assert bought // 2 < gained < bought


def test_a_loss_beyond_the_reserves_is_shared_to_the_wei(worlds):
    for world in worlds.values():
        loss = world["shared"]
        rows = loss["rows"]
        borne = sum(number(row["borne"]) for row in rows)
        rounding = number(loss["from_suppliers"]) - borne
        assert abs(rounding) <= len(rows)
        total = number(loss["from_reserves"]) + borne + rounding + number(loss["to_deficit"])
        assert total == number(loss["total"]) > number(loss["from_reserves"]) > 0
        assert number(loss["to_deficit"]) == 0
        assert loss["halted"]
        # Pro rata: two suppliers differ by what they had alone.
        maker, lender = (next(r for r in rows if r["name"] == n) for n in ("maker", "lender"))
        parts = [number(row["borne"]) * 10**9 // number(row["cash"]) for row in (maker, lender)]
        assert abs(parts[0] - parts[1]) <= 1
        # Foreseen by the lens, but for the pay of the last bidder.
        assert number(loss["provision"]) > 0
        assert 0 < number(maker["expected"]) < number(maker["borne"])


def test_a_hedged_seller_survives_behind_one_margin_and_loses_his_short_when_isolated(worlds):
    cross, isolated = (portrait(worlds[world], "option seller") for world in ("cross", "isolated"))
    assert slices(cross) == []
    hit = {each["name"] for each in isolated["compartments"] if each["slices"]}
    assert hit == {"short ETH-10JAN25-2450-P"}


def test_portfolio_margin_gives_credit_for_the_hedge(worlds):
    (book,) = worlds["cross"]["options"]
    (account,) = portrait(worlds["cross"], "option seller")["compartments"]
    together = number(book["initial"])
    apart = sum(number(leg["initial"]) for leg in book["legs"])
    assert 0 < 2 * together < apart
    for step in book["steps"]:
        whole = number(account["readings"][step["step"]]["maintenance"])
        assert 0 < whole < number(step["parts_maintenance"])
    # In the isolated world the parts are what they are apart, but for the seconds between.
    parts = portrait(worlds["isolated"], "option seller")["compartments"]
    needed = sum(number(each["readings"][0]["initial"]) for each in parts)
    assert abs(needed - apart) < apart // 100


def test_the_perpetual_takes_the_delta_of_the_options(worlds):
    for world in worlds.values():
        (book,) = world["options"]
        (hedge,) = (leg for leg in book["legs"] if leg["name"] == "ETH")
        assert number(book["options"]["delta"]) > 10**18
        # Rounded to millionths, and a few seconds passed.
        assert abs(number(book["options"]["delta"]) + number(hedge["size"])) < 10**16
        assert abs(number(book["hedged"]["delta"])) < 10**16
        # He has sold options: time earns, movement and volatility cost.
        assert number(book["options"]["theta"]) > 0
        assert number(book["options"]["gamma"]) < 0
        assert number(book["options"]["vega"]) < 0
        assert book["options"]["vega"] == book["hedged"]["vega"]


def test_volatility_rises_with_the_fall_as_reporters_signed(worlds):
    for world in worlds.values():
        (book,) = world["options"]
        opening = number(world["prices"][0]["ETH"])
        for step, prices in zip(book["steps"], world["prices"], strict=True):
            fall = max(0, 10**18 - number(prices["ETH"]) * 10**18 // opening)
            assert abs(number(step["volatility"]) - (6 * 10**17 + 15 * fall // 10)) < 10**13


def test_options_are_fixed_by_the_feed_and_settled_by_anybody(worlds):
    for world in worlds.values():
        expiry = world["expiry"]
        assert expiry["time"] == 1_736_496_000  # Friday, 10 January 2025, 08:00 UTC
        (fixing,) = expiry["fixings"]
        samples = [number(price) for price in fixing["samples"]]
        assert len(set(samples)) == 6
        assert number(fixing["price"]) == sum(samples) // 6
        assert fixing["rounds"] == sorted(fixing["rounds"])
        assert expiry["settled"]
        for instrument in {each["instrument"] for each in expiry["settled"]}:
            sides = [e for e in expiry["settled"] if e["instrument"] == instrument]
            assert sum(number(each["size"]) for each in sides) == 0
            # Each rounds its own; what is lost belongs to the vault.
            assert abs(sum(number(each["paid"]) for each in sides)) <= len(sides)
        for each in expiry["settled"]:
            assert abs(number(each["equity_after"]) - number(each["equity_before"])) <= 10


def test_the_seller_keeps_his_premium_where_he_survived(worlds):
    """Ether ends where it began: what he sold expires worthless."""
    changes = {}
    for name, world in worlds.items():
        (end,) = world["expiry"]["ends"].values()
        parts = portrait(world, "option seller")["compartments"]
        opening = sum(number(each["readings"][0]["equity"]) for each in parts)
        changes[name] = number(end) - opening
    assert changes["isolated"] < 0 < changes["cross"]


def test_the_books_hold_while_options_end(worlds):
    for world in worlds.values():
        books = world["expiry"]["books"]
        assert [each["broken"] for each in books] == [[], [], [], []]
        assert all(each["holding"] == each["checks"] > 15 for each in books)
        # Checks of each of two options end with them.
        assert books[-1]["checks"] == books[0]["checks"] - 2


def test_the_tables_are_shown(output):
    text, _, out = output
    page = (out / "crash.html").read_text()
    for shown in (text, page):
        assert "shared to the wei" in shown
        assert "the backstop" in shown.lower()
        assert "signed reports set funding" in shown
        assert "portfolio margin" in shown
        assert "settlement price, the mean" in shown
    sums = [line for line in text.splitlines() if line.startswith(("|sum  ", "|loss that was"))]
    assert len(sums) == 4
    assert sums[0].split("|")[4] == sums[1].split("|")[4]


def test_the_keeper_was_paid_for_its_work(worlds):
    for world in worlds.values():
        assert world["keeper_transactions"] >= 3
        assert world["keeper_gas"] > 0
        taken = [each for found in world["portraits"] for each in slices(found)]
        assert all(each["bidder"] == "desk" for each in taken)
        assert all(number(each["equity"]) > number(each["price"]) for each in taken)


def test_prices_are_those_of_the_scenario(worlds):
    prices = worlds["cross"]["prices"]
    assert number(prices[0]["ETH"]) == 2_500 * 10**18
    assert number(prices[3]["ETH"]) == 1_750 * 10**18
    assert worlds["isolated"]["prices"] == prices


def test_the_output_is_plain_and_labelled(output):
    text, _, out = output
    assert "\x1b" not in text
    assert "synthetic prices, seed 3" in text
    page = (out / "crash.html").read_text()
    assert "A small crash" in page
    # The market; each trader's accounts in both worlds; the margins of the option book.
    assert page.count('role="img"') == 1 + (2 + 3 + 1 + 3) + 3 + 1 + 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_running(tmp_path, number):
    process = start(tmp_path, "--scenario", str(SMALL))
    seen = ""
    for line in process.stdout:
        seen += line
        if "step   0" in line:
            break
    process.send_signal(number)
    seen += finish(process)
    assert process.returncode == 130, seen
    assert "Stopped; nothing is left running." in seen
    deadline = time.monotonic() + 5
    while not group_is_empty(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group_is_empty(process)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("{wstETH: 30_000,", "{DOGE: 30_000,"), "no collateral DOGE on the local network"),
        (("cash: 60_000", "cash: 9_000"), "overreacher, whole portfolio, isolated world"),
        (("steps: 6", "steps: six"), "steps"),
        (("steps: 6", "steps: 700\nstep_seconds: 900"), "the options would expire before"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused_in_words(tmp_path, change, said):
    text = SMALL.read_text()
    assert change[0] in text
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(text.replace(*change))
    process = start(tmp_path, "--scenario", str(scenario))
    output = finish(process)
    assert process.returncode == 1
    assert said in output
    assert "Traceback" not in output
    assert group_is_empty(process)
