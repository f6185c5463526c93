"""viem, ethers, Python and the chain say the same of what is signed, to the byte."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyrevm
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from plimsoll import abi
from plimsoll.delegates import TYPES as GRANT_TYPES
from plimsoll.instruments import AccountId
from plimsoll.orders import TYPES as ORDER_TYPES
from plimsoll.reports import TYPES as REPORT_TYPES
from plimsoll.reports import report_domain
from plimsoll.risk.model import WAD
from tests.artifacts import Entry
from tests.evm import CHAIN_ID, Contract, Evm
from tests.scenarios.stage import ALT, NEVER, terms
from tests.wallets import vectors
from tests.wallets.conftest import Cast
from tests.wallets.contracts import SAFE_MESSAGE
from tests.wallets.test_owned_by_contracts import digest, fund, order, taken

HERE = Path(__file__).parent
LIBRARIES = ("viem", "ethers")
PUBLISHED: list[dict[str, Any]] = json.loads(vectors.FILE.read_text())
NAMES = [one["name"] for one in PUBLISHED]
ECRECOVER = "0x" + "00" * 19 + "01"
RANDOM_ORDERS = 60
NOBODY = "0x" + "00" * 20
# The first slots of a contract, among which its variables lie.
VARIABLES = range(16)


def ask(library: str, jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Has a wallet library sign and encode; one process for all of the jobs."""
    command = ["node", str(HERE / f"{library}.mjs")]
    known = ("privateKeys", "typedData", "entry", "args")
    text = json.dumps([{name: job[name] for name in known if name in job} for job in jobs])
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def job(
    keys: Sequence[LocalAccount],
    domain: Mapping[str, Any],
    types: Mapping[str, Any],
    message: Mapping[str, Any],
) -> dict[str, Any]:
    data = vectors.plain(vectors.typed_data(domain, types, message))
    return {"privateKeys": ["0x" + bytes(key.key).hex() for key in keys], "typedData": data}


def revived(one: Mapping[str, Any]) -> dict[str, Any]:
    """A published message as the contracts take it."""
    types, primary = one["typedData"]["types"], one["typedData"]["primaryType"]

    def value(kind: str, given: Any) -> Any:
        if kind.endswith("[]"):
            return [value(kind[:-2], part) for part in given]
        if kind in types:
            return {part["name"]: value(part["type"], given[part["name"]]) for part in types[kind]}
        if kind.startswith("bytes"):
            return bytes.fromhex(given[2:])
        return int(given) if "int" in kind else given

    return dict(value(primary, one["typedData"]["message"]))


class TestPublishedVectors:
    def test_are_what_the_command_writes(self) -> None:
        assert vectors.FILE.read_text() == vectors.text()

    def test_cover_each_thing_that_is_signed(self) -> None:
        legs = [len(revived(one).get("legs", ())) for one in PUBLISHED]
        kinds = {one["typedData"]["primaryType"] for one in PUBLISHED}
        assert {1, 2, 8} <= set(legs)
        assert kinds == {"Order", "Delegate", "PremiumReport", "SurfaceReport", "SafeMessage"}

    @pytest.mark.parametrize("library", LIBRARIES)
    def test_are_what_a_wallet_library_signs(self, library: str) -> None:
        for one, answer in zip(PUBLISHED, ask(library, PUBLISHED), strict=True):
            expected = {name: one[name] for name in ("digest", "signature", "signers")}
            assert answer == expected, one["name"]

    def test_are_read_from_json_by_python(self) -> None:
        """From the file alone, as a stranger would."""
        for one in PUBLISHED:
            signable = encode_typed_data(full_message=one["typedData"])
            keys = [Account.from_key(key) for key in one["privateKeys"]]
            signatures = [bytes(key.sign_message(signable).signature) for key in keys]
            assert "0x" + vectors.digest_of(signable).hex() == one["digest"]
            assert "0x" + b"".join(signatures).hex() == one["signature"]
            assert [key.address for key in keys] == one["signers"]

    @pytest.mark.parametrize("name", [one for one in NAMES if one.startswith("order")])
    def test_of_orders_are_the_chain_s(self, ledger: Contract, name: str) -> None:
        one = PUBLISHED[NAMES.index(name)]
        found = ledger.call.hashOrder(revived(one))
        assert "0x" + bytes(found).hex() == one["digest"]

    @pytest.mark.parametrize("name", [one for one in NAMES if one.startswith("delegate")])
    def test_of_delegates_are_the_chain_s(self, ledger: Contract, name: str) -> None:
        one = PUBLISHED[NAMES.index(name)]
        message = revived(one)
        account, delegate, *granted, nonce, deadline = message.values()
        found = ledger.call.hashDelegate(account, delegate, tuple(granted), nonce, deadline)
        assert "0x" + bytes(found).hex() == one["digest"]

    @pytest.mark.parametrize("name", [one for one in NAMES if one.startswith("premium")])
    def test_of_reports_are_the_chain_s(self, cast: Cast, name: str) -> None:
        """A ReportOracle at the vectors' address takes the published signature."""
        evm, one = cast.stage.evm, PUBLISHED[NAMES.index(name)]
        report, signature = revived(one), bytes.fromhex(one["signature"][2:])
        oracle = oracle_at(evm, vectors.ORACLE, vectors.REPORTER.address)
        evm.time = report["observedAt"]
        underlying = report["underlying"]
        found = oracle.call.verifyPremium(underlying, [report], [signature])
        assert tuple(found) == (report["premium"], report["observedAt"])
        other = {**report, "premium": report["premium"] - 1}
        with evm.reverts("UnknownSigner", place=0):
            oracle.call.verifyPremium(underlying, [other], [signature])

    @pytest.mark.parametrize("name", [one for one in NAMES if one.startswith("surface")])
    def test_of_surfaces_are_the_chain_s(self, cast: Cast, name: str) -> None:
        evm, one = cast.stage.evm, PUBLISHED[NAMES.index(name)]
        report, signature = revived(one), bytes.fromhex(one["signature"][2:])
        oracle = oracle_at(evm, vectors.ORACLE, vectors.REPORTER.address)
        evm.time, underlying = report["observedAt"], report["underlying"]
        slices, observed_at = oracle.call.verifySurface(underlying, [report], [signature])
        assert [piece._asdict() for piece in slices] == report["slices"]
        assert observed_at == report["observedAt"]
        moved = {**report["slices"][0], "sigma": report["slices"][0]["sigma"] + 1}
        other = {**report, "slices": [moved, *report["slices"][1:]]}
        with evm.reverts("UnknownSigner", place=0):
            oracle.call.verifySurface(underlying, [other], [signature])

    def test_are_recovered_by_the_chain(self, ledger: Contract) -> None:
        """By the precompile; every signature has the lower s."""
        for one in PUBLISHED:
            raw = bytes.fromhex(one["signature"][2:])
            for place, signer in enumerate(one["signers"]):
                signature = raw[65 * place : 65 * place + 65]
                v = bytes(31) + signature[64:]
                answer = ledger.evm.send(
                    ECRECOVER, bytes.fromhex(one["digest"][2:]) + v + signature[:64]
                )
                assert answer[12:].hex() == signer[2:].lower()


