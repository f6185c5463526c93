"""Delegates: who else may trade for an account, within what; `Delegate` is what its owner signs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak

from plimsoll.errors import InvalidDelegationError
from plimsoll.instruments import AccountId, Instrument
from plimsoll.units import Amount, decimal_of, from_units, to_units_exact

FOREVER = 2**40 - 1
_LEVERAGE_DECIMALS = 2
_MARKETS = 256
_MOST_SECONDS = 2**64

TYPES: dict[str, list[dict[str, str]]] = {
    "Delegate": [
        {"name": "account", "type": "bytes32"},
        {"name": "delegate", "type": "address"},
        {"name": "expiry", "type": "uint256"},
        {"name": "mayBid", "type": "bool"},
        {"name": "reduceOnly", "type": "bool"},
        {"name": "maxLeverage", "type": "uint256"},
        {"name": "markets", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
}


@dataclass(frozen=True, slots=True)
class Delegation:
    """What a delegate may do with an account. He never withdraws, transfers or grants.

    It bounds where he trades, which way and how large, not what he loses by trading badly.
    """

    expiry: int
    """Last second at which it holds; zero ends it."""
    may_bid: bool = False
    reduce_only: bool = False
    """Whether each leg that he trades must reduce. Says nothing of bids."""
    max_leverage: Decimal | None = None
    """Value of all positions to equity that what he opens may leave; none for no maximum."""
    markets: frozenset[int] = frozenset()
    """The underlyings that he may trade; empty for all."""

    def __post_init__(self) -> None:
        if not 0 <= self.expiry < _MOST_SECONDS:
            raise InvalidDelegationError(f"{self.expiry} is no time in seconds")
        if self.max_leverage is not None and self.max_leverage <= 0:
            raise InvalidDelegationError("a maximal leverage is above zero, or none")
        wrong = sorted(u for u in self.markets if not 0 <= u < _MARKETS)
        if wrong:
            raise InvalidDelegationError(f"no underlying has the id {wrong[0]}")

    @classmethod
    def build(
        cls,
        expiry: int = FOREVER,
        *,
        may_bid: bool = False,
        reduce_only: bool = False,
        max_leverage: Amount | None = None,
        markets: Iterable[Instrument | int] = (),
    ) -> Self:
        """Markets by instrument or by the id of their underlying."""
        return cls(
            expiry=expiry,
            may_bid=may_bid,
            reduce_only=reduce_only,
            max_leverage=None if max_leverage is None else decimal_of(max_leverage),
            markets=frozenset(m.underlying if isinstance(m, Instrument) else m for m in markets),
        )

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        expiry, may_bid, reduce_only, leverage, markets = raw
        return cls(
            expiry=expiry,
            may_bid=may_bid,
            reduce_only=reduce_only,
            max_leverage=from_units(leverage, _LEVERAGE_DECIMALS) if leverage else None,
            markets=frozenset(u for u in range(_MARKETS) if markets >> u & 1),
        )

    def message(self) -> dict[str, Any]:
        """The fields as the ABI takes them; leverage finer than hundredths is refused."""
        leverage = self.max_leverage
        return {
            "expiry": self.expiry,
            "mayBid": self.may_bid,
            "reduceOnly": self.reduce_only,
            "maxLeverage": to_units_exact(leverage, _LEVERAGE_DECIMALS) if leverage else 0,
            "markets": sum(1 << underlying for underlying in self.markets),
        }

    def holds(self, now: int) -> bool:
        return self.expiry >= now


REVOKED = Delegation(expiry=0)


@dataclass(frozen=True, slots=True)
class Grant:
    """A delegation for somebody, for its owner to sign and for anybody to bring."""

    account: AccountId
    delegate: ChecksumAddress
    delegation: Delegation
    nonce: int
    """The account's grant nonce: any other grant kills this one."""
    deadline: int
    """Last second at which it may be brought."""

    def message(self) -> dict[str, Any]:
        """The fields as they are signed."""
        return {
            "account": self.account.encode(),
            "delegate": self.delegate,
            **self.delegation.message(),
            "nonce": self.nonce,
            "deadline": self.deadline,
        }

    def typed_data(self, domain: Mapping[str, Any]) -> SignableMessage:
        return encode_typed_data(dict(domain), TYPES, self.message())

    def digest(self, domain: Mapping[str, Any]) -> bytes:
        """What the ClearingHouse's `hashDelegate` answers, computed here."""
        signable = self.typed_data(domain)
        return keccak(b"\x19" + signable.version + signable.header + signable.body)

    def sign(self, key: LocalAccount, domain: Mapping[str, Any]) -> "SignedGrant":
        if key.address != self.account.owner:
            owner = self.account.owner
            raise InvalidDelegationError(f"{owner} has to sign, the key is of {key.address}")
        return SignedGrant(self, bytes(key.sign_message(self.typed_data(domain)).signature))


@dataclass(frozen=True, slots=True)
class SignedGrant:
    grant: Grant
    signature: bytes
    """65 bytes of an ordinary key, or whatever the owner's contract understands (ERC-1271)."""
