"""Where a premium comes from: anything that answers for an underlying, such as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from pathlib import Path

_WAD = Decimal(1).scaleb(-18)


@dataclass(frozen=True, slots=True)
class Observation:
    """Mark less index in parts of the index, to 18 decimals, as seen at a second."""

    premium: Decimal
    observed_at: int


Source = Callable[[int], Observation | None]
"""Asked with the id of an underlying; none where nothing is known."""


def mid_premium(bid: Decimal, ask: Decimal, index: Decimal) -> Decimal:
    """How far the middle of a book stands from the index, in parts of it."""
    return (((bid + ask) / 2 - index) / index).quantize(_WAD, ROUND_DOWN)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A JSON file that another program renews: `{"1": {"premium": "0.0004", "observed_at": ...}}`.

    What is missing or malformed is nothing, never zero.
    """

    path: Path

    def __call__(self, underlying: int) -> Observation | None:
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))[str(underlying)]
            premium, observed_at = Decimal(str(told["premium"])), int(told["observed_at"])
        except (OSError, ValueError, KeyError, TypeError, InvalidOperation):
            return None
        if not premium.is_finite():
            return None
        return Observation(premium.quantize(_WAD, ROUND_DOWN), observed_at)
