"""A scenario somebody can write by hand: who holds what, and which prices come.

Amounts are dollars at opening prices, so the same portfolios can meet any price level. Numbers in
the YAML become exact decimals; unknown keys are refused.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

SCENARIOS = Path(__file__).parent / "scenarios"
DEFAULT = SCENARIOS / "crash.yaml"

Symbol = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]{0,15}$")]
Dollars = Annotated[Decimal, Field(gt=0, le=Decimal(10**12))]
SignedDollars = Annotated[Decimal, Field(ge=-Decimal(10**12), le=Decimal(10**12))]
Level = Annotated[Decimal, Field(gt=0, le=1000)]


class ScenarioError(ValueError):
    """A scenario that the chain refuses, or that names what is not listed; the text says what."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Waypoint(Strict):
    """Where a synthetic path passes: at this step, this multiple of the opening price."""

    step: Annotated[int, Field(ge=0)]
    level: Level


class SyntheticPath(Strict):
    start: Dollars
    waypoints: Annotated[tuple[Waypoint, ...], Field(min_length=1)]
    noise_bps: Annotated[int, Field(ge=0, le=1000)] = 0
    """Standard deviation of the noise around the line through the waypoints."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        steps = [point.step for point in self.waypoints]
        if steps != sorted(set(steps)):
            raise ValueError("waypoints must have rising steps")
        if steps[0] != 0 or self.waypoints[0].level != 1:
            raise ValueError("the first waypoint is the opening: step 0, level 1")
        return self


class OptionLeg(Strict):
    """European, cash-settled, of the expiry that the smile names."""

    underlying: Symbol
    strike: Level
    """In parts of the opening price, rounded to three digits."""
    put: bool
    size: SignedDollars
    """Of the underlying at its opening price; negative is sold."""


class Smile(Strict):
    """What reporters see of volatility: a smile that rises as the price falls."""

    days: Annotated[int, Field(ge=1, le=60)] = 7
    """Options expire on the first Friday at least so many days after the opening."""
    volatility: Annotated[Decimal, Field(ge=Decimal("0.1"), le=1)] = Decimal("0.6")
    """At the money, at the opening price and above it."""
    rise: Annotated[Decimal, Field(ge=0, le=2)] = Decimal("1.5")
    """How much volatility rises, in points for each percent below the opening price."""
    skew: Annotated[Decimal, Field(ge=Decimal("-0.5"), le=Decimal("0.5"))] = Decimal("-0.3")
    """Correlation of raw SVI: negative makes low strikes dearer."""


class Trader(Strict):
    name: Annotated[str, Field(min_length=1, max_length=24)]
    story: str
    """One sentence for the reader: what this portfolio is meant to show."""
    cash: Annotated[Decimal, Field(ge=0, le=Decimal(10**12))] = Decimal(0)
    borrow: Annotated[Decimal, Field(ge=0, le=Decimal(10**12))] = Decimal(0)
    """Cash withdrawn against the collateral."""
    collateral: dict[Symbol, Dollars] = {}
    positions: dict[Symbol, SignedDollars] = {}
    """By underlying; negative is short."""
    options: Annotated[tuple[OptionLeg, ...], Field(max_length=16)] = ()
    """Traded at their marks; what they cost or bring is variation, paid as it moves."""
    hedged: bool = False
    """Whether a perpetual takes the delta of the options, as the engine gives it at the opening."""

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not self.cash and not self.collateral:
            raise ValueError(f"{self.name} deposits nothing")
        if self.cash and self.borrow:
            raise ValueError(f"{self.name} both deposits and borrows cash")
        if not self.positions and not self.borrow and not self.options:
            raise ValueError(f"{self.name} takes no risk")
        sizes = (*self.positions.values(), *(leg.size for leg in self.options))
        if any(size == 0 for size in sizes):
            raise ValueError(f"{self.name} has a position of zero")
        return self

    @model_validator(mode="after")
    def _one_book(self) -> Self:
        if len(self.optioned) > 1:
            raise ValueError(f"{self.name} has options on more than one underlying")
        legs = {(leg.underlying, leg.strike, leg.put) for leg in self.options}
        if len(legs) != len(self.options):
            raise ValueError(f"{self.name} has one option twice")
        if self.hedged and not self.options:
            raise ValueError(f"{self.name} has no options to hedge")
        if self.hedged and set(self.positions) & self.optioned:
            raise ValueError(f"{self.name} hedges by a perpetual that he holds already")
        return self

    @property
    def optioned(self) -> set[str]:
        """The underlyings of his options."""
        return {leg.underlying for leg in self.options}


class House(Strict):
    """Everybody who is not a trader."""

    maker_cash: Dollars = Decimal(20_000_000)
    """Counterparty of every trade."""
    lender_cash: Dollars = Decimal(2_000_000)
    """Cash that takes no risk but that of the pool."""
    desk_cash: Dollars = Decimal(2_000_000)
    """Of the account that bids."""
    reserves: Dollars = Decimal(250_000)
    """What the backstop's holders pay in."""
    borrowed: Dollars = Decimal(12_000_000)
    """What a treasury draws in cash against bitcoin worth three times as much."""
    quiet_hours: Annotated[int, Field(ge=1, le=48)] = 4
    """Before the prices move: interest runs, and premiums are reported every hour."""
    premium: Annotated[Decimal, Field(ge=Decimal("-0.05"), le=Decimal("0.05"))] = Decimal("0.0008")
    """Of the maker's quotes over the index in that time, in parts of the index."""


class Scenario(Strict):
    title: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)] = 0
    steps: Annotated[int, Field(ge=1, le=2000)]
    step_seconds: Annotated[int, Field(ge=15, le=3600)] = 60
    prices: dict[Symbol, SyntheticPath]
    """Synthetic paths; a file of real prices replaces the underlyings it names."""
    house: House = House()
    smile: Smile = Smile()
    traders: Annotated[tuple[Trader, ...], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [trader.name for trader in self.traders]
        if len(set(names)) != len(names):
            raise ValueError("two traders have one name")
        traded = {symbol for trader in self.traders for symbol in trader.positions}
        if missing := (traded | self.optioned) - set(self.prices):
            raise ValueError(f"no prices for {', '.join(sorted(missing))}")
        late = [s for s, path in self.prices.items() if path.waypoints[-1].step > self.steps]
        if late:
            raise ValueError(f"waypoints after the last step: {', '.join(late)}")
        return self

    @property
    def optioned(self) -> set[str]:
        """The underlyings whose options somebody holds."""
        return {symbol for trader in self.traders for symbol in trader.optioned}


class _ExactLoader(yaml.SafeLoader):
    """YAML whose fractions become decimals, digit for digit."""


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Decimal:
    return Decimal(str(loader.construct_scalar(node)).replace("_", ""))


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _decimal)


def load_scenario(path: Path) -> Scenario:
    """Reads and checks a scenario; `pydantic.ValidationError` names every field that is wrong."""
    with path.open(encoding="utf-8") as stream:
        raw: Any = yaml.load(stream, Loader=_ExactLoader)  # noqa: S506 -- a SafeLoader
    return Scenario.model_validate(raw)
