"""Synthetic paths repeat; real ones are read from small files made here."""

import gzip
from decimal import Decimal

import pytest

from plimsoll.lab.prices import (
    UnusablePricesError,
    fixing_prices,
    read_series,
    replayed_prices,
    synthetic_prices,
)
from plimsoll.lab.scenario import DEFAULT, load_scenario


@pytest.fixture(scope="module")
def scenario():
    return load_scenario(DEFAULT)


def bars(start: int, closes: list[str]) -> str:
    rows = (
        f"2021-05-19T{12 + (start + at) // 60:02}:{(start + at) % 60:02}:00Z,1,1,1,{close},5"
        for at, close in enumerate(closes)
    )
    return "\n".join(["ts,open,high,low,close,volume", *rows]) + "\n"


@pytest.fixture
def write(tmp_path):
    def written(name: str, text: str) -> str:
        path = tmp_path / name
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
        return str(path)

    return written


def test_a_seed_gives_one_path(scenario):
    first, second = synthetic_prices(scenario), synthetic_prices(scenario)
    assert first == second
    other = synthetic_prices(scenario.model_copy(update={"seed": scenario.seed + 1}))
    assert other.steps != first.steps
    assert other.opening == first.opening


def test_a_path_opens_at_its_start_and_says_that_it_is_synthetic(scenario):
    path = synthetic_prices(scenario)
    assert path.opening == {symbol: p.start for symbol, p in scenario.prices.items()}
    assert len(path.steps) == scenario.steps + 1
    assert path.synthetic
    assert str(scenario.seed) in path.label


def test_without_noise_a_path_passes_its_waypoints(scenario):
    still = {s: p.model_copy(update={"noise_bps": 0}) for s, p in scenario.prices.items()}
    path = synthetic_prices(scenario.model_copy(update={"prices": still}))
    for symbol, given in still.items():
        for point in given.waypoints:
            expected = given.start * point.level
            assert abs(path.steps[point.step][symbol] - expected) <= Decimal("0.00000001")


def test_every_price_is_what_a_feed_can_answer(scenario):
    for prices in synthetic_prices(scenario).steps:
        for price in prices.values():
            assert price > 0
            assert price == price.quantize(Decimal("0.00000001"))


def test_prices_of_the_fixing_stay_near_the_last_ones(scenario):
    path = synthetic_prices(scenario)
    found = fixing_prices(path, scenario.seed, 6)
    assert found == fixing_prices(path, scenario.seed, 6)
    assert found != fixing_prices(path, scenario.seed + 1, 6)
    assert len({each["ETH"] for each in found}) == 6
    for each in found:
        assert set(each) == set(path.symbols)
        for symbol, price in each.items():
            assert abs(price / path.steps[-1][symbol] - 1) < Decimal("0.01")
            assert price == round(price, 8)


def test_replays_the_deepest_fall(scenario, write):
    # A deeper price that comes only late in any window is not the one to look at.
    closes = ["100"] * 60 + ["90", "80", "50", "60"] + ["60"] * 40 + ["100"] + ["49"]
    name = write("2021_BTCUSDT_1m.csv.gz", bars(0, closes))
    path = replayed_prices(scenario, [name])
    assert not path.synthetic
    assert "2021_BTCUSDT_1m.csv.gz" in path.label
    assert "held still for want of data: ETH, SOL" in path.label
    assert path.step_seconds == scenario.step_seconds
    assert len(path.steps) == scenario.steps + 1
    btc = [prices["BTC"] for prices in path.steps]
    assert (btc[0], min(btc), btc[-1]) == (100, 50, 60)
    assert {prices["ETH"] for prices in path.steps} == {Decimal(2500)}


def test_aligns_two_files_on_their_common_time(scenario, write):
    btc = write("BTCUSDT.csv", bars(0, [str(100 + at) for at in range(30)]))
    eth = write("data.csv", bars(10, [str(10 + at) for at in range(30)]))
    path = replayed_prices(scenario, [btc, f"ETH={eth}"])
    assert [(p["BTC"], p["ETH"]) for p in path.steps] == [(110 + at, 10 + at) for at in range(20)]


@pytest.mark.parametrize(
    ("minutes", "seconds"),
    [
        (["00", "15", "30", "45"], 900),
        # A feed with a heartbeat of an hour must be heard twice within it.
        (["00"], 1800),
    ],
)
def test_takes_steps_as_long_as_the_bars(scenario, write, minutes, seconds):
    rows = [f"2021-05-19T{h:02}:{m}:00Z,{100 - h}" for h in range(20) for m in minutes]
    name = write("ETH_USD.csv", "\n".join(["ts,close", *rows]))
    assert replayed_prices(scenario, [name]).step_seconds == seconds


def test_reads_chainlink_rounds(write):
    name = write(
        "ETH_USD_rounds.csv",
        "updatedAt,roundId,answer,startedAt,answeredInRound\n"
        "1680737747,2,181234567890,1680737747,2\n1680734111,1,180000000000,1680734111,1\n",
    )
    series = read_series(name, ("ETH", "BTC"))
    assert series.times == (1680734111, 1680737747)
    assert series.prices == (Decimal("1800"), Decimal("1812.3456789"))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("usdcusdt.csv", bars(0, ["1", "1"]), "names none of ETH, BTC, SOL in dollars"),
        ("ETH_BTC_rounds.csv", bars(0, ["1", "1"]), "names none of"),
        ("BTCUSDT.csv", "when,close\n1,2\n", "needs a column of times"),
        ("BTCUSDT.csv", bars(0, ["1"]), "fewer than two rows"),
        ("BTCUSDT.csv", bars(0, ["1", "0"]), "has the price 0"),
    ],
)
def test_says_why_a_file_cannot_be_replayed(scenario, write, name, text, said):
    with pytest.raises(UnusablePricesError, match=said):
        replayed_prices(scenario, [write(name, text)])


def test_says_that_a_file_or_underlying_is_missing(scenario, write):
    with pytest.raises(UnusablePricesError, match=r"no\.csv is not a file"):
        replayed_prices(scenario, ["no.csv"])
    name = write("DOGEUSDT.csv", bars(0, ["1", "2"]))
    with pytest.raises(UnusablePricesError, match="DOGE is none of"):
        replayed_prices(scenario, [f"DOGE={name}"])
