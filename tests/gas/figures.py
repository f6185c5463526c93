"""The figures: what each must reach, what the peers need, the committed file, the table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TRANSACTION_LIMIT = 1 << 24
COMMITTED = Path(__file__).parents[2] / "bench" / "gas.json"


@dataclass(frozen=True, slots=True)
class Goal:
    """Most gas a figure may take, and what the same work takes elsewhere."""

    bar: int
    peers: tuple[tuple[str, int], ...] = ()


GOALS = {
    "margin_check_5_collateral_simple_feeds": Goal(
        100_000, (("Compound III", 64_961), ("Euler v2", 136_904))
    ),
    "margin_check_5_collateral_3_perps_simple_feeds": Goal(140_000, (("Derive", 561_403),)),
    "trade_perp_repeat_simple_feeds": Goal(250_000, (("Derive", 580_000),)),
    "deposit_repeat": Goal(80_000, (("Compound III", 67_756), ("Euler v2", 126_855))),
    "withdraw_with_positions_simple_feeds": Goal(150_000, (("Derive", 175_000),)),
    "bid_1_position_simple_feeds": Goal(250_000, (("Derive", 569_000),)),
    "bid_8_positions_simple_feeds": Goal(600_000, (("Derive", 2_140_000),)),
    "bid_32_positions_simple_feeds": Goal(1_900_000, (("Derive", 8_080_000),)),
    "margin_1_option": Goal(120_000, (("Derive", 901_913),)),
    "margin_16_options_1_expiry_1_collateral": Goal(480_000, (("Derive", 5_726_010),)),
    "margin_64_options_4_expiries_3_collaterals": Goal(1_750_000, (("Derive", 22_203_198),)),
    "margin_120_options_8_expiries_4_collaterals": Goal(3_200_000, (("Derive", 42_305_957),)),
    "trade_option_repeat": Goal(330_000, (("Derive", 560_000),)),
    "bid_120_positions": Goal(10_000_000, (("Derive", 29_300_000),)),
    # A transaction can carry no more.
    "bid_largest_account_simple_feeds": Goal(TRANSACTION_LIMIT),
    "flag_largest_account_simple_feeds": Goal(TRANSACTION_LIMIT),
}


def save(figures: Mapping[str, int]) -> None:
    COMMITTED.parent.mkdir(exist_ok=True)
    COMMITTED.write_text(json.dumps(dict(sorted(figures.items())), indent=2) + "\n")


def committed() -> dict[str, int]:
    figures: dict[str, int] = json.loads(COMMITTED.read_text())
    return figures


def table(figures: Mapping[str, int]) -> Iterator[str]:
    """One line a figure: gas, the bar, whether it is met, its share of what each peer needs."""
    width = max(len(name) for name in figures)
    yield f"{'':<{width}}  {'gas':>10}  {'bar':>10}  {'':<6}  of the peer's"
    for name, gas in sorted(figures.items()):
        yield f"{name:<{width}}  {gas:>10,}  {_verdict(GOALS.get(name), gas)}".rstrip()


def is_missed(name: str, gas: int) -> bool:
    return name in GOALS and gas > GOALS[name].bar


def explanation(name: str, gas: int, parts: Mapping[str, int]) -> Iterator[str]:
    """By how much a figure misses its bar, and where its gas goes."""
    yield f"missed: {name} by {gas - GOALS[name].bar:,}"
    for kind, part in parts.items():
        yield f"  {part:>10,}  {kind}"


def changes(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Every difference as ("grown" | "shrunk" | "new" | "gone", sentence)."""
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield "gone", f"{name} is committed but no longer measured"
        elif name not in before:
            yield "new", f"{name} is measured but not committed"
        elif after[name] != before[name]:
            change = after[name] - before[name]
            kind = "grown" if change > 0 else "shrunk"
            yield kind, f"{name}: {before[name]:,} -> {after[name]:,} ({change:+,})"


def _verdict(goal: Goal | None, gas: int) -> str:
    if goal is None:
        return ""
    met = "met" if gas <= goal.bar else "MISSED"
    peers = ", ".join(f"{name} {100 * gas // peer} %" for name, peer in goal.peers)
    return f"{goal.bar:>10,}  {met:<6}  {peers}"
