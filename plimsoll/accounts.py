"""Margin accounts, and the auctions in which they are liquidated."""

from collections.abc import Mapping, Sequence, Set
from decimal import ROUND_UP, Decimal
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3.contract import Contract
from web3.types import BlockIdentifier

from plimsoll import permits
from plimsoll.chain import Chain, Receipt
from plimsoll.delegates import Delegation, Grant, SignedGrant
from plimsoll.errors import InvalidConnectionError, InvalidDelegationError, InvalidOrderError
from plimsoll.instruments import CASH, AccountId, Instrument
from plimsoll.markets import Asset, Fill, Market
from plimsoll.orders import Leg, Order, SignedOrder
from plimsoll.records import AccountRisk, AuctionClock, LossShare, Margin, Portfolio, SliceQuote
from plimsoll.snapshot import LiquidationPrices, MarketState, expiries_of, market_state
from plimsoll.units import WAD_DECIMALS, Amount, from_units, from_wad, to_units_exact, to_wad_exact

HOUR = 3600
DAY = 24 * HOUR
YEAR = 365 * DAY


class Account:
    """One margin account: cash, collateral and positions behind one margin number."""

    def __init__(self, chain: Chain, account: AccountId) -> None:
        self.chain = chain
        self.id = account

    def __repr__(self) -> str:
        return f"Account({self.id})"

    @property
    def contract(self) -> Contract:
        return self.chain.clearing_house

    # What it holds and what that is worth.

    def risk(self, block: BlockIdentifier = "latest") -> AccountRisk:
        call = self.chain.lens.functions.accountRisk(self.id.encode())
        return AccountRisk.decode(self.chain.call(call, block))

    def margin(self, block: BlockIdentifier = "latest") -> Margin:
        """Equity and margins: the cheapest look."""
        call = self.contract.functions.margin(self.id.encode())
        return Margin.decode(self.chain.call(call, block))

    def portfolio(self, block: BlockIdentifier = "latest") -> Portfolio:
        call = self.contract.functions.portfolio(self.id.encode())
        return Portfolio.decode(self.chain.call(call, block))

    def epoch(self) -> int:
        """The epoch that a new order must name."""
        return int(self.chain.call(self.contract.functions.versions(self.id.encode()))[0])

    def version(self) -> int:
        """The version of its contents, for a bid."""
        return int(self.chain.call(self.contract.functions.versions(self.id.encode()))[1])

    def largest_withdrawal(
        self, asset: Asset, block: BlockIdentifier = "latest"
    ) -> tuple[Decimal, Decimal]:
        """The largest withdrawal that passes now, to the unit, and what the vault could pay."""
        call = self.chain.lens.functions.largestWithdrawal(self.id.encode(), asset.id)
        amount, available = self.chain.call(call, block)
        return from_units(amount, asset.decimals), from_units(available, asset.decimals)

    def loss_share(self, block: BlockIdentifier = "latest") -> LossShare:
        """What it would bear of the losses that are known and not yet booked."""
        call = self.chain.lens.functions.lossShare(self.id.encode())
        return LossShare.decode(self.chain.call(call, block))

    def preview(self, *fills: Fill, block: BlockIdentifier = "latest") -> tuple[Margin, Margin]:
        """Margins before and after these trades, computed by the chain; nothing is traded."""
        raw = [
            (
                fill.instrument.encode(),
                to_wad_exact(fill.size),
                to_wad_exact(fill.price),
                fill.is_taker,
            )
            for fill in fills
        ]
        call = self.chain.lens.functions.previewTrade(self.id.encode(), raw)
        before, after = self.chain.call(call, block)
        return Margin.decode(before), Margin.decode(after)

    def what_if(
        self,
        *fills: Fill,
        state: MarketState | None = None,
        prices: Mapping[int, Amount] | None = None,
    ) -> tuple[Margin, Margin]:
        """The same, computed here by the integer twin, followed by a move of the index prices.

        `prices` names new prices by underlying. `state` is a snapshot to reuse; without one the
        chain is asked. The first margin is the present one.
        """
        portfolio = self.portfolio()
        traded = [fill.instrument for fill in fills]
        known = state or self._market_state(portfolio, traded, set(prices or ()))
        return known.what_if(portfolio, fills, prices or {})

    def liquidation_prices(
        self, market: Market, state: MarketState | None = None
    ) -> LiquidationPrices:
        """The index prices at which the account can be liquidated, all else equal, by the twin."""
        portfolio, underlying = self.portfolio(), market.instrument.underlying
        known = state or self._market_state(portfolio, [market.instrument])
        return known.liquidation_prices(portfolio, underlying)

    def _market_state(
        self, portfolio: Portfolio, traded: Sequence[Instrument], moved: Set[int] = frozenset()
    ) -> MarketState:
        used = [*traded, *(position.instrument for position in portfolio.positions)]
        assets = [holding.asset for holding in portfolio.collateral]
        underlyings = {one.underlying for one in used} | moved
        return market_state(self.chain, underlyings, assets, expiries=expiries_of(used))

    # What its owner does.

    def deposit(self, asset: Asset, amount: Amount, **overrides: Any) -> Receipt:
        """Pays in, approving the vault where needed. Strangers may add to what is held."""
        units = asset.units(amount)
        asset.approve(units)
        call = self.contract.functions.deposit(self.id.encode(), asset.id, units)
        return self.chain.send(call, **overrides)

    def deposit_with_permit(
        self, asset: Asset, amount: Amount, *, expires_in: int = HOUR, **overrides: Any
    ) -> Receipt:
        """Pays in by a signature instead of an approval: of ERC-2612, in one transaction."""
        units, deadline = asset.units(amount), self.chain.now() + expires_in
        v, r, s = permits.sign_permit(self.chain, asset, units, deadline, self._key(None))
        calls = [
            self.contract.functions.permit(asset.id, units, deadline, v, r, s),
            self.contract.functions.deposit(self.id.encode(), asset.id, units),
        ]
        encoded = [self.contract.encode_abi(c.abi_element_identifier, c.args) for c in calls]
        return self.chain.send(self.contract.functions.multicall(encoded), **overrides)

    def deposit_with_permit2(
        self,
        asset: Asset,
        amount: Amount,
        *,
        nonce: int | None = None,
        expires_in: int = HOUR,
        **overrides: Any,
    ) -> Receipt:
        """Pays in by a signature for Permit2, which the signer has approved once for the token."""
        units, deadline = asset.units(amount), self.chain.now() + expires_in
        number = permits.unused_nonce() if nonce is None else nonce
        key = self._key(None)
        signature = permits.sign_permit2(self.chain, asset, units, number, deadline, key)
        call = self.contract.functions.depositPermit2(
            self.id.encode(), asset.id, units, number, deadline, signature
        )
        return self.chain.send(call, **overrides)

    def borrow(
        self, amount: Amount, to: ChecksumAddress | None = None, **overrides: Any
    ) -> Receipt:
        """Withdraws cash that the account does not have, against what else it holds.

        What it owes bears interest: `Plimsoll.solvency()` tells the rate. `repay` ends it.
        """
        return self.withdraw(Asset(self.chain, CASH), amount, to, **overrides)

    def repay(self, amount: Amount | None = None, **overrides: Any) -> Receipt:
        """Pays cash back; without an amount all that is owed now, and the interest of an hour."""
        cash = Asset(self.chain, CASH)
        due = self._due(cash) if amount is None else amount
        return self.deposit(cash, due, **overrides)

    def _due(self, cash: Asset) -> Decimal:
        owed = max(Decimal(0), -self.portfolio().cash)
        call = self.chain.lens.functions.solvency()
        rate = from_wad(self.chain.call(call)[6])
        grown = owed * (1 + rate * HOUR / YEAR)
        return grown.quantize(Decimal(1).scaleb(-cash.decimals), ROUND_UP)

    def withdraw(
        self, asset: Asset, amount: Amount, to: ChecksumAddress | None = None, **overrides: Any
    ) -> Receipt:
        """Pays out to the owner, or to whom he names."""
        call = self.contract.functions.withdraw(
            self.id.encode(), asset.id, asset.units(amount), to or self.id.owner
        )
        return self.chain.send(call, **overrides)

    def transfer(self, to: "Account", asset: Asset, amount: Amount, **overrides: Any) -> Receipt:
        """Moves an asset to another account of the same owner; cash to its 18 decimals."""
        decimals = WAD_DECIMALS if asset.id == CASH else asset.decimals
        call = self.contract.functions.transfer(
            self.id.encode(), to.id.encode(), asset.id, to_units_exact(amount, decimals)
        )
        return self.chain.send(call, **overrides)

    def set_delegate(
        self, delegate: ChecksumAddress, delegation: Delegation, **overrides: Any
    ) -> Receipt:
        """Lets somebody trade within a delegation, never withdraw; `REVOKED` ends it."""
        call = self.contract.functions.setDelegate(self.id.encode(), delegate, delegation.message())
        return self.chain.send(call, **overrides)

    def sign_delegate(
        self,
        delegate: ChecksumAddress,
        delegation: Delegation,
        *,
        expires_in: int = DAY,
        key: LocalAccount | None = None,
    ) -> SignedGrant:
        """Signs a delegation, for anybody to bring. The account's next grant kills it."""
        nonce = self.chain.call(self.contract.functions.grantNonce(self.id.encode()))
        deadline = self.chain.now() + expires_in
        grant = Grant(self.id, delegate, delegation, nonce, deadline)
        return grant.sign(self._key(key), self.chain.domain)

    def bring_delegate(self, signed: SignedGrant, **overrides: Any) -> Receipt:
        """Has a signed delegation hold. Anyone may."""
        grant = signed.grant
        if grant.account != self.id:
            raise InvalidDelegationError(f"the grant is of {grant.account}, not of {self.id}")
        call = self.contract.functions.setDelegateBySig(
            grant.account.encode(),
            grant.delegate,
            grant.delegation.message(),
            grant.deadline,
            signed.signature,
        )
        return self.chain.send(call, **overrides)

    def delegation(
        self, delegate: ChecksumAddress, block: BlockIdentifier = "latest"
    ) -> Delegation | None:
        """What somebody was granted last, over or not; none if nothing ever was or all is taken."""
        call = self.contract.functions.delegation(self.id.encode(), delegate)
        found = Delegation.decode(self.chain.call(call, block))
        return found if found.expiry else None

    def order(
        self,
        what: Market | Instrument | Sequence[Leg],
        quantity: Amount,
        price: Amount,
        *,
        expires_in: int = DAY,
        signer: ChecksumAddress | None = None,
        taker: ChecksumAddress | None = None,
        minimum_fill: Amount = 0,
        reduce_only: bool = False,
    ) -> Order:
        """An unsigned order at the account's present epoch; a negative quantity sells."""
        return Order.build(
            self.id,
            what.instrument if isinstance(what, Market) else what,
            quantity,
            price,
            expiry=self.chain.now() + expires_in,
            epoch=self.epoch(),
            signer=signer,
            taker=taker,
            minimum_fill=minimum_fill,
            reduce_only=reduce_only,
        )

    def sign(self, order: Order, key: LocalAccount | None = None) -> SignedOrder:
        """Signs with a key of ours: the connection's signer unless another is given."""
        return order.sign(self._key(key), self.chain.domain)

    def _key(self, key: LocalAccount | None) -> LocalAccount:
        chosen = key or self.chain.signer
        if not isinstance(chosen, LocalAccount):
            raise InvalidConnectionError("signing needs a key here, not an address at the node")
        return chosen

    def take(self, maker: SignedOrder, quantity: Amount, **overrides: Any) -> Receipt:
        """Takes a signed order with this account."""
        call = self.contract.functions.take(
            maker.order.message(), maker.signature, self.id.encode(), to_wad_exact(quantity)
        )
        return self.chain.send(call, **overrides)

    def cancel(self, order: Order, **overrides: Any) -> Receipt:
        """Makes one order unfillable."""
        if order.account != self.id:
            raise InvalidOrderError(f"the order is of {order.account}, not of {self.id}")
        return self.chain.send(self.contract.functions.cancel(order.message()), **overrides)

    def cancel_all(self, **overrides: Any) -> Receipt:
        """Makes every order of the present epoch unfillable."""
        return self.chain.send(self.contract.functions.raiseEpoch(self.id.encode()), **overrides)

    def filled(self, order: Order) -> Decimal | None:
        """How much of an order is filled; none when it was cancelled."""
        digest = order.digest(self.chain.domain)
        raw = self.chain.call(self.contract.functions.filledOf(digest))
        return None if raw == 2**256 - 1 else from_wad(raw)

    # What anyone does.

    def settle(self, what: Market | Instrument, **overrides: Any) -> Receipt:
        """Turns a position's variation into cash at the mark. Changes nobody's equity."""
        instrument = what.instrument if isinstance(what, Market) else what
        call = self.contract.functions.settle(self.id.encode(), instrument.encode())
        return self.chain.send(call, **overrides)

    def close_out(self, what: Market | Instrument, **overrides: Any) -> Receipt:
        """Once the house has been shut for seven days: turns a position into cash for good."""
        instrument = what.instrument if isinstance(what, Market) else what
        call = self.contract.functions.closeOut(self.id.encode(), instrument.encode())
        return self.chain.send(call, **overrides)

    @property
    def auction(self) -> "Auction":
        return Auction(self.chain, self.id)


