"""The packed ids and words of `interfaces/Types.sol`, both ways."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Self

from eth_typing import ChecksumAddress
from web3 import Web3

from plimsoll.errors import MalformedIdError
from plimsoll.risk import instruments as ids
from plimsoll.units import Amount, from_units, from_wad, to_wad_exact

CASH = 0
"""The asset id of the settlement token."""

_SUB_ACCOUNT_BITS = 96
# The strike in dollars is the mantissa times ten to the exponent less this.
_STRIKE_SCALE = 10


class Kind(IntEnum):
    PERPETUAL = 1
    FUTURE = 2
    OPTION = 3


@dataclass(frozen=True, slots=True)
class AccountId:
    """An owner's address in the high 160 bits and a sub-account number in the low 96."""

    owner: ChecksumAddress
    sub_account: int = 0

    def __post_init__(self) -> None:
        if not Web3.is_address(self.owner):
            raise MalformedIdError(f"{self.owner!r} is not an address")
        _within("sub-account", self.sub_account, _SUB_ACCOUNT_BITS)
        object.__setattr__(self, "owner", Web3.to_checksum_address(self.owner))

    @classmethod
    def decode(cls, word: bytes | str | int) -> Self:
        value = word if isinstance(word, int) else int.from_bytes(_bytes32(word), "big")
        owner = value >> _SUB_ACCOUNT_BITS
        return cls(
            Web3.to_checksum_address(owner.to_bytes(20, "big")), value % (1 << _SUB_ACCOUNT_BITS)
        )

    def encode(self) -> bytes:
        return bytes.fromhex(self.owner[2:]) + self.sub_account.to_bytes(12, "big")

    def __str__(self) -> str:
        return f"{self.owner}/{self.sub_account}"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What can be held, in 48 bits.

    Kind 2 | underlying 9 | expiry day 12 | strike mantissa 20 | strike exponent 4 | put 1.
    """

    kind: Kind
    underlying: int
    expiry_day: int = 0
    strike_mantissa: int = 0
    strike_exponent: int = 0
    put: bool = False

    def __post_init__(self) -> None:
        _within("underlying", self.underlying, 9)
        _within("expiry day", self.expiry_day, 12)
        _within("strike mantissa", self.strike_mantissa, 20)
        _within("strike exponent", self.strike_exponent, 4)
        below = (self.strike_mantissa, self.strike_exponent, self.put)
        if self.kind is Kind.PERPETUAL and (self.expiry_day or any(below)):
            raise MalformedIdError("a perpetual has neither expiry nor strike")
        if self.kind is Kind.FUTURE and any(below):
            raise MalformedIdError("a future has no strike")
        with _malformed():
            self._checked()

    def _checked(self) -> ids.Instrument:
        return ids.Instrument(
            ids.Kind(self.kind),
            self.underlying,
            self.expiry_day,
            self.strike_mantissa,
            self.strike_exponent,
            self.put,
        )

    @classmethod
    def perpetual(cls, underlying: int) -> Self:
        return cls(Kind.PERPETUAL, underlying)

    @classmethod
    def future(cls, underlying: int, expiry_day: int) -> Self:
        return cls(Kind.FUTURE, underlying, expiry_day)

    @classmethod
    def option(cls, underlying: int, expiry_day: int, strike: Amount, *, put: bool) -> Self:
        """A strike in dollars, exactly: six significant digits always fit."""
        with _malformed():
            mantissa, exponent = ids.strike_code(to_wad_exact(strike))
        return cls(Kind.OPTION, underlying, expiry_day, mantissa, exponent, put)

    @classmethod
    def parse(cls, name: str, underlyings: Mapping[str, int]) -> Self:
        """ "ETH-PERPETUAL", "ETH-25DEC26" or "ETH-25DEC26-2000-C", with the ids by symbol."""
        with _malformed():
            return cls.decode(ids.Instrument.parse(name, underlyings).id)

    def name(self, symbols: Mapping[int, str]) -> str:
        """The inverse of `parse`, with the symbols by id; an unknown one is its number."""
        return self._checked().name(symbols.get(self.underlying, str(self.underlying)))

    @property
    def strike(self) -> Decimal:
        """Dollars; zero of what is no option."""
        return Decimal(self.strike_mantissa).scaleb(self.strike_exponent - _STRIKE_SCALE)

    @property
    def expiry(self) -> int | None:
        """The second at which it expires; none of a perpetual."""
        return None if self.kind is Kind.PERPETUAL else ids.expiry_of(self.expiry_day)

    @classmethod
    def decode(cls, packed: int) -> Self:
        _within("instrument", packed, 48)
        if packed >> 46 == 0:
            raise MalformedIdError(f"{packed:#x} is no instrument")
        return cls(
            kind=Kind(packed >> 46),
            underlying=packed >> 37 & 0x1FF,
            expiry_day=packed >> 25 & 0xFFF,
            strike_mantissa=packed >> 5 & 0xFFFFF,
            strike_exponent=packed >> 1 & 0xF,
            put=bool(packed & 1),
        )

    def encode(self) -> int:
        return (
            self.kind << 46
            | self.underlying << 37
            | self.expiry_day << 25
            | self.strike_mantissa << 5
            | self.strike_exponent << 1
            | int(self.put)
        )

    def __str__(self) -> str:
        name = f"{self.kind.name.lower()}:{self.underlying}"
        if self.kind is Kind.PERPETUAL:
            return name
        name += f":day{self.expiry_day}"
        if self.kind is Kind.FUTURE:
            return name
        side = "put" if self.put else "call"
        return f"{name}:{self.strike_mantissa}e{self.strike_exponent}:{side}"


@dataclass(frozen=True, slots=True)
class Position:
    """Equity of a perpetual position: `size * (mark - funding index) + quote`."""

    instrument: Instrument
    size: Decimal
    quote: Decimal

    @classmethod
    def decode(cls, word: int) -> Self:
        instrument, size, quote = position_fields(word)
        return cls(Instrument.decode(instrument), from_wad(size), from_wad(quote))


@dataclass(frozen=True, slots=True)
class Holding:
    """A collateral balance in the token's own units."""

    asset: int
    units: int

    @classmethod
    def decode(cls, word: int) -> Self:
        return cls(word >> 128 & 0xFFFF, word % (1 << 128))

    def amount(self, decimals: int) -> Decimal:
        return from_units(self.units, decimals)


@contextmanager
def _malformed() -> Iterator[None]:
    """What the twin says of an id, as an error of this package."""
    try:
        yield
    except ids.InstrumentError as error:
        raise MalformedIdError(str(error)) from error


def position_fields(word: int) -> tuple[int, int, int]:
    """Instrument id, size and quote of a position's word, the latter two with 18 decimals."""
    return word >> 208, signed(word >> 104, 104), signed(word, 104)


def signed(word: int, bits: int) -> int:
    """The lowest bits of a word as a number in two's complement."""
    low = word % (1 << bits)
    return low - (1 << bits) if low >> (bits - 1) else low


def _within(name: str, value: int, bits: int) -> None:
    if not 0 <= value < 1 << bits:
        raise MalformedIdError(f"{name} {value} does not fit {bits} bits")


def _bytes32(word: bytes | str) -> bytes:
    raw = bytes.fromhex(word.removeprefix("0x")) if isinstance(word, str) else bytes(word)
    if len(raw) != 32:
        raise MalformedIdError(f"an account id has 32 bytes, not {len(raw)}")
    return raw
