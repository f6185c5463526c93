"""Scenarios are read strictly and exactly."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from plimsoll.lab.scenario import DEFAULT, SCENARIOS, load_scenario

SMALL = """
title: Small
seed: 7
steps: 4
prices:
  ETH:
    start: 2500.10
    waypoints: [{step: 0, level: 1}, {step: 4, level: 0.5}]
traders:
  - name: bull
    story: Long on cash.
    cash: 12_000
    positions: {ETH: 80_000}
"""

OPTION = "{underlying: ETH, strike: 0.9, put: true, size: 100}"


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> Path:
        path = tmp_path / "scenario.yaml"
        path.write_text(text)
        return path

    return written


def test_numbers_are_exact(write):
    scenario = load_scenario(write(SMALL))
    assert scenario.prices["ETH"].start == Decimal("2500.10")
    assert scenario.prices["ETH"].waypoints[1].level == Decimal("0.5")
    assert scenario.traders[0].cash == Decimal(12_000)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_scenarios_load(path):
    assert load_scenario(path).title


def test_the_default_has_the_five_portfolios():
    traders = {trader.name: trader for trader in load_scenario(DEFAULT).traders}
    assert list(traders) == ["hedger", "spread trader", "bull", "gambler", "option seller"]
    hedger = traders["hedger"]
    assert hedger.positions["ETH"] == -hedger.collateral["WETH"]
    spread = traders["spread trader"].positions
    assert spread["BTC"] == -spread["ETH"] > 0
    seller = traders["option seller"]
    assert seller.hedged
    assert seller.optioned == {"ETH"}
    assert sum(leg.size for leg in seller.options if leg.put) == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: Small", "title: Small\nlevrage: 3", "levrage"),
        ("positions: {ETH: 80_000}", "positions: {SOL: 80_000}", "no prices for SOL"),
        ("positions: {ETH: 80_000}", "positions: {}", "takes no risk"),
        ("positions: {ETH: 80_000}", "positions: {ETH: 0}", "a position of zero"),
        ("cash: 12_000", "cash: 0", "deposits nothing"),
        ("cash: 12_000", "cash: 12_000\n    borrow: 5", "both deposits and borrows"),
        ("{step: 0, level: 1}", "{step: 0, level: 2}", "the opening"),
        ("{step: 4, level: 0.5}", "{step: 5, level: 0.5}", "after the last step"),
        ("{step: 4, level: 0.5}", "{step: 0, level: 0.5}", "rising steps"),
        ("{step: 4, level: 0.5}", "{step: 4, level: 0}", "greater than 0"),
        ("steps: 4", "steps: 0", "greater than or equal to 1"),
        ("80_000}", f"80_000}}\n    options: [{OPTION}]\n    hedged: true", "holds already"),
        ("80_000}", f"80_000}}\n    options: [{OPTION}, {OPTION}]", "one option twice"),
        ("80_000}", f"80_000}}\n    options: [{OPTION.replace('100', '0')}]", "a position of zero"),
        (
            "80_000}",
            f"80_000}}\n    options: [{OPTION.replace('ETH', 'SOL')}]",
            "no prices for SOL",
        ),
        (
            "80_000}",
            f"80_000}}\n    options: [{OPTION}, {OPTION.replace('ETH', 'BTC')}]",
            "more than one underlying",
        ),
        ("80_000}", "80_000}\n    hedged: true", "no options to hedge"),
    ],
)
def test_says_what_is_wrong(write, old, new, said):
    assert old in SMALL
    with pytest.raises(ValidationError, match=said):
        load_scenario(write(SMALL.replace(old, new)))


def test_two_traders_of_one_name_are_refused(write):
    bull = SMALL[SMALL.index("  - name") :]
    with pytest.raises(ValidationError, match="one name"):
        load_scenario(write(SMALL + bull))
