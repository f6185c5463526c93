"""The backstop: shares in the reserves, and the bids that they pay for.

>>> backstop = house.backstop()
>>> backstop.deposit("10_000")
>>> backstop.request("4_000")        # shares; irrevocable, settled after seven to fourteen days
>>> backstop.claim()                 # once their epoch is settled
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3.contract import Contract
from web3.types import BlockIdentifier

from plimsoll.chain import Chain, Receipt
from plimsoll.errors import InvalidConnectionError
from plimsoll.instruments import CASH, AccountId
from plimsoll.markets import Asset
from plimsoll.orders import Order
from plimsoll.units import Amount, from_units, from_wad, to_units_exact

_SHARE_DECIMALS = 3
"""More than the settlement token has."""
_BPS_DECIMALS = 4
_NO_ADDRESS = 0
_SELECTOR_BYTES = 4


@dataclass(frozen=True, slots=True)
class BackstopValuation:
    """What all shares are worth, dollars."""

    upper: Decimal
    """What is paid for shares."""
    lower: Decimal
    """What they fetch."""
    doubtful: bool
    """Whether a price of a sub-account is: then nothing is minted or settled."""

    @classmethod
    def decode(cls, raw: Sequence[Any]) -> Self:
        upper, lower, doubtful = raw
        return cls(from_wad(upper), from_wad(lower), doubtful)


@dataclass(frozen=True, slots=True)
class BackstopSlice:
    """What the backstop would take of an account now; dollars."""

    fraction: Decimal
    price: Decimal
    """Negative when the waterfall pays."""
    funding: Decimal
    """What it draws from the reserves."""
    gross: Decimal
    slack_cap: Decimal
    """The most by which it misses the mark when it sells again, a part of the gross value."""

    @classmethod
    def decode(cls, raw: Sequence[int]) -> Self:
        fraction, price, funding, gross, slack_cap = raw
        return cls(
            from_wad(fraction),
            from_wad(price),
            from_wad(funding),
            from_wad(gross),
            from_units(slack_cap, _BPS_DECIMALS),
        )


@dataclass(frozen=True, slots=True)
class Redemptions:
    """The redemptions requested for one epoch."""

    epoch: int
    shares: Decimal
    assets: Decimal
    """What they fetched; zero before they are settled."""
    settled: bool


class Backstop:
    """The vault that owns the reserves, seen by one signer or by none."""

    def __init__(self, chain: Chain) -> None:
        address = chain.call(chain.clearing_house.functions.backstop())
        if int(address, 16) == _NO_ADDRESS:
            raise InvalidConnectionError("this ClearingHouse has no backstop")
        self.chain = chain
        self.contract: Contract = chain.contract("BackstopVault", address)
        self.cash = Asset(chain, CASH)

    def __repr__(self) -> str:
        return f"Backstop({self.contract.address})"

    # What it is worth.

    def valuation(self, block: BlockIdentifier = "latest") -> BackstopValuation:
        return BackstopValuation.decode(self._ask(self.contract.functions.valuation(), block))

    def shares(
        self, owner: ChecksumAddress | None = None, block: BlockIdentifier = "latest"
    ) -> Decimal:
        """What somebody holds, the signer unless named; without what waits to be redeemed."""
        call = self.contract.functions.balanceOf(owner or self.chain.sender)
        return self._from_shares(self._ask(call, block))

    def worth(self, shares: Amount, block: BlockIdentifier = "latest") -> Decimal:
        """What shares would fetch if they were settled now, in settlement tokens."""
        call = self.contract.functions.convertToAssets(self._to_shares(shares))
        return self._from_units(self._ask(call, block))

    # What its holders do.

    def deposit(
        self, amount: Amount, receiver: ChecksumAddress | None = None, **overrides: Any
    ) -> Receipt:
        """Buys shares for settlement tokens, approving the backstop where needed."""
        units = self.cash.units(amount)
        self.cash.approve(units, self.contract.address)
        call = self.contract.functions.deposit(units, receiver or self.chain.sender)
        return self.chain.send(call, **overrides)

    def request(self, shares: Amount | None = None, **overrides: Any) -> Receipt:
        """Asks to redeem shares of the signer's, all of them unless told; cannot be taken back."""
        me = self.chain.sender
        units = self._to_shares(self.shares(me) if shares is None else shares)
        return self.chain.send(self.contract.functions.requestRedeem(units, me, me), **overrides)

    def claimable(
        self, controller: ChecksumAddress | None = None, block: BlockIdentifier = "latest"
    ) -> Decimal:
        """Settlement tokens that were settled for somebody and not yet claimed."""
        call = self.contract.functions.maxWithdraw(controller or self.chain.sender)
        return self._from_units(self._ask(call, block))

    def claim(self, to: ChecksumAddress | None = None, **overrides: Any) -> Receipt:
        """Pays out all that was settled for the signer."""
        me = self.chain.sender
        shares = self._ask(self.contract.functions.maxRedeem(me), "latest")
        return self.chain.send(self.contract.functions.redeem(shares, to or me, me), **overrides)

    # What anybody does.

    def next_epoch(self, block: BlockIdentifier = "latest") -> tuple[int, int] | None:
        """The oldest epoch that waits to be settled, and the second at which it ends."""
        epoch, ends_at = self._ask(self.contract.functions.nextEpoch(), block)
        return (epoch, ends_at) if ends_at else None

    def redemptions(self, epoch: int, block: BlockIdentifier = "latest") -> Redemptions:
        shares, assets, settled = self._ask(self.contract.functions.redemptions(epoch), block)
        return Redemptions(epoch, self._from_shares(shares), self._from_units(assets), settled)

    def settle_epoch(self, **overrides: Any) -> Receipt:
        """Settles the oldest epoch that has ended."""
        return self.chain.send(self.contract.functions.settleEpoch(), **overrides)

    def quote(self, account: AccountId, block: BlockIdentifier = "latest") -> BackstopSlice:
        """What it would take of an account; a `ContractError` says why it would not."""
        call = self.contract.functions.quoteSlice(account.encode())
        return BackstopSlice.decode(self._ask(call, block))

    def bid(self, account: AccountId, **overrides: Any) -> Receipt:
        """Has it take its slice of an account in auction."""
        return self.chain.send(self.contract.functions.bid(account.encode()), **overrides)

    def sub_accounts(self, block: BlockIdentifier = "latest") -> list[AccountId]:
        """The sub-accounts that hold slices."""
        found = self._ask(self.contract.functions.subAccounts(), block)
        return [AccountId.decode(account) for account, _, _ in found]

    def slack(self, sub_account: AccountId, block: BlockIdentifier = "latest") -> Decimal:
        """By how much an order of a sub-account may miss the mark, a part of its gross value."""
        call = self.contract.functions.slackOf(sub_account.encode())
        return from_units(self._ask(call, block), _BPS_DECIMALS)

    def signature(self, order: Order) -> bytes:
        """The backstop's signature of an order that reduces one of its sub-accounts."""
        call = self.contract.functions.requireSignable(order.message())
        self.chain.call(call)
        encoded = self.contract.encode_abi(call.abi_element_identifier, call.args)
        return bytes(HexBytes(encoded))[_SELECTOR_BYTES:]

    def sweep(self, sub_account: AccountId, **overrides: Any) -> Receipt:
        """Returns to the reserves what a sub-account does not need."""
        return self.chain.send(self.contract.functions.sweep(sub_account.encode()), **overrides)

    def buy_collateral(
        self,
        sub_account: AccountId,
        asset: Asset,
        amount: Amount,
        *,
        max_cost: Amount,
        to: ChecksumAddress | None = None,
        **overrides: Any,
    ) -> Receipt:
        """Buys collateral of a sub-account at the index price less its slack."""
        limit = self.cash.units(max_cost)
        self.cash.approve(limit, self.contract.address)
        call = self.contract.functions.buyCollateral(
            sub_account.encode(), asset.id, asset.units(amount), limit, to or self.chain.sender
        )
        return self.chain.send(call, **overrides)

    def _ask(self, call: Any, block: BlockIdentifier) -> Any:
        return self.chain.call(call, block)

    def _to_shares(self, amount: Amount) -> int:
        return to_units_exact(amount, self.cash.decimals + _SHARE_DECIMALS)

    def _from_shares(self, units: int) -> Decimal:
        return from_units(units, self.cash.decimals + _SHARE_DECIMALS)

    def _from_units(self, units: int) -> Decimal:
        return from_units(units, self.cash.decimals)