class Auction:
    """The liquidation of one account."""

    def __init__(self, chain: Chain, account: AccountId) -> None:
        self.chain = chain
        self.id = account

    def __repr__(self) -> str:
        return f"Auction({self.id})"

    @property
    def contract(self) -> Contract:
        return self.chain.clearing_house

    def clock(self, block: BlockIdentifier = "latest") -> tuple[AuctionClock, Decimal]:
        """State and clock, and the depth as a share."""
        call = self.contract.functions.auction(self.id.encode())
        clock, depth = self.chain.call(call, block)
        return AuctionClock.decode(clock), from_units(depth, 4)

    def quote(self, fraction: Amount = 1, block: BlockIdentifier = "latest") -> SliceQuote:
        """What a slice would be and cost now: the calculation of `bid`."""
        call = self.contract.functions.quoteBid(self.id.encode(), to_wad_exact(fraction))
        return SliceQuote.decode(self.chain.call(call, block))

    def provision(self, block: BlockIdentifier = "latest") -> Decimal:
        """The loss that it is about to leave, as noted at the last look."""
        call = self.contract.functions.provisionOf(self.id.encode())
        return from_wad(self.chain.call(call, block))

    def flag(self, **overrides: Any) -> Receipt:
        """Looks at the account, observing its prices first."""
        return self._send("flag", overrides)

    def bid(
        self,
        bidder: Account,
        max_price: Amount,
        *,
        fraction: Amount = 1,
        version: int | None = None,
        expires_in: int = 120,
        **overrides: Any,
    ) -> Receipt:
        """Takes a slice into `bidder`; unless a version is named, for the contents as they are now.

        `max_price` negative: the least to be paid. The event `SliceTaken` tells the outcome.
        """
        if version is None:
            version = Account(self.chain, self.id).version()
        bid = (
            self.id.encode(),
            bidder.id.encode(),
            to_wad_exact(fraction),
            to_wad_exact(max_price),
            self.chain.now() + expires_in,
            version,
        )
        return self.chain.send(self.contract.functions.bid(bid), **overrides)

    def stand_still(self, **overrides: Any) -> Receipt:
        """Says that the clock must not run: the account is healthy, or a price doubtful."""
        return self._send("standStill", overrides)

    def reset(self, **overrides: Any) -> Receipt:
        """Ends the auction of an account restored to its target."""
        return self._send("reset", overrides)

    def write_off(self, **overrides: Any) -> Receipt:
        """Writes off an account with debt and nothing else."""
        return self._send("writeOff", overrides)

    def _send(self, name: str, overrides: dict[str, Any]) -> Receipt:
        return self.chain.send(self.contract.functions[name](self.id.encode()), **overrides)
