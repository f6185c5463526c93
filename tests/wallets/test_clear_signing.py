"""What a wallet shows of a call or a message, by the ERC-7730 descriptors: all of it, and rightly.

A wallet of a few lines reads the descriptors of a made-up deployment as the standard says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from plimsoll import abi, delegates, orders
from plimsoll.deployments import Asset, Contract, Manifest, Underlying
from plimsoll.erc7730 import CALLS, MESSAGES, descriptors, template
from plimsoll.erc7730.__main__ import main
from plimsoll.instruments import AccountId, Instrument
from plimsoll.risk.model import WAD
from tests.artifacts import Entry

HOUSE, OWNER, OTHER = (to_checksum_address(bytes([n]) * 20) for n in (1, 2, 3))
USDC, WBTC = (to_checksum_address(bytes([n]) * 20) for n in (4, 5))
NOBODY = "0x" + "00" * 20
TOKENS = {USDC: ("USDC", 6), WBTC: ("WBTC", 8)}
ACCOUNT = AccountId(OWNER, 7).encode()
SEVENTH = "0x" + "00" * 11 + "07"
EXPIRY = 1_893_456_000
DAY = "2030-01-01T00:00:00Z"
FORMATS = {
    "addressName": ("address", "bytes20"),
    "calldata": ("bytes",),
    "date": ("uint256",),
    "enum": ("uint16", "uint48"),
    "tokenAmount": ("uint256",),
    "unit": ("uint256", "int256"),
}
CALL_NAMES = (
    *("deposit", "depositPermit2", "withdraw", "transfer", "setDelegate", "setDelegateBySig"),
    *("take", "cancel", "raiseEpoch", "bid", "multicall"),
)
LONGEST_LABEL, LONGEST_INTENT = 20, 30


@dataclass(frozen=True)
class Type:
    """A parameter or a field of a struct: a name and a type, or the parts of a tuple."""

    name: str
    kind: str
    parts: tuple[Type, ...] = ()

    @property
    def abi(self) -> str:
        if not self.parts:
            return self.kind
        return f"({','.join(part.abi for part in self.parts)}){self.kind}"

    def leaves(self, above: str = "") -> Iterator[tuple[str, str]]:
        """Paths, as the standard writes them, with their types."""
        path = f"{above}{self.name}" + (".[]" if self.kind.endswith("[]") else "")
        if not self.parts:
            yield path, self.kind.removesuffix("[]")
        for part in self.parts:
            yield from part.leaves(f"{path}.")


def parameters(text: str) -> tuple[Type, ...]:
    """The parameters of a signature that has names, from between its parentheses."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(text + ","):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0 and text[start:place].strip():
            found.append(_parameter(text[start:place].strip()))
            start = place + 1
    return tuple(found)


def _parameter(text: str) -> Type:
    if not text.startswith("("):
        kind, name = text.split()
        return Type(name, kind)
    inner, rest = text[1:].rsplit(")", 1)
    array, name = re.fullmatch(r"((?:\[\])?) (\w+)", rest).groups()
    return Type(name, array, parameters(inner))


def struct(types: Mapping[str, Any], name: str) -> tuple[Type, ...]:
    """The fields of an EIP-712 struct."""

    def one(field: Mapping[str, str]) -> Type:
        inner = field["type"].removesuffix("[]")
        if inner not in types:
            return Type(field["name"], field["type"])
        return Type(field["name"], field["type"][len(inner) :], struct(types, inner))

    return tuple(one(field) for field in types[name])


def encode_type(types: Mapping[str, Any], name: str) -> str:
    """EIP-712's encodeType of a struct: itself, then the others by name."""
    ordered = sorted(types, key=lambda one: (one != name, one))

    def one(struct_name: str) -> str:
        parts = [f"{field['type']} {field['name']}" for field in types[struct_name]]
        return f"{struct_name}({','.join(parts)})"

    return "".join(one(each) for each in ordered)


TYPED = {
    encode_type(types, name): struct(types, name)
    for types, name in ((orders.TYPES, "Order"), (delegates.TYPES, "Delegate"))
}


def functions(contract: str = "ClearingHouse") -> dict[bytes, dict[str, Any]]:
    """A contract's functions by selector. The modules name what the ClearingHouse passes on."""
    entries = [entry for entry in abi.load(contract) if entry["type"] == "function"]
    return {keccak(text=abi.signature(entry))[:4]: entry for entry in entries}


def selector(key: str) -> bytes:
    name, inner = key[:-1].split("(", 1)
    return keccak(text=f"{name}({','.join(one.abi for one in parameters(inner))})")[:4]


