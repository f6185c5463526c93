"""May a token be listed? Balances that change by themselves would break every account's claim.

Two ways to tell: functions that only rebasing tokens have, on any chain; and watching a balance
over a day, on a chain whose clock and balances are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak
from web3 import Web3
from web3.types import RPCEndpoint

from plimsoll.deploy.sender import Sender, encode_call

# Lido's stETH, AMPL, OUSD and its kind, Aave's aTokens, and interest-bearing Compound v3 markets.
_REBASING = (
    "sharesOf(address)",
    "getPooledEthByShares(uint256)",
    "scaledBalanceOf(address)",
    "rebasingCreditsPerToken()",
    "creditsBalanceOf(address)",
    "monetaryPolicy()",
    "baseTrackingSupplySpeed()",
)
_ARGUMENTS: dict[str, tuple[Any, ...]] = {"address": ("0x" + "11" * 20,), "uint256": (1,), "": ()}
_DAY = 24 * 3600


@dataclass(frozen=True)
class Behaviour:
    """What a token did when it was tried."""

    moves_exactly: bool
    """A transfer takes and gives exactly what was asked."""
    stands_still: bool
    """A balance is the same a day later."""


def rebasing_functions(sender: Sender, token: str) -> list[str]:
    """Functions of rebasing tokens that this one answers."""
    found = []
    for signature in _REBASING:
        types = signature[signature.index("(") + 1 : -1]
        if sender.answers(token, signature, *_ARGUMENTS[types]) is not None:
            found.append(signature)
    return found


def behaviour_on_fork(sender: Sender, token: str, amount: int) -> Behaviour | None:
    """Tries a transfer and a day's wait, then undoes both. None where the chain is not ours."""
    if not is_anvil(sender.w3):
        return None
    with _undone(sender.w3):
        return _tried(sender, token, amount)


def is_anvil(w3: Web3) -> bool:
    return w3.client_version.lower().startswith("anvil")


def _tried(sender: Sender, token: str, amount: int) -> Behaviour | None:
    holder, other = _stranger("holder"), _stranger("other")
    if not _given(sender, token, holder, 2 * amount):
        return None
    before = _balance(sender, token, holder), _balance(sender, token, other)
    if not _moved(sender, token, holder, other, amount):
        return Behaviour(moves_exactly=False, stands_still=True)
    after = _balance(sender, token, holder), _balance(sender, token, other)
    rpc(sender.w3, "evm_increaseTime", _DAY)
    rpc(sender.w3, "evm_mine")
    later = _balance(sender, token, holder), _balance(sender, token, other)
    moves = (before[0] - after[0], after[1] - before[1])
    return Behaviour(moves_exactly=moves == (amount, amount), stands_still=later == after)


def _given(sender: Sender, token: str, holder: str, amount: int) -> bool:
    """Whether the node could write a balance into the token."""
    try:
        rpc(sender.w3, "anvil_dealERC20", holder, token, hex(amount))
    except ValueError:
        return False
    return _balance(sender, token, holder) >= amount


def _moved(sender: Sender, token: str, holder: str, to: str, amount: int) -> bool:
    rpc(sender.w3, "anvil_setBalance", holder, hex(10**18))
    rpc(sender.w3, "anvil_impersonateAccount", holder)
    data = "0x" + encode_call("transfer(address,uint256)", to, amount).hex()
    request = {"from": holder, "to": token, "data": data, "gas": hex(1_000_000)}
    hash_ = rpc(sender.w3, "eth_sendTransaction", request)
    return bool(sender.w3.eth.wait_for_transaction_receipt(hash_)["status"])


def _balance(sender: Sender, token: str, holder: str) -> int:
    return int(sender.read(token, "balanceOf(address)", holder, returns="uint256"))


def _stranger(name: str) -> str:
    return Web3.to_checksum_address(keccak(text=f"plimsoll listing {name}")[12:])


@contextmanager
def _undone(w3: Web3) -> Iterator[None]:
    snapshot = rpc(w3, "evm_snapshot")
    try:
        yield
    finally:
        rpc(w3, "evm_revert", snapshot)


def rpc(w3: Web3, method: str, *arguments: Any) -> Any:
    """A request that web3 has no name for."""
    response = w3.provider.make_request(RPCEndpoint(method), list(arguments))
    if "error" in response:
        raise ValueError(f"{method}: {response['error']}")
    return response.get("result")
