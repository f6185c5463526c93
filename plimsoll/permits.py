"""Deposits by signature: ERC-2612 permits of the token itself, and Uniswap's Permit2."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import Web3Exception

from plimsoll.chain import Chain
from plimsoll.errors import InvalidConnectionError

if TYPE_CHECKING:
    from plimsoll.markets import Asset

PERMIT_TYPES: dict[str, list[dict[str, str]]] = {
    "Permit": [
        {"name": "owner", "type": "address"},
        {"name": "spender", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ]
}
PERMIT2_TYPES: dict[str, list[dict[str, str]]] = {
    "TokenPermissions": [
        {"name": "token", "type": "address"},
        {"name": "amount", "type": "uint256"},
    ],
    "PermitTransferFrom": [
        {"name": "permitted", "type": "TokenPermissions"},
        {"name": "spender", "type": "address"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
}
_TOKEN_VIEWS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": name,
        "stateMutability": "view",
        "inputs": [{"name": "", "type": kind} for kind in inputs],
        "outputs": [{"name": "", "type": kind} for kind in outputs],
    }
    for name, inputs, outputs in (
        ("name", (), ("string",)),
        ("version", (), ("string",)),
        ("nonces", ("address",), ("uint256",)),
        ("DOMAIN_SEPARATOR", (), ("bytes32",)),
    )
]


def sign_permit(
    chain: Chain, asset: Asset, units: int, deadline: int, key: LocalAccount
) -> tuple[int, bytes, bytes]:
    """An ERC-2612 permit for the vault, as v, r and s."""
    token = chain.w3.eth.contract(address=asset.address, abi=_TOKEN_VIEWS).functions
    try:
        name, nonce = token.name().call(), token.nonces(key.address).call()
    except (Web3Exception, ValueError) as error:
        raise InvalidConnectionError(f"{asset} takes no permits: {error}") from error
    try:
        version = token.version().call()
    except (Web3Exception, ValueError):
        version = "1"
    domain = {
        "name": name,
        "version": version,
        "chainId": chain.w3.eth.chain_id,
        "verifyingContract": asset.address,
    }
    message = {
        "owner": key.address,
        "spender": chain.vault.address,
        "value": units,
        "nonce": nonce,
        "deadline": deadline,
    }
    signed = key.sign_message(encode_typed_data(domain, PERMIT_TYPES, message))
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def sign_permit2(
    chain: Chain, asset: Asset, units: int, nonce: int, deadline: int, key: LocalAccount
) -> bytes:
    """A transfer of Permit2 to the vault."""
    domain = {
        "name": "Permit2",
        "chainId": chain.w3.eth.chain_id,
        "verifyingContract": permit2_of(chain),
    }
    message = {
        "permitted": {"token": asset.address, "amount": units},
        "spender": chain.vault.address,
        "nonce": nonce,
        "deadline": deadline,
    }
    return bytes(key.sign_message(encode_typed_data(domain, PERMIT2_TYPES, message)).signature)


def permit2_of(chain: Chain) -> str:
    """The Permit2 that the house was deployed with."""
    address = str(chain.call(chain.vault.functions.PERMIT2()))
    if int(address, 16) == 0:
        raise InvalidConnectionError("this house was deployed without Permit2")
    return Web3.to_checksum_address(address)


def unused_nonce() -> int:
    """Permit2's nonces have no order: any that was not used."""
    return secrets.randbits(256)
