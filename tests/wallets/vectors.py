"""The EIP-712 test vectors in docs/vectors: for whoever writes a wallet, a maker or a reporter.

    python -m tests.wallets.vectors --check     fails when the committed file is another
    python -m tests.wallets.vectors --write     renews it

Each typed message is the payload of `eth_signTypedData_v4`, integers as decimal texts. The keys are
published, and worth nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from plimsoll.delegates import TYPES as GRANT_TYPES
from plimsoll.delegates import Delegation, Grant
from plimsoll.instruments import AccountId, Instrument
from plimsoll.orders import TYPES as ORDER_TYPES
from plimsoll.orders import Leg, Order
from plimsoll.reports import TYPES as REPORT_TYPES
from plimsoll.reports import SurfaceReport, report_domain
from plimsoll.risk.surface import Slice
from tests.wallets.contracts import SAFE_MESSAGE

FILE = Path(__file__).parents[2] / "docs" / "vectors" / "eip712.json"
CHAIN_ID = 31337
EXPIRY = 1_893_456_000

DOMAIN_TYPES = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
}


def key_of(role: str) -> LocalAccount:
    key: LocalAccount = Account.from_key(keccak(text=f"Plimsoll test vectors: {role}"))
    return key


def place_of(contract: str) -> ChecksumAddress:
    """An address that no contract has, for one to be put at."""
    return to_checksum_address(keccak(text=f"Plimsoll test vectors: {contract}")[12:])


OWNER, DESK, REPORTER = (key_of(role) for role in ("owner", "delegate", "reporter"))
SAFE_OWNERS = [key_of(f"owner {number} of a Safe") for number in (1, 2)]
HOUSE, ORACLE, SAFE = (place_of(name) for name in ("ClearingHouse", "ReportOracle", "Safe"))

LEDGER_DOMAIN = {
    "name": "Plimsoll",
    "version": "1",
    "chainId": CHAIN_ID,
    "verifyingContract": HOUSE,
}
REPORTS_DOMAIN = report_domain(CHAIN_ID, ORACLE)
SAFE_DOMAIN = {"chainId": CHAIN_ID, "verifyingContract": SAFE}

PERPETUALS = [Instrument.perpetual(u) for u in range(1, 9)]
OPTION = Instrument.option(1, 3_000, 1_500, put=True)


def orders() -> dict[str, Order]:
    """Of one, two and eight legs; each field is somewhere not its default."""
    account = AccountId(OWNER.address, 7)
    buy = Order.build(
        AccountId(OWNER.address),
        PERPETUALS[0],
        Decimal("1.5"),
        Decimal("2000.25"),
        expiry=EXPIRY,
        epoch=0,
        salt=1,
    )
    spread = Order.build(
        account,
        [Leg(PERPETUALS[1], Decimal("-0.05")), Leg(OPTION)],
        -3,
        Decimal("-2899.999999999999999999"),
        expiry=EXPIRY,
        epoch=4,
        signer=DESK.address,
        taker=place_of("taker"),
        minimum_fill=Decimal("0.5"),
        reduce_only=True,
        salt=2**256 - 1,
    )
    ratios = [Decimal(number * (-1) ** number) / 8 for number in range(1, 9)]
    basket = Order.build(
        account,
        [Leg(one, ratio) for one, ratio in zip(PERPETUALS, ratios, strict=True)],
        100,
        0,
        expiry=2**256 - 1,
        epoch=2**40,
        salt=int.from_bytes(keccak(text="salt")),
    )
    return {"one leg": buy, "two legs, by a delegate": spread, "eight legs": basket}


def grants() -> dict[str, Grant]:
    """One with every limit, and one that ends it all."""
    account, deadline = AccountId(OWNER.address, 7), EXPIRY - 86_400
    limits = Delegation.build(EXPIRY, may_bid=True, max_leverage="3.5", markets=(1, 2, 255))
    nothing = Delegation.build(0, reduce_only=True)
    return {
        "with limits": Grant(account, DESK.address, limits, 12, deadline),
        "that ends": Grant(account, DESK.address, nothing, 13, deadline),
    }


def reports() -> dict[str, dict[str, Any]]:
    observed = 1_800_000_000
    return {
        "above the index": {"underlying": 1, "premium": 10**15 + 1, "observedAt": observed},
        "below the index": {"underlying": 511, "premium": -3 * 10**14, "observedAt": observed},
    }


def surfaces() -> dict[str, SurfaceReport]:
    """Of one expiry and of three; each field is somewhere negative that may be."""
    near = Slice(752, 999_000_001, -20_000_000, 400_000_000, -350_000, 25_000, 150_000)
    month = Slice(785, 1_004_000_000, 90_000_000, 240_000_000, -300_000, -10_000, 300_000)
    far = Slice(870, 1_015_000_000, 120_000_000, 180_000_000, 100_000, 0, 500_000)
    observed = 1_800_000_000
    return {
        "one expiry": SurfaceReport(1, observed - 1, (near,)),
        "three expiries": SurfaceReport(255, observed, (near, month, far)),
    }


def typed_data(
    domain: Mapping[str, Any], types: Mapping[str, Any], message: Mapping[str, Any]
) -> dict[str, Any]:
    """What `eth_signTypedData_v4` takes."""
    fields = [{"name": name, "type": DOMAIN_TYPES[name]} for name in DOMAIN_TYPES if name in domain]
    return {
        "types": {"EIP712Domain": fields, **types},
        "primaryType": next(iter(types)),
        "domain": domain,
        "message": message,
    }


def digest_of(signable: SignableMessage) -> bytes:
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def vector(
    name: str,
    keys: Sequence[LocalAccount],
    domain: dict[str, Any],
    types: dict[str, Any],
    message: dict[str, Any],
) -> dict[str, Any]:
    """One message with its digest and the signatures of the keys, in this order, joined."""
    signable = encode_typed_data(domain, types, message)
    signatures = [bytes(key.sign_message(signable).signature) for key in keys]
    return {
        "name": name,
        "signers": [key.address for key in keys],
        "privateKeys": [_hex(bytes(key.key)) for key in keys],
        "typedData": plain(typed_data(domain, types, message)),
        "domainSeparator": _hex(signable.header),
        "structHash": _hex(signable.body),
        "digest": _hex(digest_of(signable)),
        "signature": _hex(b"".join(signatures)),
    }


def safe_vector(name: str, digest: bytes) -> dict[str, Any]:
    """A Safe's consent (ERC-1271): its owners, in ascending order, sign the SafeMessage."""
    keys = sorted(SAFE_OWNERS, key=lambda key: int(key.address, 16))
    return vector(name, keys, SAFE_DOMAIN, SAFE_MESSAGE, {"message": digest})