def schema(key: str) -> tuple[Type, ...]:
    """What a format describes: by the key alone, as a wallet has it."""
    return TYPED[key] if key in TYPED else parameters(key[:-1].split("(", 1)[1])


def fields(format_: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The fields of a format, those of groups too."""
    for one in format_["fields"]:
        if "fields" in one:
            yield from fields(one)
        else:
            yield one


ALL = [
    pytest.param(name, key, id=key.split("(")[0])
    for name in (CALLS, MESSAGES)
    for key in template(name)["display"]["formats"]
]


# The descriptors themselves


def test_the_calls_that_people_make_are_described() -> None:
    keys = template(CALLS)["display"]["formats"]
    assert tuple(sorted(key.split("(")[0] for key in keys)) == tuple(sorted(CALL_NAMES))
    house = functions()
    named = house | functions("TradingModule") | functions("LiquidationModule")
    for key in keys:
        assert selector(key) in house, key
        given = [one["name"].rstrip("_") for one in named[selector(key)]["inputs"]]
        assert given == [one.name for one in schema(key)], key


def test_the_messages_that_people_sign_are_described() -> None:
    assert set(template(MESSAGES)["display"]["formats"]) == set(TYPED)


@pytest.mark.parametrize(("name", "key"), ALL)
def test_every_part_is_shown_once_or_left_out_on_purpose(name: str, key: str) -> None:
    """Of a word that holds an account, the owner and the number."""
    leaves = [leaf for one in schema(key) for leaf in one.leaves()]
    halves = (".[:20]", ".[20:]")
    expected = []
    for path, kind in leaves:
        expected += [path + half for half in halves] if kind == "bytes32" else [path]
    found = [field["path"] for field in fields(template(name)["display"]["formats"][key])]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(("name", "key"), ALL)
def test_every_field_has_a_label_and_a_formatter_that_fits(name: str, key: str) -> None:
    leaves = dict(leaf for one in schema(key) for leaf in one.leaves())
    owners = {f"{path}.[:20]": "bytes20" for path, kind in leaves.items() if kind == "bytes32"}
    kinds = {**leaves, **owners}
    for field in fields(template(name)["display"]["formats"][key]):
        assert 0 < len(field["label"]) <= LONGEST_LABEL
        if field["format"] != "raw":
            assert kinds[field["path"]] in FORMATS[field["format"]], field["path"]
        path = field.get("params", {}).get("token", {}).get("keyPath")
        assert path is None or leaves[path] == "uint16"


@pytest.mark.parametrize(("name", "key"), ALL)
def test_intents_are_short_and_name_shown_fields(name: str, key: str) -> None:
    format_ = template(name)["display"]["formats"][key]
    shown = {field["path"] for field in fields(format_) if field.get("visible") is None}
    intents = [format_["intent"], format_.get("interpolatedIntent", "")]
    assert all(len(intent) <= LONGEST_INTENT for intent in intents)
    assert set(re.findall(r"\{(.*?)\}", intents[1])) <= shown


# A wallet


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    contract = Contract(
        address=HOUSE,
        transaction="0x",
        block=1,
        source="",
        compiler="",
        arguments="0x",
        creation_code_hash="0x",
        runtime_code_hash="0x",
    )
    return Manifest(
        name="made-up",
        network="made:up",
        chain_id=84532,
        deployer=OTHER,
        start_block=1,
        roles={},
        contracts={"ClearingHouse": contract},
        assets={
            "USDC": Asset(id=0, address=USDC, decimals=6, underlying=0),
            "WBTC": Asset(id=2, address=WBTC, decimals=8, underlying=2),
        },
        underlyings={
            "USD": Underlying(id=0, feeds={}),
            "ETH": Underlying(id=1, feeds={}, has_perpetual=True),
            "BTC": Underlying(id=2, feeds={}, has_perpetual=True),
        },
    )


class Wallet:
    """Shows labels and values, as the standard has them."""

    def __init__(self, manifest: Manifest) -> None:
        self.descriptors = descriptors(manifest)

    def show_call(self, name: str, *args: Any) -> list[tuple[str, str]]:
        """Of a call that the SDK's ABI encodes, what is shown."""
        (entry,) = (one for one in functions().values() if one["name"] == name)
        data = Entry(entry).encode(args)
        formats = self.descriptors[CALLS]["display"]["formats"]
        (key,) = (one for one in formats if selector(one) == data[:4])
        types = schema(key)
        values = decode([one.abi for one in types], data[4:])
        return self._show(CALLS, key, dict(_named(types, values)))

    def show_message(self, primary: str, message: Mapping[str, Any]) -> list[tuple[str, str]]:
        formats = self.descriptors[MESSAGES]["display"]["formats"]
        (key,) = (one for one in formats if one.startswith(f"{primary}("))
        return self._show(MESSAGES, key, message)

    def _show(self, name: str, key: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        self._root, self._values = self.descriptors[name], values
        format_ = self._root["display"]["formats"][key]
        return [("", format_["intent"]), *self._lines(format_["fields"])]

    def _lines(self, listed: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
        for field in listed:
            if "fields" in field:
                columns = [list(self._lines([one])) for one in field["fields"]]
                for row in zip(*columns, strict=True):  # bundled: element by element
                    yield from row
                continue
            visible = field.get("visible", "always")
            for value in self._at(field["path"]):
                hidden = visible in ("never", "optional")
                if not hidden and not (
                    isinstance(visible, Mapping) and value in visible["ifNotIn"]
                ):
                    yield field["label"], self._text(field, value)

    def _at(self, path: str) -> list[Any]:
        found: list[Any] = [self._values]
        for step in path.split("."):
            if step == "[]":
                found = [one for many in found for one in many]
            elif step == "[:20]":
                found = [one[:20] for one in found]
            elif step == "[20:]":
                found = [one[20:] for one in found]
            else:
                found = [one[step] for one in found]
        return found

    def _text(self, field: Mapping[str, Any], value: Any) -> str:
        params = field.get("params", {})
        match field["format"]:
            case "addressName":
                return to_checksum_address(value)
            case "date":
                when = datetime.fromtimestamp(value, UTC)
                return when.isoformat().replace("+00:00", "Z")
            case "unit":
                return f"{_scaled(value, params.get('decimals', 0))} {params['base']}"
            case "enum":
                return self._refer(params["$ref"])[str(value)]
            case "tokenAmount":
                known = self._refer(params["token"]["map"])["values"]
                (asset,) = self._at(params["token"]["keyPath"])
                ticker, decimals = TOKENS[known[str(asset)]]
                return f"{_scaled(value, decimals)} {ticker}"
            case "calldata":
                return f"{params['calleePath']} {value.hex()}"
            case "raw":
                return "0x" + value.hex() if isinstance(value, bytes) else str(value)
        raise AssertionError(field["format"])

    def _refer(self, path: str) -> Any:
        found: Any = self._root
        for step in path.removeprefix("$.").split("."):
            found = found[step]
        return found


def _named(types: Sequence[Type], values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for one, value in zip(types, values, strict=True):
        if one.parts and one.kind:
            yield one.name, [dict(_named(one.parts, part)) for part in value]
        else:
            yield one.name, dict(_named(one.parts, value)) if one.parts else value


def _scaled(value: int, decimals: int) -> str:
    return f"{Decimal(value).scaleb(-decimals).normalize():f}"


@pytest.fixture
def wallet(manifest: Manifest) -> Wallet:
    return Wallet(manifest)


OF = [("Account of", OWNER), ("Sub-account", SEVENTH)]
ORDER = orders.Order.build(
    AccountId(OWNER, 7),
    [
        orders.Leg(Instrument.perpetual(1), Decimal("1.5")),
        orders.Leg(Instrument.perpetual(2), Decimal("-0.05")),
    ],
    Decimal(-3),
    Decimal("-0.25"),
    expiry=EXPIRY,
    epoch=4,
    minimum_fill=Decimal("0.5"),
    reduce_only=True,
    salt=99,
)
ORDER_LINES = [
    *OF,
    ("Signed by", OWNER),
    ("Instrument", "ETH perpetual"),
    ("Ratio (- reverses)", "1.5 units"),
    ("Instrument", "BTC perpetual"),
    ("Ratio (- reverses)", "-0.05 units"),
    ("Quantity (- sells)", "-3 units"),
    ("Limit price per unit", "-0.25 USD"),
    ("Least fill", "0.5 units"),
    ("Only reduces", "True"),
    ("Until", DAY),
]
DELEGATION = delegates.Delegation(
    EXPIRY, may_bid=True, max_leverage=Decimal("3.5"), markets=frozenset({1, 2})
)
DELEGATION_LINES = [
    ("Delegate", OTHER),
    *OF,
    ("Until (1970 ends it)", DAY),
    ("May bid", "True"),
    ("Only reduces", "False"),
    ("Max leverage, 0: any", "3.5 x"),
    ("Market bits (0: all)", "6"),
]


class TestCalls:
    @pytest.mark.parametrize(
        ("asset", "units", "text"), [(0, 1_500_000, "1.5 USDC"), (2, 150_000_000, "1.5 WBTC")]
    )
    def test_deposits_and_withdrawals(
        self, wallet: Wallet, asset: int, units: int, text: str
    ) -> None:
        amount = ("Amount", text)
        shown = wallet.show_call("deposit", ACCOUNT, asset, units)
        assert shown == [("", "Deposit"), amount, *OF]
        shown = wallet.show_call("withdraw", ACCOUNT, asset, units, OTHER)
        assert shown == [("", "Withdraw"), amount, ("To", OTHER), *OF]
        shown = wallet.show_call("depositPermit2", ACCOUNT, asset, units, 5, EXPIRY, bytes(65))
        assert shown == [("", "Deposit by Permit2"), amount, *OF, ("Until", DAY)]

    @pytest.mark.parametrize(
        ("asset", "unit"), [(0, "1e-18 dollars"), (2, "1e-8 WBTC")], ids=["cash", "token"]
    )
    def test_transfers_say_in_what_they_count(self, wallet: Wallet, asset: int, unit: str) -> None:
        other = AccountId(OWNER, 8).encode()
        assert wallet.show_call("transfer", ACCOUNT, other, asset, 12) == [
            ("", "Move between own accounts"),
            ("Amount", "12"),
            ("Unit of the amount", unit),
            ("From", OWNER),
            ("From sub-account", SEVENTH),
            ("To", OWNER),
            ("To sub-account", "0x" + "00" * 11 + "08"),
        ]

    def test_orders(self, wallet: Wallet) -> None:
        shown = wallet.show_call("cancel", ORDER.message())
        assert shown == [("", "Cancel an order"), *ORDER_LINES]
        shown = wallet.show_call("take", ORDER.message(), bytes(65), ACCOUNT, WAD // 2)
        assert shown == [
            ("", "Take an order"),
            ("Quantity to take", "0.5 units"),
            ("For the account of", OWNER),
            ("For sub-account", SEVENTH),
            *ORDER_LINES,
        ]
        assert wallet.show_call("raiseEpoch", ACCOUNT) == [("", "Cancel all orders"), *OF]

    def test_delegations(self, wallet: Wallet) -> None:
        shown = wallet.show_call("setDelegate", ACCOUNT, OTHER, DELEGATION.message())
        assert shown == [("", "Let somebody trade"), *DELEGATION_LINES]
        granted = (ACCOUNT, OTHER, DELEGATION.message(), EXPIRY, bytes(65))
        assert wallet.show_call("setDelegateBySig", *granted) == [
            ("", "Bring a signed delegation"),
            *DELEGATION_LINES,
            ("Signed until", DAY),
        ]

    def test_bids(self, wallet: Wallet) -> None:
        bid = (ACCOUNT, AccountId(OTHER).encode(), WAD // 4, -3 * WAD, EXPIRY, 0)
        assert wallet.show_call("bid", bid) == [
            ("", "Bid for a share of an account"),
            *OF,
            ("Taken by", OTHER),
            ("Taker sub-account", "0x" + "00" * 12),
            ("Share wanted", "25 %"),
            ("Pay at most (- gets)", "-3 USD"),
            ("Until", DAY),
        ]

    def test_batches_show_each_call_to_the_same_house(self, wallet: Wallet) -> None:
        shown = wallet.show_call("multicall", [b"\1", b"\2"])
        assert shown == [("", "Several calls in one"), ("Call", "@.to 01"), ("Call", "@.to 02")]


class TestMessages:
    def test_orders(self, wallet: Wallet) -> None:
        shown = wallet.show_message("Order", ORDER.message())
        assert shown == [("", "Sign an order"), *ORDER_LINES]

    def test_an_order_for_one_taker_names_them(self, wallet: Wallet) -> None:
        shown = wallet.show_message("Order", {**ORDER.message(), "taker": OTHER})
        assert ("Only for", OTHER) in shown

    def test_delegates(self, wallet: Wallet) -> None:
        grant = delegates.Grant(AccountId(OWNER, 7), OTHER, DELEGATION, 3, EXPIRY)
        assert wallet.show_message("Delegate", grant.message()) == [
            ("", "Let somebody trade"),
            *DELEGATION_LINES,
            ("Can be brought until", DAY),
        ]


def test_the_command_writes_the_descriptors_of_a_deployment(
    manifest: Manifest, tmp_path: Path
) -> None:
    manifest.save(tmp_path / "made-up")
    done = CliRunner().invoke(main, [str(tmp_path / "made-up"), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    written = {path.name: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert written == descriptors(manifest)
    place = [{"chainId": 84532, "address": HOUSE}]
    assert written[CALLS]["context"]["contract"]["deployments"] == place
    assert written[MESSAGES]["context"]["eip712"]["deployments"] == place
    house = {"name": "Plimsoll", "version": "1"}
    assert written[MESSAGES]["context"]["eip712"]["domain"] == house
