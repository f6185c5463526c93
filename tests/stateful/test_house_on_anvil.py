"""The stateful test of the house on a real node, through Ape: the same machine, fewer steps."""

from __future__ import annotations

from collections import Counter
from re import fullmatch
from typing import Any

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.node import Node
from tests.stateful.backed_machine import BackedMachine
from tests.stateful.machine import aged_house

STEPS, EXAMPLES = 30, 8
SEEN = (
    "deposit: done",
    "withdraw: done",
    "(take|trade): done",
    "settle: done",
    "flag: done",
    "bid: done",
    ".*: RatioWorsened",
)


def test_house_on_a_node_equals_its_twin(chain: Any) -> None:
    outcomes: Counter[str] = Counter()
    house = aged_house(Node(chain.provider))
    machine = type(
        "Machine",
        (BackedMachine,),
        {"house": house, "outcomes": outcomes, "go_back": staticmethod(house.checkpoint())},
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            phases=[Phase.explicit, Phase.generate],
        ),
    )
    print("\n".join(f"{count:7} {name}" for name, count in sorted(outcomes.items())))
    missing = [name for name in SEEN if not any(fullmatch(name, o) for o in outcomes)]
    assert not missing, f"never seen: {', '.join(missing)}"
