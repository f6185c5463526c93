"""The stateful test of the whole house, and what a run must have seen to count as one."""

from __future__ import annotations

from collections import Counter
from re import fullmatch

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import HouseMachine, aged_house

STEPS = {"quick": 30, "ci": 40, "deep": 80}
EXAMPLES = {"quick": 5, "ci": 80, "deep": 2_500}
# A run in which one of these never happened tested something else; names are of `House.outcomes`.
SEEN = (
    "deposit: done",
    "withdraw: done",
    "withdraw: BelowInitialMargin",
    "withdraw: WinnersCapExceeded",
    "transfer: done",
    "(take|trade): done",
    "(take|trade|batch): RatioWorsened",
    "(take|trade): OpenInterestCapExceeded",
    ".*: (DoubtfulPrice|PriceNotOk|NoPayoutOnDoubtfulPrice)",
    "settle: done",
    "report: done",
    "report: Report(TooOld|NotNewer)",
    "batch: done",
    "flag: done",
    "flag: AccountHealthy",
    "auction: OBSERVED",
    "auction: RUNNING",
    "bid: paid for",
    "bid: payout",
    "loss: from reserves",
    "loss: from suppliers",
    "withdraw: charged",
    "withdraw: OutflowLimited",
    "withdraw: NotAuthorised",
    "refresh: done",
    "(take|trade): RiskHalted",
    "accept resume: done",
    "submit shutdown: done",
    "grant: done",
    "signed grant: done",
    "(take|trade|bid|raise epoch): (NotAuthorised|DelegateMarket|NotReducing|LeverageExceeded)",
    "draw reserves: done",
    "return reserves: done",
    "pay reserves: done",
    "pay reserves: (ProvisionOpen|RiskHalted)",
)


def test_house_equals_its_twin_and_keeps_its_invariants() -> None:
    outcomes: Counter[str] = Counter()
    house = aged_house()
    machine = type(
        "Machine",
        (HouseMachine,),
        {"house": house, "outcomes": outcomes, "go_back": staticmethod(house.checkpoint())},
    )
    profile = settings.get_current_profile_name()
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=EXAMPLES[profile], stateful_step_count=STEPS[profile]),
    )
    print("\n".join(f"{count:7} {name}" for name, count in sorted(outcomes.items())))
    if profile != "quick":
        missing = [name for name in SEEN if not any(fullmatch(name, o) for o in outcomes)]
        assert not missing, f"never seen: {', '.join(missing)}"