def vectors() -> list[dict[str, Any]]:
    signers = {OWNER.address: OWNER, DESK.address: DESK}
    found = [
        vector(f"order of {name}", [signers[one.signer]], LEDGER_DOMAIN, ORDER_TYPES, one.message())
        for name, one in orders().items()
    ]
    found += [
        vector(f"delegate {name}", [OWNER], LEDGER_DOMAIN, GRANT_TYPES, one.message())
        for name, one in grants().items()
    ]
    found += [
        vector(f"premium report {name}", [REPORTER], REPORTS_DOMAIN, REPORT_TYPES, message)
        for name, message in reports().items()
    ]
    found += [
        vector(f"surface report of {name}", [REPORTER], REPORTS_DOMAIN, one.types, one.message())
        for name, one in surfaces().items()
    ]
    of_safe = [
        safe_vector(f"Safe's consent: {one['name']}", bytes.fromhex(one["digest"][2:]))
        for one in found
        if not one["name"].startswith(("premium", "surface"))
    ]
    return found + of_safe


def plain(value: Any) -> Any:
    """As JSON has it: bytes as hexadecimal, integers of a message as decimal texts."""
    if isinstance(value, Mapping):
        return {name: one if name == "chainId" else plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, bytes):
        return _hex(value)
    return str(value) if type(value) is int else value


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()


def text() -> str:
    return json.dumps(vectors(), indent=2) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--check", action="store_true", help="fail when the committed file differs")
    choice.add_argument("--write", action="store_true", help="renew the committed file")
    if parser.parse_args().write:
        FILE.write_text(text())
    elif FILE.read_text() != text():
        sys.exit("docs/vectors/eip712.json differs: run python -m tests.wallets.vectors --write")


if __name__ == "__main__":
    main()
