"""A Safe's owners, as they sign: each the transaction, anybody then sends it."""

from __future__ import annotations

from typing import Any

from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from plimsoll.deploy.sender import NOBODY, Call, Sender, encode_call

_EXECUTE = (
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
)
_TYPES = {
    "SafeTx": [
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "data", "type": "bytes"},
        {"name": "operation", "type": "uint8"},
        {"name": "safeTxGas", "type": "uint256"},
        {"name": "baseGas", "type": "uint256"},
        {"name": "gasPrice", "type": "uint256"},
        {"name": "gasToken", "type": "address"},
        {"name": "refundReceiver", "type": "address"},
        {"name": "nonce", "type": "uint256"},
    ]
}


def execution(safe: str, call: Call, keys: list[LocalAccount], reader: Sender) -> Call:
    """The transaction in which a Safe makes a call that these owners signed."""
    terms: dict[str, Any] = {
        "to": call.to,
        "value": call.value,
        "data": call.data,
        "operation": 0,
        "safeTxGas": 0,
        "baseGas": 0,
        "gasPrice": 0,
        "gasToken": NOBODY,
        "refundReceiver": NOBODY,
    }
    nonce = reader.read(safe, "nonce()", returns="uint256")
    domain = {"chainId": reader.chain_id, "verifyingContract": safe}
    message = encode_typed_data(domain, _TYPES, {**terms, "nonce": nonce})
    # The Safe wants its signatures in ascending order of owner.
    signers = sorted(keys, key=lambda key: int(key.address, 16))
    signatures = b"".join(bytes(key.sign_message(message).signature) for key in signers)
    return Call(safe, encode_call(_EXECUTE, *terms.values(), signatures))
