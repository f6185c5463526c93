"""A whole sealed house beside its integer twin: people act on both together.

    house = House()
    alice = house.account("alice")
    house.deposit(alice, CASH, 1_000 * DOLLAR)
    house.take(house.order(alice, {ETH: WAD}, WAD, price), house.account("bob"), WAD)

Each action is first predicted by the twin of the books, then sent. What the contracts refuse must
be what the twin refuses, by the name of the error, and what they return must be equal. So an action
gives its result when both agree that it succeeds, raises `Refused` when both agree that it fails,
and fails the test otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from plimsoll.deploy.sender import NOBODY
from plimsoll.risk import model, oracle, params
from plimsoll.risk.ledger import (
    CASH,
    WINDING_DELAY,
    Account,
    AuctionState,
    BidResult,
    BidTerms,
    Caps,
    Context,
    Delegation,
    Factors,
    Grant,
    Ledger,
    Lending,
    Loss,
    MarketTerms,
    Order,
    Pause,
    Refused,
    owner_of,
)
from plimsoll.risk.model import WAD, Margin, Portfolio
from plimsoll.risk.params import (
    AssetParams,
    GlobalParams,
    Kind,
    LendingParams,
    MarketParams,
    OptionsParams,
    OutflowParams,
    UnderlyingParams,
    Word,
)
from tests.evm import Contract, Evm, Receipt, Reverted
from tests.world import Market, unpack_portfolio

PEG, ETH, BTC, ALT = 0, 1, 2, 3
USD_DECIMALS = 6
DOLLAR = 10**USD_DECIMALS
NEVER = 2**64
NO_LIMIT = 2**255 - 1
RICH = 10**7


@dataclass(frozen=True)
class UnderlyingSpec:
    price: int
    risk: UnderlyingParams
    market: MarketParams | None = None
    second: int | None = None
    options: OptionsParams | None = None


@dataclass(frozen=True)
class AssetSpec:
    underlying: int
    decimals: int
    risk: AssetParams
    rate: int | None = None


FEES = MarketParams(taker_fee=500, maker_fee=100, open_interest_cap=10**8, stress_jump=5_000)
TOKEN = AssetParams(1_000_000, 5_000_000, 100, 300, 900, cap=10**9, growth=10**9)
UNDERLYINGS: Mapping[int, UnderlyingSpec] = {
    PEG: UnderlyingSpec(WAD, UnderlyingParams(range=50, window=1_000, band=5)),
    ETH: UnderlyingSpec(
        2_000 * WAD,
        UnderlyingParams(range=610, window=120, closing=10, concentration=50, band=10),
        FEES,
        second=150,
    ),
    BTC: UnderlyingSpec(
        60_000 * WAD,
        UnderlyingParams(range=490, window=120, closing=10, concentration=20, band=10),
        FEES,
    ),
    ALT: UnderlyingSpec(
        3 * WAD // 10,
        UnderlyingParams(range=1_500, window=1_000, closing=50, concentration=1_000, band=30),
        FEES,
    ),
}
ASSETS: Mapping[int, AssetSpec] = {
    1: AssetSpec(ETH, 18, TOKEN),
    2: AssetSpec(BTC, 8, TOKEN),
    3: AssetSpec(ALT, 27, TOKEN),
    4: AssetSpec(ALT, 0, TOKEN),
    5: AssetSpec(ETH, 18, TOKEN, rate=11 * WAD // 10),
}
FACTORS = GlobalParams(
    initial_factor=12_500,
    band_ceiling=100,
    stress_share=10_000,
    winners_cap=2_000,
    payout_cap=5_000_000,
    dust=10,
    peg_bound=200,
)
# Four percent at four fifths, sixty when all is lent.
LENDING = LendingParams(kink=80, rate_at_kink=40, rate_at_full=600, reserve_share=10)
LIMITS: Mapping[int, int] = {CASH: 10**9, 1: 10**6}


def instrument_of(market: int) -> int:
    """An instrument by its id, a perpetual also by its underlying."""
    return market if market >> 46 else model.perpetual(market)


class House(Market):
    """The contracts, the people and both twins.

    Cash bears interest, and of some assets only so much leaves within an hour.
    """

    def __init__(
        self,
        *,
        underlyings: Mapping[int, UnderlyingSpec] = UNDERLYINGS,
        assets: Mapping[int, AssetSpec] = ASSETS,
        factors: GlobalParams = FACTORS,
        lending: LendingParams | None = LENDING,
        limits: Mapping[int, int] = LIMITS,
        usd_decimals: int = USD_DECIMALS,
        evm: Evm | None = None,
    ) -> None:
        super().__init__(evm, factors)
        # The words in force, which the contracts copy at a refresh.
        self.words: dict[tuple[Kind, int], int] = {}
        self.outcomes: Counter[str] = Counter()
        self.ledger = Ledger(usd_decimals, clock=lambda: self.now)
        self.usd_units = 10**usd_decimals
        self.paused = Pause.NOTHING
        self._salts = count(1)
        self._owners: dict[str, Any] = {}
        self._orders: dict[Order, bytes] = {}
        for u, one in underlyings.items():
            self.list_underlying(
                u,
                one.risk,
                one.price,
                market=one.market,
                second=one.second,
                rounds=one.options is not None,
            )
            if one.options is not None:
                self.set_options(u, one.options)
        self.usd = self.new_token(usd_decimals)
        self.tokens: dict[int, Contract] = {CASH: self.usd}
        for c, asset in assets.items():
            self._list(c, asset)
        if lending is not None:
            self._set_word(Kind.LENDING, 0, lending)
        limited = {c: limit for c, limit in limits.items() if c in self.tokens}
        for c, limit in limited.items():
            self._set_word(Kind.OUTFLOW, c, OutflowParams(limit))
        self._deploy_house()
        for c in (CASH, *limited):
            self.refresh(c)
        self.outcomes.clear()

    def _list(self, c: int, spec: AssetSpec) -> None:
        token = self.tokens[c] = self.new_token(spec.decimals)
        if spec.rate is None:
            self.list_asset(c, token, spec.underlying, spec.risk)
            return
        rate = self.evm.deploy("MockRate", spec.rate)
        self.list_yield_asset(c, token, spec.underlying, spec.risk, rate)
        self.set_redemption(c, spec.rate)

    def _deploy_house(self) -> None:
        trading = self.evm.deploy("TradingModule")
        liquidation = self.evm.deploy("LiquidationModule")
        self.house = self.evm.deploy(
            "ClearingHouse", self.manager, self.engine, self.usd, NOBODY, trading, liquidation
        )
        self.vault = self.evm.at(self.house.call.VAULT(), "CollateralVault")
        backstop = self._make_backstop()
        self.house.bindBackstop(backstop)
        self.ledger.bind_backstop(int(backstop.address, 16))
        self.seal(self.house)

    def _make_backstop(self) -> Any:
        """To whom the reserves belong: here a person, who moves them as he likes."""
        return self.owner("backstop")

    # People

    def owner(self, name: str) -> Any:
        """A person by role: their tokens come out of nothing and are approved for the vault."""
        if name not in self._owners:
            person = self._owners[name] = self.evm.actor(name)
            for token in self.tokens.values():
                token.approve(self.vault, 2**256 - 1, sender=person)
        return self._owners[name]

    def account(self, name: str, sub: int = 0) -> Account:
        return int(self.owner(name).address, 16) << 96 | sub

    def name_of(self, account: Account) -> str:
        address = owner_of(account)
        return next(n for n, who in self._owners.items() if int(who.address, 16) == address)

    def owner_key(self, account: Account) -> Any:
        return self._owners[self.name_of(account)]

    def number_of(self, name: str) -> int:
        """A person's address as a number."""
        return int(self.owner(name).address, 16)

    def key_of(self, number: int) -> Any:
        return next(who for who in self._owners.values() if int(who.address, 16) == number)

    @property
    def marketed(self) -> list[int]:
        """Underlyings with a perpetual."""
        return [u for u, one in self.underlyings.items() if one.market is not None]

    def checkpoint(self) -> Callable[[], None]:
        market, books = super().checkpoint(), self.ledger.copy()
        paused, orders, owners = self.paused, dict(self._orders), dict(self._owners)
        words = dict(self.words)

        def go_back() -> None:
            market()
            self.ledger, self.paused = books.copy(), paused
            self._orders, self._owners = dict(orders), dict(owners)
            self.words = dict(words)

        return go_back

    # This moment

    def context(self) -> Context:
        """Prices, parameters and time, from what was done."""
        word = GlobalParams.from_word(self.global_.target)
        return Context(
            inputs=self.inputs(),
            markets={u: _terms(one.market) for u, one in self.underlyings.items() if one.market},
            caps={c: self._caps(c) for c in self.assets},
            factors=Factors(
                initial_factor=word.initial_factor,
                stress_share=word.stress_share,
                winners_cap=word.winners_cap * WAD,
                payout_cap=word.payout_cap * WAD,
                dust=word.dust * WAD,
                depegged=self._is_depegged(word.peg_bound),
            ),
            now=self.now,
            live_since=self.live_since,
            paused=self.paused,
            lending=self._lending(),
            outflows=self._outflows(),
        )

    def _lending(self) -> Lending:
        word = self.words.get((Kind.LENDING, 0))
        if word is None:
            return Lending()
        terms = LendingParams.from_word(word)
        return Lending(terms.kink, terms.rate_at_kink, terms.rate_at_full, terms.reserve_share)

    def _outflows(self) -> dict[int, int]:
        limits = {
            c: OutflowParams.from_word(word).limit
            for (kind, c), word in self.words.items()
            if kind == Kind.OUTFLOW
        }
        return {c: limit for c, limit in limits.items() if limit != params.NO_LIMIT}

    def _caps(self, c: int) -> Caps:
        asset = self.assets[c]
        params = asset.params()
        return Caps(
            cap=params.cap * WAD,
            growth=params.growth * WAD,
            decimals=asset.decimals,
            rate=WAD if asset.rate_seen is None else asset.rate_seen.rate,
            price=self.underlyings[asset.underlying].seen.last,
        )

    def _is_depegged(self, bound: int) -> bool:
        if PEG not in self.underlyings:
            return False
        seen = self.underlyings[PEG].seen
        return oracle.is_depegged(seen, self.price(PEG), bound, self.now)

    def margin(self, account: Account) -> Margin:
        return self.ledger.margin(account, self.context())

    # Acting

    def do(self, deed: Deed) -> tuple[Any, Receipt]:
        """Has the twin predict an action, then sends it: both succeed or both refuse alike.

        Returns what the twin says, and the receipt.
        """
        context, send = self.context(), getattr(self.house, deed.function)
        return self._agree(
            deed.name,
            lambda: deed.predict(context),
            lambda: send(*deed.args, sender=deed.sender),
        )

    def batch(self, *deeds: Deed) -> tuple[list[Any], Receipt]:
        """Several actions of one person in one `multicall`, checked once at the end."""
        context = self.context()
        calls = [self.house.encode(deed.function, *deed.args) for deed in deeds]

        def predict() -> list[Any]:
            with self.ledger.scope(context):
                return [deed.predict(context) for deed in deeds]

        return self._agree(
            "batch", predict, lambda: self.house.multicall(calls, sender=deeds[0].sender)
        )

    def _agree(
        self, action: str, predict: Callable[[], Any], send: Callable[[], Receipt]
    ) -> tuple[Any, Receipt]:
        predicted, refusal = attempt(predict, Refused)
        receipt, reverted = attempt(send, Reverted)
        expected = refusal.error if refusal else "done"
        found = reverted.name if reverted else "done"
        assert found == expected, f"{action}: {reverted or found}, predicted {refusal or expected}"
        self.outcomes[f"{action}: {found}"] += 1
        if refusal:
            raise refusal
        return predicted, receipt

    def depositing(
        self, account: Account, asset: int, amount: int, *, payer: str | None = None
    ) -> Deed:
        by_owner = payer is None or payer == self.name_of(account)
        return Deed(
            "deposit",
            "deposit",
            (encode(account), asset, amount),
            self.owner(payer or self.name_of(account)),
            lambda now: self.ledger.deposit(account, asset, amount, now, by_owner=by_owner),
        )

    def deposit(
        self,
        account: Account,
        asset: int,
        amount: int,
        *,
        payer: str | None = None,
        mint: bool = True,
    ) -> None:
        """Deposits tokens made out of nothing, paid by the owner or a stranger."""
        deed = self.depositing(account, asset, amount, payer=payer)
        if amount and mint:
            self.tokens[asset].mint(deed.sender, amount)
        self.do(deed)
        if asset != CASH:
            self.note_total(asset, self.ledger.custody(asset).total)

    def withdrawing(
        self, account: Account, asset: int, amount: int, sender: str | None = None
    ) -> Deed:
        by = self.owner(sender or self.name_of(account))
        return Deed(
            "withdraw",
            "withdraw",
            (encode(account), asset, amount, by.address),
            by,
            lambda now: self.ledger.withdraw(
                account, asset, amount, now, sender=int(by.address, 16)
            ),
        )

    def withdraw(self, account: Account, asset: int, amount: int) -> int:
        """Returns what it is charged for losses to come, dollars with 18 decimals."""
        charge, receipt = self.do(self.withdrawing(account, asset, amount))
        charged = [event.charge for event in receipt.events("ProvisionCharged")]
        assert charged == ([charge] if charge else [])
        self.outcomes["withdraw: charged"] += charge > 0
        return int(charge)

    def transferring(
        self,
        source: Account,
        target: Account,
        asset: int,
        amount: int,
        sender: str | None = None,
    ) -> Deed:
        by = self.owner(sender or self.name_of(source))
        return Deed(
            "transfer",
            "transfer",
            (encode(source), encode(target), asset, amount),
            by,
            lambda now: self.ledger.transfer(
                source, target, asset, amount, now, sender=int(by.address, 16)
            ),
        )

    def transfer(self, source: Account, target: Account, asset: int, amount: int) -> None:
        self.do(self.transferring(source, target, asset, amount))

    def add_reserves(self, amount: int, payer: str = "benefactor") -> int:
        """Gives settlement tokens to the reserves; returns the deficit they repaid."""
        sender = self.owner(payer)
        self.usd.mint(sender, amount)
        repaid, receipt = self.do(
            Deed(
                "add reserves",
                "addReserves",
                (amount,),
                sender,
                lambda now: self.ledger.add_reserves(amount, now),
            )
        )
        assert receipt.events("ReservesAdded")[0].repaidDeficit == repaid
        return int(repaid)

    def drawing_reserves(self, account: Account, amount: int, sender: str = "backstop") -> Deed:
        number = self.number_of(sender)
        return Deed(
            "draw reserves",
            "drawReserves",
            (encode(account), amount),
            self.owner(sender),
            lambda now: self.ledger.draw_reserves(account, amount, now, sender=number),
        )

    def draw_reserves(self, account: Account, amount: int, sender: str = "backstop") -> None:
        self.do(self.drawing_reserves(account, amount, sender))

    def returning_reserves(self, account: Account, amount: int, sender: str | None = None) -> Deed:
        by = self.owner(sender or self.name_of(account))
        return Deed(
            "return reserves",
            "returnReserves",
            (encode(account), amount),
            by,
            lambda now: self.ledger.return_reserves(
                account, amount, now, sender=int(by.address, 16)
            ),
        )

    def return_reserves(self, account: Account, amount: int) -> None:
        self.do(self.returning_reserves(account, amount))

    def pay_reserves(self, to: str, units: int, sender: str = "backstop") -> None:
        """Reserves leave as tokens, and only the backstop says when."""
        number = self.number_of(sender)
        self.do(
            Deed(
                "pay reserves",
                "payReserves",
                (self.owner(to).address, units),
                self.owner(sender),
                lambda now: self.ledger.pay_reserves(units, now, sender=number),
            )
        )

    # Delegates

    def granting(
        self, account: Account, delegate: str, terms: Delegation, sender: str | None = None
    ) -> Deed:
        who, by = self.number_of(delegate), self.owner(sender or self.name_of(account))
        return Deed(
            "grant",
            "setDelegate",
            (encode(account), address(who), packed(terms)),
            by,
            lambda now: self.ledger.set_delegate(
                account, who, terms, now, sender=int(by.address, 16)
            ),
        )

    def grant(
        self, account: Account, delegate: str, terms: Delegation, sender: str | None = None
    ) -> None:
        """What an owner grants a delegate; somebody else's grant is refused."""
        self.do(self.granting(account, delegate, terms, sender))

    def sign_grant(
        self, account: Account, delegate: str, terms: Delegation, deadline: int = NEVER
    ) -> tuple[Grant, bytes]:
        """A grant as the owner signs it now."""
        who, nonce = self.number_of(delegate), self.ledger.grant_nonce(account)
        digest = self.house.call.hashDelegate(
            encode(account), address(who), packed(terms), nonce, deadline
        )
        signature = bytes(self.owner_key(account).unsafe_sign_hash(digest).signature)
        return Grant(account, who, terms, nonce, deadline), signature

    def use_grant(self, grant: Grant, signature: bytes, *, sender: str = "relayer") -> None:
        """Anybody brings a signed grant."""
        message = (address(grant.delegate), packed(grant.delegation), grant.deadline, signature)
        self.do(
            Deed(
                "signed grant",
                "setDelegateBySig",
                (encode(grant.account), *message),
                self.owner(sender),
                lambda now: self.ledger.set_delegate_by_signature(grant, now),
            )
        )

    # Orders

    def order(
        self,
        account: Account,
        ratios: Mapping[int, int],
        quantity: int,
        price: int,
        **fields: Any,
    ) -> Order:
        """A package by instrument, a perpetual also by its underlying; everything has 18
        decimals."""
        legs = tuple(sorted((instrument_of(name), ratio) for name, ratio in ratios.items()))
        defaults = {"epoch": self.ledger.state(account).epoch, "salt": next(self._salts)}
        return Order(account, legs, quantity, price, **{**defaults, **fields})

    def sign(self, order: Order) -> bytes:
        if order not in self._orders:
            digest = self.house.call.hashOrder(self.message(order))
            key = self.key_of(order.signer or owner_of(order.account))
            self._orders[order] = bytes(key.unsafe_sign_hash(digest).signature)
        return self._orders[order]

    def message(self, order: Order) -> dict[str, Any]:
        """An order as the contracts take it."""
        return {
            "account": encode(order.account),
            "signer": self.key_of(order.signer or owner_of(order.account)).address,
            "taker": address(order.taker),
            "legs": [{"instrument": i, "ratio": ratio} for i, ratio in order.legs],
            "quantity": order.quantity,
            "price": order.price,
            "minimumFill": order.minimum_fill,
            "reduceOnly": order.reduce_only,
            "expiry": order.expiry,
            "epoch": order.epoch,
            "salt": order.salt,
        }

    def trading(self, maker: Order, taker: Order, quantity: int, sender: str) -> Deed:
        signed = self.message(maker), self.sign(maker), self.message(taker), self.sign(taker)
        return Deed(
            "trade",
            "trade",
            (*signed, quantity),
            self.owner(sender),
            lambda now: self.ledger.trade(maker, taker, quantity, now),
        )

    def trade(self, maker: Order, taker: Order, quantity: int, *, sender: str = "relayer") -> int:
        """Matches two signed orders; anyone may."""
        filled, receipt = self.do(self.trading(maker, taker, quantity, sender))
        assert receipt.value == filled
        return int(filled)

    def taking(
        self, maker: Order, account: Account, quantity: int, sender: str | None = None
    ) -> Deed:
        by = self.owner(sender or self.name_of(account))
        return Deed(
            "take",
            "take",
            (self.message(maker), self.sign(maker), encode(account), quantity),
            by,
            lambda now: self.ledger.take(maker, account, quantity, now, sender=int(by.address, 16)),
        )

    def take(self, maker: Order, account: Account, quantity: int, sender: str | None = None) -> int:
        """Takes a signed order with an account of the sender's, or granted to him."""
        filled, receipt = self.do(self.taking(maker, account, quantity, sender))
        assert receipt.value == filled
        return int(filled)

    def mark(self, market: int) -> int:
        return self.context().market(instrument_of(market)).mark

    def open_position(self, account: Account, market: int, size: int) -> None:
        """Takes a position at the mark from a dealer with deep pockets."""
        dealer = self.account("dealer")
        if self.ledger.portfolio(dealer).cash < RICH * WAD:
            self.deposit(dealer, CASH, 2 * RICH * self.usd_units)
        if self.ledger.pool.reserves < RICH * WAD:
            self.add_reserves(2 * RICH * self.usd_units)
        order = self.order(dealer, {market: WAD}, -size, self.mark(market))
        self.take(order, account, abs(size))

    def cancel(self, order: Order) -> None:
        self.house.cancel(self.message(order), sender=self.owner_key(order.account))
        self.ledger.cancel(order)

    def raise_epoch(self, account: Account, sender: str | None = None) -> None:
        by = self.owner(sender or self.name_of(account))
        self.do(
            Deed(
                "raise epoch",
                "raiseEpoch",
                (encode(account),),
                by,
                lambda now: self.ledger.raise_epoch(account, now, sender=int(by.address, 16)),
            )
        )

    def settling(self, account: Account, market: int, sender: str = "stranger") -> Deed:
        instrument = instrument_of(market)
        return Deed(
            "settle",
            "settle",
            (encode(account), instrument),
            self.owner(sender),
            lambda now: self.ledger.settle(account, instrument, now),
        )

    def settle(self, account: Account, market: int, *, sender: str = "stranger") -> int:
        amount, receipt = self.do(self.settling(account, market, sender))
        assert receipt.value == amount
        return int(amount)

    def record_fixing(self, u: int, day: int, rounds: Sequence[int]) -> None:
        """Anybody hands in rounds of an underlying's feed, for its expiry on a day."""

        def predict() -> None:
            try:
                self.note_fixing(u, day, rounds)
            except oracle.RoundRefused as refused:
                raise Refused(refused.name) from None

        sender = self.owner("stranger")
        send = self.engine.recordFixing
        self._agree("fixing", predict, lambda: send(u, day, list(rounds), sender=sender))

    # Liquidation

    def flag(self, account: Account, *, sender: str = "stranger") -> AuctionState:
        """Looks at an account; its prices and rates are observed first, unless it is refused."""
        seen = self._look(self.ledger.portfolio(account))
        deed = Deed(
            "flag",
            "flag",
            (encode(account),),
            self.owner(sender),
            lambda now: self.ledger.flag(account, now),
        )
        try:
            state, _ = self.do(deed)
        except Refused:
            self._forget(seen)
            raise
        self.outcomes[f"auction: {AuctionState(state).name}"] += 1
        return AuctionState(state)

    def _look(self, held: Portfolio) -> dict[Any, Any]:
        """Observes what an account holds, in the twin; returns what to put back."""
        assets = [self.assets[h.asset] for h in held.collateral]
        ids = {a.underlying for a in assets} | {p.underlying for p in held.positions}
        seen: dict[Any, Any] = {u: self.underlyings[u].seen for u in ids}
        seen |= {("rate", h.asset): self.assets[h.asset].rate_seen for h in held.collateral}
        for asset in assets:
            if asset.rate is not None:
                self._observe_rate(asset)
        self.note_observed(ids)
        return seen

    def _forget(self, seen: Mapping[Any, Any]) -> None:
        for key, value in seen.items():
            if isinstance(key, tuple):
                self.assets[key[1]].rate_seen = value
            else:
                self.underlyings[key].seen = value

    def _tending(
        self, name: str, function: str, account: Account, predict: Callable[[Context], Any]
    ) -> tuple[Any, Receipt]:
        """What any stranger may do to an account's auction."""
        return self.do(Deed(name, function, (encode(account),), self.owner("stranger"), predict))

    def stand_still(self, account: Account) -> AuctionState:
        state, _ = self._tending(
            "stand still",
            "standStill",
            account,
            lambda now: self.ledger.stand_still(account, now),
        )
        return AuctionState(state)

    def reset(self, account: Account) -> None:
        self._tending("reset", "reset", account, lambda now: self.ledger.reset(account, now))

    def write_off(self, account: Account) -> Loss:
        loss, receipt = self._tending(
            "write off", "writeOff", account, lambda now: self.ledger.write_off(account, now)
        )
        assert booked(receipt) == [loss]
        self._count_loss(loss)
        return loss

    def bidding(self, terms: BidTerms) -> Deed:
        message = (
            encode(terms.account),
            encode(terms.bidder),
            terms.fraction,
            terms.max_price,
            terms.deadline,
            terms.version,
        )
        return Deed(
            "bid",
            "bid",
            (message,),
            self.key_of(terms.sender or owner_of(terms.bidder)),
            lambda now: self.ledger.bid(terms, now),
        )

    def bid(
        self,
        account: Account,
        bidder: Account,
        fraction: int = WAD,
        *,
        max_price: int = NO_LIMIT,
        deadline: int = NEVER,
        version: int = 0,
        sender: str | None = None,
    ) -> BidResult:
        """Takes a slice with an account of the sender's, or granted to him."""
        by = self.number_of(sender) if sender else 0
        terms = BidTerms(account, bidder, fraction, max_price, deadline, version, by)
        result, receipt = self.do(self.bidding(terms))
        assert tuple(receipt.value) == (result.fraction, result.price)
        assert booked(receipt) == ([result.loss] if result.payout else [])
        self.outcomes["bid: payout" if result.payout else "bid: paid for"] += 1
        self._count_loss(result.loss)
        return result

    def _count_loss(self, loss: Loss) -> None:
        for bearer in ("from_reserves", "from_suppliers", "to_deficit"):
            if getattr(loss, bearer):
                self.outcomes[f"loss: {bearer.replace('_', ' ')}"] += 1

    # Governance

    def pause(self, actions: Pause) -> None:
        """Sets what is paused, apart from liquidation."""
        self.house.setPause(int(actions & ~Pause.LIQUIDATION), 0)
        self.paused = actions & ~Pause.LIQUIDATION

    def set_lending(self, terms: LendingParams) -> None:
        """Puts other terms of cash in force, after the delay; they count from a refresh on."""
        self._set_word(Kind.LENDING, 0, terms)

    def set_limit(self, asset: int, limit: int) -> None:
        """Limits what leaves of an asset, in whole tokens an hour; counts from a refresh on."""
        self._set_word(Kind.OUTFLOW, asset, OutflowParams(limit))

    def _set_word(self, kind: Kind, id_: int, terms: Word) -> None:
        if not self.sealed:
            self.engine.setUp(kind, id_, terms.word)
        else:
            old = self.words.get((kind, id_), 0)
            self.engine.submit(kind, id_, terms.word)
            if kind == Kind.LENDING or not params.only_tightens(kind, old, terms.word):
                self.warp(params.DELAY)
                self.engine.accept(kind, id_)
        self.words[kind, id_] = terms.word

    def refresh(self, asset: int) -> None:
        """Anybody has the house copy what governance set for an asset."""
        self.do(
            Deed(
                "refresh",
                "refresh",
                (asset,),
                self.owner("stranger"),
                lambda now: self.ledger.refresh(asset, now),
            )
        )

    def wind(self, step: str) -> None:
        """Halts and the end: "submit resume", "accept shutdown" and so on."""
        verb, _, noun = step.partition(" ")
        act = getattr(self.ledger, f"{verb}_{noun}")
        sender = self.owner("stranger") if verb == "accept" else self.evm.deployer
        self.do(Deed(step, f"{verb}{noun.capitalize()}", (), sender, lambda now: act(now.now)))

    def resume(self) -> None:
        """Lets risk be added again after a loss that was shared."""
        self.wind("submit resume")
        self.warp(WINDING_DELAY)
        self.wind("accept resume")

    def close_out(self, account: Account, market: int) -> int:
        instrument = instrument_of(market)
        amount, receipt = self.do(
            Deed(
                "close out",
                "closeOut",
                (encode(account), instrument),
                self.owner("stranger"),
                lambda now: self.ledger.close_out(account, instrument, now),
            )
        )
        assert receipt.value == amount
        return int(amount)

    def tighten(self, kind: Kind, id_: int, word: int) -> None:
        """Puts a tighter word in force; it ramps for maintenance."""
        self.set_parameter(kind, id_, word)

    # What is known on chain

    def portfolio_on_chain(self, account: Account) -> Portfolio:
        return unpack_portfolio(self.house.call.portfolio(encode(account)))


