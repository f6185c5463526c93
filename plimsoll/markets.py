"""What is traded and what is paid in: markets and assets."""

from dataclasses import dataclass
from decimal import Decimal

from eth_typing import ChecksumAddress
from web3.contract import Contract
from web3.types import BlockIdentifier

from plimsoll.chain import Chain, Receipt
from plimsoll.errors import InvalidConnectionError
from plimsoll.instruments import CASH, Instrument
from plimsoll.records import AssetTerms, CollateralValue, MarketTerms, Outflow, Price
from plimsoll.units import Amount, from_units, from_wad, to_units_exact, to_wad_exact

_OUTFLOW_DECIMALS = 6
"""Of cash, whatever decimals its token has."""


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade that an account would make."""

    instrument: Instrument
    size: Decimal
    """Positive buys."""
    price: Decimal
    is_taker: bool = True


class Market:
    """One instrument that trades."""

    def __init__(self, chain: Chain, instrument: Instrument) -> None:
        self.chain = chain
        self.instrument = instrument

    def __repr__(self) -> str:
        return f"Market({self.instrument})"

    def terms(self, block: BlockIdentifier = "latest") -> MarketTerms:
        call = self.chain.engine.functions.marketView(self.instrument.encode())
        return MarketTerms.decode(self.chain.call(call, block))

    def describe(self, block: BlockIdentifier = "latest") -> str:
        """In words, as the chain names it: "ETH perpetual, in dollars"."""
        call = self.chain.lens.functions.describe(self.instrument.encode())
        return str(self.chain.call(call, block))

    def open_interest(self, block: BlockIdentifier = "latest") -> Decimal:
        """Units of the underlying."""
        call = self.chain.clearing_house.functions.openInterest(self.instrument.encode())
        return from_wad(self.chain.call(call, block))

    def price(self, block: BlockIdentifier = "latest") -> Price:
        """The price as a margin check would see it."""
        call = self.chain.engine.functions.price(self.instrument.underlying)
        return Price.decode(self.chain.call(call, block))

    def fill(self, size: Amount, price: Amount, *, is_taker: bool = True) -> Fill:
        """A trade to preview."""
        exact_size, exact_price = to_wad_exact(size), to_wad_exact(price)
        return Fill(self.instrument, from_wad(exact_size), from_wad(exact_price), is_taker)


class Asset:
    """A token that counts as collateral; asset 0 is the settlement token and becomes cash."""

    def __init__(self, chain: Chain, asset: int) -> None:
        self.chain = chain
        self.id = asset
        if asset == CASH:
            self.address = chain.call(chain.clearing_house.functions.SETTLEMENT_TOKEN())
            self.decimals = int(chain.call(self.contract.functions.decimals()))
        else:
            terms = self.terms()
            self.address, self.decimals = terms.token, terms.decimals

    def __repr__(self) -> str:
        return f"Asset({self.id}, {self.address})"

    @property
    def contract(self) -> Contract:
        return self.chain.token(self.address)

    def terms(self, block: BlockIdentifier = "latest") -> AssetTerms:
        (raw,) = self.chain.call(self.chain.lens.functions.assets([self.id]), block)
        if int(raw[0], 16) == 0:
            raise InvalidConnectionError(f"asset {self.id} is not listed")
        return AssetTerms.decode(raw)

    def explain(self, amount: Amount, block: BlockIdentifier = "latest") -> CollateralValue:
        """What an amount, held alone, counts for, and why."""
        call = self.chain.engine.functions.explain(self.id, self.units(amount))
        return CollateralValue.decode(self.chain.call(call, block))

    def outflow(self, block: BlockIdentifier = "latest") -> Outflow:
        """What may leave within the running hour, and what has."""
        call = self.chain.clearing_house.functions.outflow(self.id)
        decimals = _OUTFLOW_DECIMALS if self.id == CASH else self.decimals
        return Outflow.decode(self.chain.call(call, block), decimals)

    def units(self, amount: Amount) -> int:
        """Whole tokens as token units; refuses what would have to be rounded."""
        return to_units_exact(amount, self.decimals)

    def balance(self, holder: ChecksumAddress | None = None) -> Decimal:
        """What somebody holds outside Plimsoll."""
        call = self.contract.functions.balanceOf(holder or self.chain.sender)
        return from_units(self.chain.call(call), self.decimals)

    def approve(self, units: int, spender: ChecksumAddress | None = None) -> Receipt | None:
        """Lets the vault, or who is named, pull `units` from the signer, unless it may already."""
        who, functions = spender or self.chain.vault.address, self.contract.functions
        allowed = self.chain.call(functions.allowance(self.chain.sender, who))
        if allowed >= units:
            return None
        if allowed > 0:
            # Some tokens let an allowance change only from or to zero.
            self.chain.send(functions.approve(who, 0))
        return self.chain.send(functions.approve(who, units))
