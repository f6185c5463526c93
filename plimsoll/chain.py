"""One connection: where the contracts are, who signs, how a call is made, sent and understood."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from pydantic import BaseModel, ConfigDict, field_validator
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import TimeExhausted
from web3.types import BlockIdentifier, TxParams, TxReceipt

from plimsoll import abi, deployments
from plimsoll.deployments import Manifest
from plimsoll.errors import InvalidConnectionError, TransactionFailedError, translated

Signer = LocalAccount | ChecksumAddress
"""A key of ours, or the address of one that the node holds."""

# Reading a price source asks for gas in reserve, so an estimate is no upper bound.
_GAS_MARGIN_PERCENT = 125


class Addresses(BaseModel):
    """Where Plimsoll lives on a chain. Vault and engine are asked from the ClearingHouse."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    clearing_house: str
    lens: str
    chain_id: int | None = None
    assets: dict[str, int] = {}
    """Asset ids by symbol, as is `underlyings`."""
    underlyings: dict[str, int] = {}
    first_block: int = 0
    """Before it there is nothing to be found."""
    governor: ChecksumAddress | None = None

    @field_validator("clearing_house", "lens")
    @classmethod
    def _checksummed(cls, address: str) -> ChecksumAddress:
        return Web3.to_checksum_address(address)

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        return cls(
            clearing_house=manifest.address("ClearingHouse"),
            lens=manifest.address("Lens"),
            chain_id=manifest.chain_id,
            assets={symbol: asset.id for symbol, asset in manifest.assets.items()},
            underlyings={symbol: each.id for symbol, each in manifest.underlyings.items()},
            first_block=manifest.start_block,
            governor=cast(ChecksumAddress | None, manifest.roles.get("governor")),
        )

    @classmethod
    def from_manifest(cls, where: Path | str) -> Self:
        """Of a deployment by its folder or manifest, or of one that is shipped by its name."""
        path = Path(where)
        if path.name == deployments.MANIFEST:
            path = path.parent
        return cls.of(Manifest.load(path) if path.is_dir() else deployments.load(str(where)))


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a contract of ours told. `args` are named as in the ABI."""

    name: str
    address: ChecksumAddress
    args: Mapping[str, Any]


@dataclass(frozen=True)
class Receipt:
    """A mined transaction and what it told."""

    hash: HexBytes
    block: int
    gas_used: int
    events: tuple[Event, ...]
    raw: TxReceipt = field(repr=False)

    def all(self, name: str) -> tuple[Event, ...]:
        return tuple(event for event in self.events if event.name == name)

    def one(self, name: str) -> Event:
        """The only event of that name."""
        found = self.all(name)
        if len(found) != 1:
            raise TransactionFailedError(
                f"{self.hash.to_0x_hex()} told {len(found)} {name}, not one"
            )
        return found[0]


class Chain:
    """A chain with Plimsoll on it, seen by one signer or by none."""

    def __init__(self, w3: Web3, addresses: Addresses, signer: Signer | None = None) -> None:
        if addresses.chain_id not in (None, w3.eth.chain_id):
            raise InvalidConnectionError(
                f"the manifest is for chain {addresses.chain_id}, the node is on {w3.eth.chain_id}"
            )
        if not w3.eth.get_code(Web3.to_checksum_address(addresses.clearing_house)):
            raise InvalidConnectionError(f"no ClearingHouse at {addresses.clearing_house}")
        self.w3 = w3
        self.addresses = addresses
        self.signer = signer
        self.confirm_seconds: float = 120
        """How long to wait for a transaction to be mined."""

    @property
    def sender(self) -> ChecksumAddress:
        if self.signer is None:
            raise InvalidConnectionError(
                "connected without a signer: reading works, writing does not"
            )
        return self.signer.address if isinstance(self.signer, LocalAccount) else self.signer

    @cached_property
    def clearing_house(self) -> Contract:
        return self.contract("ClearingHouse", self.addresses.clearing_house)

    @cached_property
    def lens(self) -> Contract:
        return self.contract("Lens", self.addresses.lens)

    @cached_property
    def vault(self) -> Contract:
        return self.contract("CollateralVault", self.call(self.clearing_house.functions.VAULT()))

    @property
    def engine(self) -> Contract:
        """Asked each time: the engine can be replaced."""
        return self.contract("MarginEngine", self.call(self.clearing_house.functions.engine()))

    def token(self, address: str) -> Contract:
        return self.contract("ERC20", address)

    def contract(self, name: str, address: str) -> Contract:
        return self.w3.eth.contract(address=Web3.to_checksum_address(address), abi=abi.load(name))

    def now(self) -> int:
        """The chain's time: that of its latest block, seconds."""
        return int(self.w3.eth.get_block("latest")["timestamp"])

    @cached_property
    def domain(self) -> dict[str, Any]:
        """The EIP-712 domain, as the ClearingHouse states it (ERC-5267)."""
        _, name, version, chain_id, contract, _, _ = self.call(
            self.clearing_house.functions.eip712Domain()
        )
        return {
            "name": name,
            "version": version,
            "chainId": chain_id,
            "verifyingContract": contract,
        }

    def call(self, function: ContractFunction, block: BlockIdentifier = "latest") -> Any:
        """Asks, as the signer if there is one; a refusal becomes a `ContractError`."""
        asker: TxParams = {} if self.signer is None else {"from": self.sender}
        with translated():
            return function.call(asker, block_identifier=block)

    def send(self, function: ContractFunction, **overrides: Any) -> Receipt:
        """Sends and waits. What would be refused raises its `ContractError` and is not sent.

        `overrides` are transaction fields: `value`, `gas`, `nonce`, `maxFeePerGas` ...
        """
        with translated():
            request = cast(TxParams, {"from": self.sender, **overrides})
            if "gas" not in request:
                request["gas"] = function.estimate_gas(request) * _GAS_MARGIN_PERCENT // 100
            tx = function.build_transaction(request)
            receipt = self._mined(self._submit(tx))
        if receipt["status"] != 1:
            self._explain_failure(function, request, receipt)
        return Receipt(
            hash=receipt["transactionHash"],
            block=receipt["blockNumber"],
            gas_used=receipt["gasUsed"],
            events=tuple(self.events_of(receipt)),
            raw=receipt,
        )

    def events_of(self, receipt: TxReceipt) -> Iterable[Event]:
        """The events of our contracts in a receipt, in order."""
        tellers = {
            Web3.keccak(text=signature): self._teller.events[entry["name"]]
            for signature, entry in abi.of_type("event").items()
        }
        for log in receipt["logs"]:
            teller = tellers.get(log["topics"][0]) if log["topics"] else None
            if teller is not None:
                told = teller().process_log(log)
                yield Event(told["event"], told["address"], dict(told["args"]))

    @cached_property
    def _teller(self) -> Contract:
        """Knows every event of the house, whichever contract emits it."""
        return self.w3.eth.contract(
            address=self.clearing_house.address, abi=list(abi.of_type("event").values())
        )

    def _submit(self, tx: TxParams) -> HexBytes:
        if not isinstance(self.signer, LocalAccount):
            return self.w3.eth.send_transaction(tx)
        if "nonce" not in tx:
            tx["nonce"] = self.w3.eth.get_transaction_count(self.sender, "pending")
        return self.w3.eth.send_raw_transaction(
            self.signer.sign_transaction(cast(dict[str, Any], tx)).raw_transaction
        )

    def _mined(self, tx_hash: HexBytes) -> TxReceipt:
        try:
            return self.w3.eth.wait_for_transaction_receipt(tx_hash, self.confirm_seconds, 0.1)
        except TimeExhausted as error:
            raise TransactionFailedError(
                f"{tx_hash.to_0x_hex()} is not mined after {self.confirm_seconds} s"
            ) from error

    def _explain_failure(
        self, function: ContractFunction, request: TxParams, receipt: TxReceipt
    ) -> None:
        """Runs the failed call again where it was mined, to learn why, and raises."""
        with translated():
            function.call(request, block_identifier=receipt["blockNumber"])
        raise TransactionFailedError(
            f"{receipt['transactionHash'].to_0x_hex()} reverted, and the same call passes now"
        )
