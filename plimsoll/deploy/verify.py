"""Is what stands on the chain what manifest, configuration and sources say?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from web3 import Web3

from plimsoll.config import NetworkConfig
from plimsoll.deploy.artifacts import Artifact, CompilationError, Stored, code_hash
from plimsoll.deploy.execute import Book
from plimsoll.deploy.house import (
    CORE,
    CREATED,
    PERMIT2,
    VAULT,
    House,
    Places,
    places_of,
    wired_to,
    word_of,
)
from plimsoll.deploy.preflight import Finding, Verdict
from plimsoll.deploy.roles import REPORTS, Role, duties, has_role, holders
from plimsoll.deploy.sender import Sender
from plimsoll.deploy.words import Setting, describe, difference, settings
from plimsoll.deployments import Contract, Manifest
from plimsoll.risk.params import Kind

Findings = Iterator[Finding]


@dataclass
class Verification:
    """One deployment against one chain."""

    config: NetworkConfig
    folder: Path
    sender: Sender
    rebuild: bool = True
    """Whether to run the compiler over the stored inputs: exact, offline, and slow."""
    cache: Path | None = None
    """What the compiler said of the same inputs before; none asks it again."""
    manifest: Manifest = field(init=False)
    book: Book = field(init=False)

    def __post_init__(self) -> None:
        self.manifest = Manifest.load(self.folder)
        places = Places(places_of(self.config, self.manifest))
        self.book = Book(self.sender, self.manifest.deployer, places)
        self.rebuilt: dict[str, Artifact] = {}

    def findings(self) -> Findings:
        """Everything that was compared, one by one."""
        expected = self.manifest.chain_id
        if self.sender.chain_id != expected:
            found = self.sender.chain_id
            yield _refused(f"the node is on chain {found}, the manifest is of {expected}")
            return
        checks: list[Callable[[], Findings]] = [
            self._contracts,
            self._wires,
            self._words,
            self._unknown_words,
            self._roles,
            self._seal,
            self._disabled,
        ]
        for check in checks:
            yield from check()

    def _contracts(self) -> Findings:
        expected = (*CORE, *CREATED, *((REPORTS,) if self.config.reports else ()))
        missing = [name for name in expected if name not in self.manifest.contracts]
        if missing:
            yield _refused(f"the manifest has no {', '.join(missing)}")
        for name, contract in self.manifest.contracts.items():
            yield self._runtime(name, contract)
            if self.rebuild:
                yield from self._sources(name, contract)

    def _runtime(self, name: str, contract: Contract) -> Finding:
        code = self.sender.code(contract.address)
        if not code:
            return _refused(f"{name}: there is no code at {contract.address}")
        if code_hash(code) != contract.runtime_code_hash:
            return _refused(f"{name}: the code at {contract.address} is not what was deployed")
        return _fine(f"{name} stands at {contract.address}")

    def _sources(self, name: str, contract: Contract) -> Findings:
        """Stored compiler input -> creation code -> creating transaction -> code at the address."""
        try:
            artifact = self._rebuilt(contract)
        except CompilationError as error:
            yield _refused(f"{name}: {error}")
            return
        if code_hash(artifact.creation_code) != contract.creation_code_hash:
            yield _refused(f"{name}: its sources compile to other creation code")
        elif not artifact.same_runtime(self.sender.code(contract.address)):
            yield _refused(f"{name}: its sources compile to other code than stands there")
        elif not self._created_it(artifact, contract):
            yield _refused(f"{name}: {contract.transaction} did not create it from these sources")
        else:
            yield _fine(f"{name} is what its sources compile to")

    def _rebuilt(self, contract: Contract) -> Artifact:
        name = contract.source.rpartition(":")[2]
        if name not in self.rebuilt:
            stored = Stored(self.folder, contract.compiler.partition("+")[0], self.cache)
            self.rebuilt[name] = stored.get(name)
        return self.rebuilt[name]

    def _created_it(self, artifact: Artifact, contract: Contract) -> bool:
        """Whether the transaction carried this creation code and put the contract where it is."""
        sent = self.sender.sent_data(contract.transaction)
        if contract.created_by:
            return artifact.creation_code in sent
        receipt = self.sender.receipt(contract.transaction)
        created = receipt.get("contractAddress") if receipt else None
        arguments = bytes.fromhex(contract.arguments[2:])
        return created == contract.address and sent == artifact.creation_code + arguments

    def _wires(self) -> Findings:
        token = f"token:{self.config.settlement.symbol}"
        wires = [
            ("ClearingHouse", "engine()", "MarginEngine"),
            *((creator, getter, name) for name, (creator, getter) in CREATED.items()),
            ("ClearingHouse", "SETTLEMENT_TOKEN()", token),
            ("ClearingHouse", "TRADING_MODULE()", "TradingModule"),
            ("ClearingHouse", "LIQUIDATION_MODULE()", "LiquidationModule"),
            ("ClearingHouse", "authority()", "AccessManager"),
            ("MarginEngine", "authority()", "AccessManager"),
            (VAULT, "CLEARING_HOUSE()", "ClearingHouse"),
            (VAULT, "PERMIT2()", PERMIT2),
            ("Lens", "CLEARING_HOUSE()", "ClearingHouse"),
        ]
        if self.config.reports:
            wires.append((REPORTS, "authority()", "AccessManager"))
        for contract, getter, target in wires:
            answer = self.sender.answers(self.book.where[contract], getter)
            found = Web3.to_checksum_address(answer[12:32]) if answer else "nothing"
            yield self._wire(contract, getter, found, target)
        found = wired_to(self.book, self.manifest)
        shown = Web3.to_checksum_address(found) if found else "nothing"
        yield self._wire("MarginEngine", "Wired", shown, "ClearingHouse")

    def _wire(self, contract: str, getter: str, found: str, target: str) -> Finding:
        wire = f"{contract}.{getter.removesuffix('()')}"
        if found != self.book.where[target]:
            return _refused(f"{wire} is {found}, not {target} at {self.book.where[target]}")
        return _fine(f"{wire} is {target}")

    def _words(self) -> Findings:
        """Chain against manifest, and chain against configuration."""
        for setting in self._settings():
            word = word_of(self.book, setting.kind, setting.id)
            recorded = self.manifest.parameter(setting.kind.name, setting.id)
            if recorded is None:
                yield _refused(f"{setting.title}: the manifest does not know it")
            elif word != int(recorded.word, 16):
                changes = difference(setting.kind, int(recorded.word, 16), word)
                yield _refused(f"{setting.title} changed on the chain: {'; '.join(changes)}")
            elif word != setting.word:
                changes = difference(setting.kind, word, setting.word)
                yield _refused(f"{setting.title}: the configuration says {'; '.join(changes)}")
            else:
                yield _fine(f"{setting.title}: {_shown(setting)}")

    def _settings(self) -> list[Setting]:
        return settings(self.config, self.book.where)

    def _unknown_words(self) -> Findings:
        """Parameters that were set on the chain but are not in the configuration."""
        known = {(setting.kind, setting.id) for setting in self._settings()}
        event = "ParameterAccepted(uint8,uint16,uint256,uint256)"
        logs = self.sender.logs(self.book.where["MarginEngine"], event, self.manifest.start_block)
        touched = {(Kind(log.indexed[0]), log.indexed[1]) for log in logs}
        for kind, number in sorted(touched - known):
            word = word_of(self.book, kind, number)
            if word:
                shown = "; ".join(f"{name}: {text}" for name, text in describe(kind, word).items())
                yield _refused(f"{kind.name} {number} is not in the configuration: {shown}")

    def _roles(self) -> Findings:
        for duty in duties(self.config, self.book):
            yield _refused(f"the AccessManager lacks: {duty.line}")
        rightful = set(holders(self.config, self.manifest.deployer))
        for role, holder in self._granted():
            if not has_role(self.book, role, holder):
                continue
            if (role, holder) in rightful:
                yield _fine(f"{holder} is {role.name.lower()}")
            else:
                yield _refused(f"{holder} is {role.name.lower()}, which nothing says he should be")

    def _granted(self) -> list[tuple[Role, str]]:
        """Everybody who was ever given one of our roles."""
        event = "RoleGranted(uint64,address,uint32,uint48,bool)"
        manager = self.book.where["AccessManager"]
        logs = self.sender.logs(manager, event, self.manifest.start_block)
        seen = {
            (Role(log.indexed[0]), Web3.to_checksum_address(log.indexed[1].to_bytes(20, "big")))
            for log in logs
            if log.indexed[0] in set(Role)
        }
        return sorted(seen)

    def _seal(self) -> Findings:
        sealed = House.is_sealed(self.book)
        if sealed != self.manifest.sealed:
            yield _refused(f"the chain says sealed: {sealed}, the manifest {self.manifest.sealed}")
        elif sealed:
            yield _fine("sealed: every delay binds everybody")
        else:
            yield Finding(Verdict.NOTED, "not sealed", "no deposit is possible before seal")

    def _disabled(self) -> Findings:
        for name, reason in self.config.disabled().items():
            yield Finding(Verdict.NOTED, f"{name} is disabled", reason)


def _shown(setting: Setting) -> str:
    return ", ".join(f"{name} {text}" for name, text in setting.meaning.items())


def _fine(what: str) -> Finding:
    return Finding(Verdict.FINE, what)


def _refused(what: str) -> Finding:
    return Finding(Verdict.REFUSED, what)
