"""What came of a transaction that bots send: a receipt, or a refusal in words."""

from typing import Any

from web3.contract.contract import ContractFunction

from plimsoll.chain import Chain, Receipt
from plimsoll.errors import ContractError, TransactionFailedError


def sent_or_refused(chain: Chain, function: ContractFunction) -> tuple[Receipt | None, str | None]:
    """A refusal is an outcome: somebody else may have been faster."""
    try:
        return chain.send(function), None
    except (ContractError, TransactionFailedError) as error:
        return None, str(error)


def told_of(receipt: Receipt | None, refusal: str | None) -> dict[str, Any]:
    """The same for logs; nothing of what was not sent."""
    said: dict[str, Any] = {}
    if receipt is not None:
        said |= {"tx": receipt.hash.to_0x_hex(), "gas": receipt.gas_used}
    if refusal is not None:
        said["refused"] = refusal
    return said
