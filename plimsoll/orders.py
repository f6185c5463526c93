"""Orders: the EIP-712 struct of `interfaces/ITradingModule.sol`, field for field."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Self

from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak
from web3 import Web3
from web3.constants import ADDRESS_ZERO

from plimsoll.errors import InvalidOrderError
from plimsoll.instruments import AccountId, Instrument
from plimsoll.units import Amount, decimal_of, from_wad, to_wad_exact

MAX_LEGS = 8
ANYONE = Web3.to_checksum_address(ADDRESS_ZERO)

TYPES: dict[str, list[dict[str, str]]] = {
    "Order": [
        {"name": "account", "type": "bytes32"},
        {"name": "signer", "type": "address"},
        {"name": "taker", "type": "address"},
        {"name": "legs", "type": "Leg[]"},
        {"name": "quantity", "type": "int256"},
        {"name": "price", "type": "int256"},
        {"name": "minimumFill", "type": "uint256"},
        {"name": "reduceOnly", "type": "bool"},
        {"name": "expiry", "type": "uint256"},
        {"name": "epoch", "type": "uint256"},
        {"name": "salt", "type": "uint256"},
    ],
    "Leg": [
        {"name": "instrument", "type": "uint48"},
        {"name": "ratio", "type": "int256"},
    ],
}


@dataclass(frozen=True, slots=True)
class Leg:
    """`ratio` units of the instrument for each unit of the order; negative is the other way."""

    instrument: Instrument
    ratio: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Order:
    """An intent to trade a package of legs at one net price per unit."""

    account: AccountId
    signer: ChecksumAddress
    legs: tuple[Leg, ...]
    quantity: Decimal
    """Units of the package; positive buys it, negative sells it."""
    price: Decimal
    """Most paid per unit by a buyer, least got by a seller."""
    expiry: int
    epoch: int
    taker: ChecksumAddress = ANYONE
    minimum_fill: Decimal = Decimal(0)
    reduce_only: bool = False
    salt: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.legs) <= MAX_LEGS:
            raise InvalidOrderError(f"an order has 1 to {MAX_LEGS} legs, not {len(self.legs)}")
        ids = [leg.instrument.encode() for leg in self.legs]
        if ids != sorted(set(ids)):
            raise InvalidOrderError("legs stand in ascending order of instrument, each once")
        if self.quantity == 0 or any(leg.ratio == 0 for leg in self.legs):
            raise InvalidOrderError("quantity and ratios cannot be zero")
        if self.minimum_fill < 0:
            raise InvalidOrderError("the minimum fill is unsigned")

    @classmethod
    def build(
        cls,
        account: AccountId,
        legs: Instrument | Sequence[Leg],
        quantity: Amount,
        price: Amount,
        *,
        expiry: int,
        epoch: int,
        signer: ChecksumAddress | None = None,
        taker: ChecksumAddress | None = None,
        minimum_fill: Amount = 0,
        reduce_only: bool = False,
        salt: int | None = None,
    ) -> Self:
        """An order with a fresh random salt, for the owner to sign unless a delegate is named."""
        return cls(
            account=account,
            signer=signer or account.owner,
            legs=_ordered([Leg(legs)] if isinstance(legs, Instrument) else legs),
            quantity=decimal_of(quantity),
            price=decimal_of(price),
            expiry=expiry,
            epoch=epoch,
            taker=taker or ANYONE,
            minimum_fill=decimal_of(minimum_fill),
            reduce_only=reduce_only,
            salt=secrets.randbits(128) if salt is None else salt,
        )

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Self:
        """The inverse of `message`: what travels between makers and takers."""
        return cls(
            account=AccountId.decode(message["account"]),
            signer=message["signer"],
            legs=tuple(
                Leg(Instrument.decode(leg["instrument"]), from_wad(leg["ratio"]))
                for leg in message["legs"]
            ),
            quantity=from_wad(message["quantity"]),
            price=from_wad(message["price"]),
            expiry=message["expiry"],
            epoch=message["epoch"],
            taker=message["taker"],
            minimum_fill=from_wad(message["minimumFill"]),
            reduce_only=message["reduceOnly"],
            salt=message["salt"],
        )

    def message(self) -> dict[str, Any]:
        """The fields as they are signed and as the ABI takes them."""
        return {
            "account": self.account.encode(),
            "signer": self.signer,
            "taker": self.taker,
            "legs": [
                {"instrument": leg.instrument.encode(), "ratio": to_wad_exact(leg.ratio)}
                for leg in self.legs
            ],
            "quantity": to_wad_exact(self.quantity),
            "price": to_wad_exact(self.price),
            "minimumFill": to_wad_exact(self.minimum_fill),
            "reduceOnly": self.reduce_only,
            "expiry": self.expiry,
            "epoch": self.epoch,
            "salt": self.salt,
        }

    def typed_data(self, domain: Mapping[str, Any]) -> SignableMessage:
        return encode_typed_data(dict(domain), TYPES, self.message())

    def digest(self, domain: Mapping[str, Any]) -> bytes:
        """What the ClearingHouse's `hashOrder` answers, computed here."""
        signable = self.typed_data(domain)
        return keccak(b"\x19" + signable.version + signable.header + signable.body)

    def sign(self, key: LocalAccount, domain: Mapping[str, Any]) -> "SignedOrder":
        if key.address != self.signer:
            raise InvalidOrderError(f"{self.signer} has to sign, the key is of {key.address}")
        signature = key.sign_message(self.typed_data(domain)).signature
        return SignedOrder(self, bytes(signature))

    def with_price(self, price: Amount) -> Self:
        """The same order at another price, with a fresh salt."""
        return replace(self, price=decimal_of(price), salt=secrets.randbits(128))


@dataclass(frozen=True, slots=True)
class SignedOrder:
    order: Order
    signature: bytes
    """65 bytes of an ordinary key, or whatever the signer's contract understands (ERC-1271)."""


def _ordered(legs: Sequence[Leg]) -> tuple[Leg, ...]:
    return tuple(sorted(legs, key=lambda leg: leg.instrument.encode()))