@pytest.fixture(scope="module")
def ledger(standing: Cast) -> Contract:
    """A ClearingHouse at the address of the vectors: the domain is that of where its code runs."""
    evm, house = standing.stage.evm, standing.stage.house
    evm._evm.insert_account_info(vectors.HOUSE, pyrevm.AccountInfo(code=evm.code(house)))
    return evm.at(vectors.HOUSE, "ClearingHouse")


def oracle_at(evm: Evm, address: str, reporter: str) -> Contract:
    """A ReportOracle of one reporter, moved to an address: its code, and what it knows of him."""
    made = evm.deploy("ReportOracle", NOBODY, [reporter], 1, WAD // 100, WAD // 100, 0)
    words = [
        keccak(bytes(12) + bytes.fromhex(reporter[2:]) + bytes(31) + bytes([n])) for n in VARIABLES
    ]
    (slot,) = [at for word in words if evm.storage(made, at := int.from_bytes(word))]
    evm._evm.insert_account_info(address, pyrevm.AccountInfo(code=evm.code(made)))
    evm.set_storage(address, slot, evm.storage(made, slot))
    return evm.at(address, "ReportOracle")


def random_order(chance: Random) -> dict[str, Any]:
    """Any order that fits the types, with the extremes of each more often than chance has it."""

    def signed() -> int:
        return chance.choice((-(2**255), -1, 0, 1, 2**255 - 1, chance.randrange(-(2**255), 2**255)))

    def unsigned(bits: int) -> int:
        return chance.choice((0, 1, 2**bits - 1, chance.randrange(2**bits)))

    return {
        "account": chance.randbytes(32),
        "signer": "0x" + chance.randbytes(20).hex(),
        "taker": "0x" + chance.choice((bytes(20), chance.randbytes(20))).hex(),
        "legs": [
            {"instrument": unsigned(48), "ratio": signed()} for _ in range(chance.randint(0, 9))
        ],
        "quantity": signed(),
        "price": signed(),
        "minimumFill": unsigned(256),
        "reduceOnly": chance.random() < 0.5,
        "expiry": unsigned(256),
        "epoch": unsigned(256),
        "salt": unsigned(256),
    }


@pytest.mark.parametrize("library", LIBRARIES)
def test_any_order_has_one_digest(cast: Cast, library: str) -> None:
    stage, chance = cast.stage, Random(library)  # a fixed seed each
    messages = [random_order(chance) for _ in range(RANDOM_ORDERS)]
    key = stage.actor("maker")
    jobs = [job([key], stage.domain(), ORDER_TYPES, message) for message in messages]
    for message, answer in zip(messages, ask(library, jobs), strict=True):
        found = "0x" + bytes(stage.house.call.hashOrder(message)).hex()
        assert found == answer["digest"]
        assert answer["signature"] == "0x" + stage.sign(message, key).hex()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", ["person", "safe"])
def test_what_an_owner_grants_counts(cast: Cast, library: str, kind: str) -> None:
    stage, desk, granted = cast.stage, cast.stage.actor("desk"), terms(maxLeverage=250)
    maker = stage.actor("maker")
    account = fund(cast, cast.safe) if kind == "safe" else stage.account(maker)
    message = {"account": account, "delegate": desk.address, **granted}
    message |= {"nonce": stage.house.call.grantNonce(account), "deadline": NEVER}
    one = job([maker], stage.domain(), GRANT_TYPES, message)
    if kind == "safe":
        keys = sorted(cast.owners[1:], key=lambda key: int(key.address, 16))
        (unsigned,) = ask(library, [one])
        consent = {"message": bytes.fromhex(unsigned["digest"][2:])}
        one = job(keys, cast.safe.domain, SAFE_MESSAGE, consent)
    (answer,) = ask(library, [one])
    signature = bytes.fromhex(answer["signature"][2:])
    stage.house.setDelegateBySig(account, desk, granted, NEVER, signature)
    assert stage.house.call.delegation(account, desk)._asdict() == granted


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_a_person_signs_is_filled(cast: Cast, library: str) -> None:
    stage, maker = cast.stage, cast.stage.actor("maker")
    sell = order(cast, stage.account(maker), -1)
    (answer,) = ask(library, [job([maker], stage.domain(), ORDER_TYPES, sell)])
    taken(cast, sell, bytes.fromhex(answer["signature"][2:]))
    assert stage.position(stage.account("taker"), ALT).size == 10**18


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_a_safe_s_owners_sign_is_filled(cast: Cast, library: str) -> None:
    """They sign the SafeMessage of the order's digest."""
    sell = order(cast, fund(cast, cast.safe), -1)
    keys = sorted(cast.owners[1:], key=lambda key: int(key.address, 16))
    message = {"message": digest(cast, sell)}
    (answer,) = ask(library, [job(keys, cast.safe.domain, SAFE_MESSAGE, message)])
    handler = cast.kit.handler
    expected = handler.call.getMessageHashForSafe(cast.safe, digest(cast, sell))
    assert answer["digest"] == "0x" + bytes(expected).hex()
    assert bytes.fromhex(answer["signature"][2:]) == cast.safe.sign(digest(cast, sell), keys)
    taken(cast, sell, bytes.fromhex(answer["signature"][2:]))


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_reporters_sign_is_a_premium(cast: Cast, library: str) -> None:
    evm = cast.stage.evm
    keys = [evm.actor(f"reporter {number}") for number in range(3)]
    oracle = evm.deploy("ReportOracle", NOBODY, keys, 2, WAD // 100, WAD // 20, 0)
    domain = report_domain(CHAIN_ID, oracle.address)
    reports = [
        {"underlying": 1, "premium": premium, "observedAt": evm.time - age}
        for premium, age in ((-(10**15), 5), (10**14, 9), (10**15, 0))
    ]
    jobs = [
        job([key], domain, REPORT_TYPES, report) for key, report in zip(keys, reports, strict=True)
    ]
    signatures = [bytes.fromhex(answer["signature"][2:]) for answer in ask(library, jobs)]
    found = oracle.call.verifyPremium(1, reports, signatures)
    assert tuple(found) == (10**14, evm.time - 9)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_wheel_s_abi_encodes_the_same_calls(library: str) -> None:
    """With structs as objects, as applications write them."""
    owner = vectors.OWNER.address
    account, bid_for = AccountId(owner, 7).encode(), AccountId(vectors.DESK.address).encode()
    message = vectors.orders()["two legs, by a delegate"].message()
    granted = vectors.grants()["with limits"].delegation.message()
    bid = {
        "account": account,
        "bidder": bid_for,
        "fraction": WAD // 4,
        "maxPrice": -(10**20),
        "deadline": vectors.EXPIRY,
        "version": 3,
    }
    calls: dict[str, tuple[Any, ...]] = {
        "deposit": (account, 0, 10**9),
        "depositPermit2": (account, 1, 10**18, 2**255, vectors.EXPIRY, bytes(65)),
        "withdraw": (account, 65_535, 2**256 - 1, owner),
        "transfer": (account, bid_for, 2, 1),
        "setDelegate": (account, owner, granted),
        "setDelegateBySig": (account, owner, granted, vectors.EXPIRY, b"\1" * 130),
        "take": (message, b"\2" * 65, account, WAD),
        "trade": (message, b"\2" * 65, message, b"", WAD),
        "cancel": (message,),
        "raiseEpoch": (account,),
        "bid": (bid,),
        "multicall": ([b"\1\2", b""],),
    }
    entries = {one["name"]: one for one in abi.load("ClearingHouse") if one["type"] == "function"}
    jobs = [
        {"entry": entries[name], "args": vectors.plain(list(args))} for name, args in calls.items()
    ]
    for (name, args), answer in zip(calls.items(), ask(library, jobs), strict=True):
        assert answer["data"] == "0x" + Entry(entries[name]).encode(args).hex(), name
