"""The stateful test of the whole house, and what a run must have seen to count as one."""

from __future__ import annotations

from collections import Counter
from re import fullmatch

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import aged_house
from tests.stateful.option_machine import OptionMachine

STEPS = {"quick": 30, "ci": 40, "deep": 80}
EXAMPLES = {"quick": 5, "ci": 80, "deep": 2_500}
# A run in which one of these never happened tested something else; names are of `House.outcomes`.
SEEN = (
    "deposit: done",
    "withdraw: done",
    "withdraw: BelowInitialMargin",
    "(take|trade): done",
    "(take|trade|batch): RatioWorsened",
    "settle: done",
    "report: done",
    "report: Report(TooOld|NotNewer)",
    "flag: done",
    "flag: AccountHealthy",
    "auction: OBSERVED",
    "auction: RUNNING",
    "bid: payout",
    "loss: from reserves",
    "refresh: done",
    "grant: done",
    "(take|trade|bid|raise epoch): (NotAuthorised|DelegateMarket|NotReducing|LeverageExceeded)",
    "draw reserves: OnlyBackstop",
    "backstop deposit: done",
    "surface: done",
)

# A short run meets most of these; only a deep one must. Each has tests of its own: those of the
# backstop, and a loss that suppliers bear, are told in `test_backstop_story.py`, an expiry and what
# leads to it in `test_option_story.py`.
SEEN_IN_THE_DEEP = (
    "loss: from suppliers",
    "backstop bid: done",
    "withdraw: WinnersCapExceeded",
    "(take|trade): OpenInterestCapExceeded",
    ".*: (DoubtfulPrice|PriceNotOk|NoPayoutOnDoubtfulPrice)",
    "batch: done",
    "bid: paid for",
    "withdraw: charged",
    "withdraw: OutflowLimited",
    "withdraw: NotAuthorised",
    "(take|trade): RiskHalted",
    "accept resume: done",
    "submit shutdown: done",
    "signed grant: done",
    "transfer: done",
    "backstop order: done",
    "backstop order: InvalidSignature",
    "backstop sale: done",
    "backstop sweep: done",
    "backstop settlement: done",
    "backstop settlement: (ProvisionOpen|RiskHalted)",
    "backstop (redeem|withdraw): done",
    "surface: ReportNotNewer",
    "take: (MarketClosed|SurfaceStale)",
    "take: UnknownInstrument",
    "fixing: done",
    "fixing: Round(TooEarly|NotFirst|Unavailable|sDescend)",
    "settle: final",
)


def test_house_equals_its_twin_and_keeps_its_invariants() -> None:
    outcomes: Counter[str] = Counter()
    house = aged_house()
    machine = type(
        "Machine",
        (OptionMachine,),
        {"house": house, "outcomes": outcomes, "go_back": staticmethod(house.checkpoint())},
    )
    profile = settings.get_current_profile_name()
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=EXAMPLES[profile], stateful_step_count=STEPS[profile]),
    )
    print("\n".join(f"{count:7} {name}" for name, count in sorted(outcomes.items())))
    if profile != "quick":
        wanted = SEEN + (SEEN_IN_THE_DEEP if profile == "deep" else ())
        missing = [name for name in wanted if not any(fullmatch(name, o) for o in outcomes)]
        assert not missing, f"never seen: {', '.join(missing)}"
