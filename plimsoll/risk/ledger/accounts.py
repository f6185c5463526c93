"""An account as it is stored."""

from __future__ import annotations

from dataclasses import dataclass, replace

from plimsoll.risk.ledger.base import MAX_UINT16
from plimsoll.risk.model import Holding, Position

MAX_POSITIONS = 128
MAX_BIDDER_POSITIONS = 255
MAX_POSITION = 2**103 - 1
MAX_PRINCIPAL = 2**119 - 1


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account as it is stored; positions keep the order of their slots."""

    principal: int = 0
    collateral: tuple[Holding, ...] = ()
    positions: tuple[Position, ...] = ()
    epoch: int = 0
    version: int = 0

    def amount(self, asset: int) -> int:
        return next((h.amount for h in self.collateral if h.asset == asset), 0)

    def position(self, instrument: int) -> Position:
        held = (p for p in self.positions if p.instrument == instrument)
        return next(held, Position(instrument, 0, 0))

    def holds(self, instrument: int) -> bool:
        return any(p.instrument == instrument for p in self.positions)

    def with_amount(self, asset: int, amount: int) -> AccountState:
        others = [h for h in self.collateral if h.asset != asset]
        changed = [*others, Holding(asset, amount)] if amount else others
        return replace(self, collateral=tuple(sorted(changed, key=lambda h: h.asset)))

    def put(self, position: Position) -> AccountState:
        """Writes a position in its slot; the last one takes the place of one that reaches zero."""
        held = list(self.positions)
        index = next(
            (i for i, p in enumerate(held) if p.instrument == position.instrument), len(held)
        )
        if position.size != 0:
            held[index : index + 1] = [position]
        elif index < len(held):
            last = held.pop()
            if index < len(held):
                held[index] = last
        return replace(self, positions=tuple(held))

    def touched(self) -> AccountState:
        """The next content version; zero means any version in a bid and is never reached again."""
        return replace(self, version=1 if self.version == MAX_UINT16 else self.version + 1)
