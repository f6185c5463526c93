"""A chain signed by an Ape account, such as the one that `silverback run --account` unlocks."""

from typing import Any, cast

from ape.api import AccountAPI
from hexbytes import HexBytes
from web3 import Web3
from web3.types import TxParams

from plimsoll.chain import Addresses, Chain


class WalletChain(Chain):
    """Builds and explains transactions as `Chain` does; Ape's account signs them."""

    def __init__(self, w3: Web3, addresses: Addresses, account: AccountAPI) -> None:
        super().__init__(w3, addresses, Web3.to_checksum_address(account.address))
        self._account = account

    def _submit(self, tx: TxParams) -> HexBytes:
        if "nonce" not in tx:
            tx["nonce"] = self.w3.eth.get_transaction_count(self.sender, "pending")
        ecosystem = self._account.provider.network.ecosystem
        signed = self._account.sign_transaction(ecosystem.create_transaction(**tx))
        if signed is None:
            raise PermissionError(f"{self.sender} did not sign")
        return self.w3.eth.send_raw_transaction(cast(Any, signed).serialize_transaction())
