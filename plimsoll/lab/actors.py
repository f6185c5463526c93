"""Who takes part in a run: keys that every Anvil knows, each with one role."""

from dataclasses import dataclass
from functools import cached_property

from eth_account import Account as Keys
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3 import Web3

from plimsoll.chain import Addresses
from plimsoll.lab.node import MNEMONIC
from plimsoll.protocol import Account, Plimsoll

Keys.enable_unaudited_hdwallet_features()

_MAKER, _LENDER, _DESK, _KEEPER, _FIRST_TRADER = 1, 2, 3, 4, 5
"""Number 0 deployed, and reports the prices."""
_QUOTER, _LATECOMER, _TREASURY, _FIRST_REPORTER, _FIRST_HOLDER = 100, 101, 102, 110, 120
"""Beyond those whom Anvil gives ether."""
REPORTERS, HOLDERS = 3, 2


def reporter_keys() -> list[LocalAccount]:
    """Named before anything is deployed."""
    return [key(_FIRST_REPORTER + n) for n in range(REPORTERS)]


def key(number: int) -> LocalAccount:
    made: LocalAccount = Keys.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}")
    return made


@dataclass(frozen=True)
class Actor:
    """Somebody with a key, and the clearinghouse as he sees it."""

    name: str
    key: LocalAccount
    house: Plimsoll

    @property
    def address(self) -> ChecksumAddress:
        return self.key.address

    def account(self, sub_account: int = 0) -> Account:
        return self.house.account(sub_account=sub_account)


@dataclass(frozen=True)
class Cast:
    """Everybody in a run."""

    w3: Web3
    addresses: Addresses

    @cached_property
    def sponsor(self) -> Actor:
        """Deployed everything; does what anybody may."""
        return self._actor("sponsor", 0)

    @cached_property
    def maker(self) -> Actor:
        """The counterparty of every trade."""
        return self._actor("maker", _MAKER)

    @cached_property
    def lender(self) -> Actor:
        """Holds cash and takes no risk but that of the pool."""
        return self._actor("lender", _LENDER)

    @cached_property
    def desk(self) -> Actor:
        """Owns the account that bids, and hedges what it took over."""
        return self._actor("desk", _DESK)

    @cached_property
    def keeper(self) -> Actor:
        """Flags and bids as the desk's delegate; can never withdraw."""
        return self._actor("keeper", _KEEPER)

    @cached_property
    def quoter(self) -> Actor:
        """Signs the maker's quotes as his delegate; has no money, and never sends anything."""
        return self._actor("quoter", _QUOTER)

    @cached_property
    def latecomer(self) -> Actor:
        """Comes after the crash, with more risk than the reserves can bear."""
        return self._actor("latecomer", _LATECOMER)

    @cached_property
    def treasury(self) -> Actor:
        """Borrows cash against bitcoin, for interest."""
        return self._actor("treasury", _TREASURY)

    @cached_property
    def reporters(self) -> list[Actor]:
        """Sign premiums, each what he sees."""
        return [self._actor(f"reporter {n + 1}", _FIRST_REPORTER + n) for n in range(REPORTERS)]

    @cached_property
    def holders(self) -> list[Actor]:
        """Own the reserves, by shares of the backstop."""
        return [self._actor(f"holder {n + 1}", _FIRST_HOLDER + n) for n in range(HOLDERS)]

    @property
    def without_ether(self) -> list[Actor]:
        """Those who need some from the node."""
        return [self.latecomer, self.treasury, *self.reporters, *self.holders]

    def trader(self, number: int, name: str) -> Actor:
        return self._actor(name, _FIRST_TRADER + number)

    def _actor(self, name: str, number: int) -> Actor:
        signer = key(number)
        return Actor(name, signer, Plimsoll.connect(self.w3, self.addresses, signer))
