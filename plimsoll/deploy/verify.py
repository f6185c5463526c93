"""Is what stands on the chain what manifest, configuration and sources say?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from web3 import Web3

from plimsoll import abi, deployments
from plimsoll.config import NetworkConfig
from plimsoll.deploy.artifacts import Artifact, CompilationError, Stored, code_hash
from plimsoll.deploy.execute import Book
from plimsoll.deploy.house import (
    BACKSTOP,
    CORE,
    CREATED,
    VAULT,
    House,
    Places,
    places_of,
    reporters_of,
    stale,
    wired_to,
    word_of,
)
from plimsoll.deploy.preflight import Finding, Verdict
from plimsoll.deploy.roles import (
    ADMINISTRATION,
    REPORTS,
    Role,
    duties,
    function_role,
    functions_of,
    holders,
    holds,
    selector,
)
from plimsoll.deploy.safe import differences as safe_differences
from plimsoll.deploy.safe import safe_address
from plimsoll.deploy.sender import Call, Sender
from plimsoll.deploy.words import Setting, describe, difference, settings
from plimsoll.deploy.world import PERMIT2
from plimsoll.deployments import Contract, Manifest
from plimsoll.errors import ContractError
from plimsoll.quantities import write_duration
from plimsoll.risk.params import Kind
from plimsoll.units import BPS, WAD

Findings = Iterator[Finding]

_CHANGES = ("nonpayable", "payable")
# Zeros stand for any arguments: a dynamic one is then empty, and begins where they begin.
_ZEROS = bytes(32 * 8)
# How contract and manager turn somebody away.
_UNAUTHORISED = (
    selector("AccessManagedUnauthorized(address)"),
    selector("AccessManagerUnauthorizedAccount(address,uint64)"),
)


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
        self.book = Book(self.sender, self.manifest.deployer, places, self.manifest.start_block)
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
            self._reports,
            self._words,
            self._copies,
            self._unknown_words,
            self._roles,
            self._safe,
            self._deployer,
            self._seal,
            self._disabled,
        ]
        for check in checks:
            yield from check()

    def _contracts(self) -> Findings:
        needed = (*CORE, *CREATED, *([REPORTS] if self.config.reports else []))
        missing = [name for name in needed if name not in self.manifest.contracts]
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
            ("MarginEngine", "PARAMETER_MODULE()", "ParameterModule"),
            ("MarginEngine", "REPORT_MODULE()", "ReportModule"),
            ("MarginEngine", "RISK_MODULE()", "RiskModule"),
            ("MarginEngine", "COVER_MODULE()", "CoverModule"),
            ("MarginEngine", "NORMAL_TABLE()", "NormalTable"),
            ("ClearingHouse", "SETTLEMENT_TOKEN()", token),
            ("ClearingHouse", "TRADING_MODULE()", "TradingModule"),
            ("ClearingHouse", "LIQUIDATION_MODULE()", "LiquidationModule"),
            ("ClearingHouse", "authority()", "AccessManager"),
            ("MarginEngine", "authority()", "AccessManager"),
            (VAULT, "CLEARING_HOUSE()", "ClearingHouse"),
            (VAULT, "PERMIT2()", PERMIT2),
            ("Lens", "CLEARING_HOUSE()", "ClearingHouse"),
            ("ClearingHouse", "backstop()", BACKSTOP),
            (BACKSTOP, "CLEARING_HOUSE()", "ClearingHouse"),
            (BACKSTOP, "asset()", token),
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

    def _reports(self) -> Findings:
        """The terms of the ReportOracle never change; reporters can be taken away."""
        reports = self.config.reports
        if reports is None:
            return
        read = self.book.read
        terms = {
            "QUORUM": reports.quorum,
            "AGREEMENT": reports.agreement * WAD // BPS,
            "MAX_PREMIUM": reports.max_premium * WAD // BPS,
            "SURFACE_AGREEMENT": reports.surface_agreement * WAD // BPS,
        }
        for name, wanted in terms.items():
            found = read(REPORTS, f"{name}()", returns="uint256")
            if found != wanted:
                yield _refused(f"{REPORTS}.{name} is {found}, not {wanted}")
        told = read(REPORTS, "reporters()", returns="address[]")
        living: set[str] = {Web3.to_checksum_address(reporter) for reporter in told}
        named = set(reporters_of(reports, self.manifest.deployer))
        for reporter in sorted(living - named):
            yield _refused(f"{reporter} reports, which the configuration does not say")
        for reporter in sorted(named - living):
            yield _refused(f"{reporter} reports no more")
        if living == named:
            yield _fine(f"{reports.quorum} of {len(named)} reporters agree on premiums")

    def _copies(self) -> Findings:
        """The ledger's copies of words: anybody refreshes them."""
        found = stale(self.config, self.book)
        for asset in found:
            yield _refused(f"the ledger's terms of asset {asset} are not those in force: refresh")
        if not found:
            yield _fine("the ledger knows lending terms and limits as they are in force")

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
        rightful = {(grant.role, grant.holder): grant for grant in holders(self.config, self.book)}
        for role, holder in self._members():
            named = Role(role).name.lower() if role in set(Role) else f"in role {role}"
            if (Role(role) if role in set(Role) else role, holder) not in rightful:
                yield _refused(f"{holder} is {named}, which nothing says he should be")
            elif holds(self.book, grant := rightful[Role(role), holder]):
                after = f" after {write_duration(grant.delay)}" if grant.delay else ""
                yield _fine(f"{holder} is {named}{after}")

    def _members(self) -> list[tuple[int, str]]:
        """Everybody who was ever given a role, whichever, and has it or will have it."""
        event = "RoleGranted(uint64,address,uint32,uint48,bool)"
        logs = self.sender.logs(self.book.where["AccessManager"], event, self.manifest.start_block)
        seen: set[tuple[int, str]] = {
            (log.indexed[0], Web3.to_checksum_address(log.indexed[1].to_bytes(20, "big")))
            for log in logs
        }
        # The manager's constructor grants its first administrator.
        seen.add((int(Role.ADMIN), self.manifest.deployer))
        return [pair for pair in sorted(seen) if self._since(*pair)]

    def _since(self, role: int, holder: str) -> int:
        signature, returns = "getAccess(uint64,address)", "uint48,uint32,uint32,uint48"
        return int(self.book.read("AccessManager", signature, role, holder, returns=returns)[0])

    def _safe(self) -> Findings:
        if self.config.roles.safe is None:
            return
        wrong = list(safe_differences(self.config, self.book))
        yield from (_refused(line) for line in wrong)
        if not wrong:
            safe = self.config.roles.safe
            address = safe_address(self.config, self.book)
            yield _fine(f"the Safe at {address}: {safe.threshold} of {len(safe.owners)} owners")

    def _deployer(self) -> Findings:
        """Nothing that is restricted answers to the deployer, but what his roles allow."""
        deployer = self.manifest.deployer
        allowed = {g.role for g in holders(self.config, self.book) if g.holder == deployer}
        refused = 0
        for contract, selector_, name in self._restrictable():
            role = function_role(self.book, contract, selector_)
            if role in allowed:
                continue
            if self._can_call(deployer, contract, selector_):
                yield _refused(f"the AccessManager lets the deployer call {contract}.{name}")
            else:
                refused += 1
        for contract, data, name in self._restricted(allowed):
            error = self.sender.refusal(Call(self.book.where[contract], data), deployer)
            if isinstance(error, ContractError) and error.data[:4] in _UNAUTHORISED:
                refused += 1
                continue
            why = error or "it passes"
            yield _refused(f"{contract}.{name} does not turn the deployer away: {why}")
        yield _fine(f"{refused} attempts by the deployer at what is restricted are refused")

    def _restrictable(self) -> Iterator[tuple[str, bytes, str]]:
        """Every function that changes something, of every contract that asks the AccessManager."""
        abis = dict(deployments.abis(self.folder))
        for contract, recorded in self.manifest.contracts.items():
            entries = abis.get(recorded.source.rpartition(":")[2], [])
            if all(entry.get("name") != "authority" for entry in entries):
                continue
            for entry in entries:
                if entry["type"] == "function" and entry["stateMutability"] in _CHANGES:
                    yield contract, selector(abi.signature(entry)), entry["name"]

    def _restricted(self, allowed: set[Role]) -> Iterator[tuple[str, bytes, str]]:
        """A call of every restricted function, all of its arguments zero."""
        for contract, by_role in functions_of(self.config).items():
            for role, functions in by_role.items():
                if role not in allowed:
                    yield from ((contract, selector(f) + _ZEROS, _name(f)) for f in functions)
        if Role.ADMIN not in allowed:
            yield from (("AccessManager", selector(f) + _ZEROS, _name(f)) for f in ADMINISTRATION)

    def _can_call(self, caller: str, contract: str, selector_: bytes) -> bool:
        """Whether at once or after a delay."""
        at_once, delay = self.book.read(
            "AccessManager",
            "canCall(address,address,bytes4)",
            caller,
            self.book.where[contract],
            selector_,
            returns="bool,uint32",
        )
        return bool(at_once) or delay > 0

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


def _name(function: str) -> str:
    return function.partition("(")[0]