@dataclass(frozen=True)
class Deed:
    """Something that a person does: how it is sent, and how the twin does it."""

    name: str
    function: str
    args: tuple[Any, ...]
    sender: Any
    predict: Callable[[Context], Any]


def attempt(run: Callable[[], Any], refusal: type[Any]) -> tuple[Any, Any]:
    """What it returns, or the refusal that it raises."""
    try:
        return run(), None
    except refusal as refused:
        return None, refused


def encode(account: Account) -> bytes:
    return account.to_bytes(32, "big")


def address(owner: int) -> str:
    return "0x" + owner.to_bytes(20, "big").hex()


def packed(terms: Delegation) -> tuple[int, bool, bool, int, int]:
    """A grant as the contracts take it."""
    return (
        terms.expiry,
        terms.may_bid,
        terms.reduce_only,
        terms.max_leverage,
        terms.markets,
    )


def booked(receipt: Receipt) -> list[Loss]:
    """The losses that a transaction booked."""
    return [
        Loss(e.fromReserves, e.fromSuppliers, e.toDeficit) for e in receipt.events("LossBooked")
    ]


def _terms(market: MarketParams) -> MarketTerms:
    return MarketTerms(
        taker_fee=market.taker_fee,
        maker_fee=market.maker_fee,
        open_interest_cap=market.open_interest_cap * WAD,
        stress_jump=market.stress_jump,
        closed=bool(market.closed),
    )
