"""The whole deployment of one network: its steps, their order, and what is written down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eth_abi.abi import decode

from plimsoll.config import NetworkConfig, Reports, given
from plimsoll.deploy.artifacts import Artifact, Artifacts, code_hash
from plimsoll.deploy.execute import Book, Executor, Ran, Say, Step, create
from plimsoll.deploy.journal import JOURNAL, Journal, Mined
from plimsoll.deploy.pyth import refresh_steps
from plimsoll.deploy.roles import REPORTS, hand_over_steps, holders, role_steps
from plimsoll.deploy.safe import SAFE, known_places, safe_address, safe_steps
from plimsoll.deploy.sender import NOBODY, Call, Sender, StepError, encode_call
from plimsoll.deploy.words import PEG, Setting, difference, settings
from plimsoll.deploy.world import PERMIT2, now, pass_grace, sequencer_steps, world_steps
from plimsoll.deployments import (
    MANIFEST,
    Asset,
    Contract,
    Manifest,
    Parameter,
    Transaction,
    Underlying,
)
from plimsoll.instruments import CASH
from plimsoll.risk.params import NO_LIMIT, Kind, LendingParams, OutflowParams
from plimsoll.units import BPS, WAD

SETTLEMENT = "settlement"
DEPLOYER = "deployer"
BACKSTOP = "BackstopVault"
# Every contract in the order of deployment, with what its constructor is told, by name.
WIRING: dict[str, dict[str, str]] = {
    "AccessManager": {"initialAdmin": DEPLOYER},
    "ParameterModule": {"manager": "AccessManager"},
    "ReportModule": {"manager": "AccessManager"},
    "NormalTable": {},
    "RiskModule": {
        "manager": "AccessManager",
        "reportModule": "ReportModule",
        "normalTable": "NormalTable",
    },
    "CoverModule": {
        "manager": "AccessManager",
        "reportModule": "ReportModule",
        "normalTable": "NormalTable",
    },
    "MarginEngine": {
        "manager": "AccessManager",
        "parameterModule": "ParameterModule",
        "reportModule": "ReportModule",
        "riskModule": "RiskModule",
        "coverModule": "CoverModule",
        "normalTable": "NormalTable",
    },
    "TradingModule": {},
    "LiquidationModule": {},
    "ClearingHouse": {
        "manager": "AccessManager",
        "engine": "MarginEngine",
        "settlementToken": SETTLEMENT,
        "permit2": PERMIT2,
        "tradingModule": "TradingModule",
        "liquidationModule": "LiquidationModule",
    },
    "Lens": {"house": "ClearingHouse"},
    BACKSTOP: {"house": "ClearingHouse"},
}
CORE = tuple(WIRING)
VAULT = "CollateralVault"
# What a constructor creates: whose, and where the creator says that it is.
CREATED: dict[str, tuple[str, str]] = {
    VAULT: ("ClearingHouse", "VAULT()"),
}
PARAMETER = "(uint256,uint256,uint256,uint256,uint256)"
WIRE = "wire"
# Setting one of these makes the engine read a source, which must be fresh.
PYTH_READERS = (Kind.SOURCE, Kind.SECOND_SOURCE, Kind.PYTH_ID, Kind.SECOND_PYTH_ID)
OBSERVE = "observe"
REFRESH = "refresh"
BIND = "bind"
# What a copy of the ledger says where there is no limit.
_UNLIMITED = (1 << 256) - 1
# Cash is limited in millionths of a dollar, whatever decimals its token has.
_CASH_DECIMALS = 6


class Places(dict[str, str]):
    """Addresses by name; nobody's for what does not stand yet, so that a plan can be shown."""

    def __missing__(self, name: str) -> str:
        return NOBODY


@dataclass
class House:
    """One network's deployment, as far as it has come."""

    config: NetworkConfig
    sender: Sender
    artifacts: Artifacts
    folder: Path | None
    """Where manifest and journal are; none keeps everything in memory."""
    say: Say = lambda line: None
    book: Book = field(init=False)
    journal: Journal = field(init=False)
    manifest: Manifest = field(init=False)

    def __post_init__(self) -> None:
        path = self.folder / JOURNAL if self.folder else None
        self.journal = Journal(path, self.sender.chain_id, self.sender.genesis())
        self.manifest = self._known_manifest() or self._new_manifest()
        places = places_of(self.config, self.manifest)
        self.book = Book(self.sender, self.manifest.deployer, places, self.manifest.start_block)

    def deploy(self) -> Ran:
        """Tokens and feeds that the network lacks, then the contracts, wired."""
        sequencer = self.config.sequencer
        if sequencer and sequencer.deploy:
            self._run(list(sequencer_steps(self.config)))
            pass_grace(self.book, sequencer.grace)
        return self._run(self.deploy_steps())

    def configure(self, hermes: str | None = None) -> Ran:
        """Every parameter, a first observation of every price, and the roles.

        `hermes` is where signed Pyth prices are had; without it, they must be on the chain already.
        """
        self._require(*CORE)
        ran = self._run(self.configure_steps(hermes))
        self._write_parameters()
        return ran

    def seal(self) -> Ran:
        """Ends the time of set-up for good."""
        self._require(*CORE)
        if not self.is_sealed(self.book):
            self._check_configured()
        ran = self._run(self.seal_steps())
        self.manifest.sealed = True
        self._save()
        return ran

    def outstanding(self, steps: list[Step]) -> list[Step]:
        return self._executor().dry_run(steps)

    def deploy_steps(self) -> list[Step]:
        return [
            *world_steps(self.config, self.artifacts),
            *safe_steps(self.config),
            *self._core_steps(),
            *self._report_steps(),
            self._bind_step(),
            self._wire_step(),
        ]

    def configure_steps(self, hermes: str | None = None) -> list[Step]:
        """Before the seal every word is set at once; after it, submitted and accepted in time."""
        words = settings(self.config, Places(self.book.where))
        if self.book.stands("MarginEngine") and self.is_sealed(self.book):
            changes = [step for setting in words for step in self._change_steps(setting)]
            return [*changes, self._refresh_step()]
        return [
            *refresh_steps(self.config, hermes, self._reads_pyth(words)),
            *(self._setting_step(setting) for setting in words),
            self._refresh_step(),
            self._observe_step(),
            *role_steps(self.config),
        ]

    @staticmethod
    def _reads_pyth(words: list[Setting]) -> Callable[[Book], bool]:
        """Whether a word is still to be set that makes the engine read Pyth."""
        sources = [w for w in words if w.kind in PYTH_READERS]
        return lambda book: any(word_of(book, w.kind, w.id) != w.word for w in sources)

    def seal_steps(self) -> list[Step]:
        seal = Step(
            key="seal",
            title="seal: from here every delay binds everybody",
            call=lambda book: Call(book.where["MarginEngine"], encode_call("seal()")),
            done=self.is_sealed,
        )
        return [seal, *hand_over_steps(self.config)]

    @staticmethod
    def is_sealed(book: Book) -> bool:
        return bool(book.read("MarginEngine", "isSealed()", returns="bool"))

    def _core_steps(self) -> list[Step]:
        return [self._core_step(name) for name in CORE]

    def _core_step(self, name: str) -> Step:
        artifact, wiring = self.artifacts.get(name), self.wiring(name)

        def arguments(book: Book) -> tuple[Any, ...]:
            return artifact.in_order({key: book.where[part] for key, part in wiring.items()})

        return create(name, artifact, arguments)

    def wiring(self, name: str) -> dict[str, str]:
        """The constructor arguments of a contract: whose address each of them is."""
        settlement = f"token:{self.config.settlement.symbol}"
        return {
            argument: settlement if part == SETTLEMENT else part
            for argument, part in WIRING[name].items()
        }

    def _wire_step(self) -> Step:
        return Step(
            key=WIRE,
            title="tell the engine its ClearingHouse",
            call=lambda book: Call(
                book.where["MarginEngine"],
                encode_call("wire(address)", book.where["ClearingHouse"]),
            ),
            done=lambda book: wired_to(book, self.manifest) == book.where["ClearingHouse"].lower(),
        )

    def _report_steps(self) -> list[Step]:
        reports = self.config.reports
        if reports is None:
            return []
        artifact = self.artifacts.get(REPORTS)

        def arguments(book: Book) -> tuple[Any, ...]:
            return artifact.in_order(
                {
                    "manager": book.where["AccessManager"],
                    "reporters": reporters_of(reports, book.deployer),
                    "quorum": reports.quorum,
                    "agreement": reports.agreement * WAD // BPS,
                    "maxPremium": reports.max_premium * WAD // BPS,
                    "surfaceAgreement": reports.surface_agreement * WAD // BPS,
                }
            )

        def stands(book: Book) -> bool:
            """Terms are fixed for good: other ones need another ReportOracle."""
            known = self.manifest.contracts.get(REPORTS)
            told = "0x" + artifact.encode_arguments(arguments(book)).hex()
            return known is not None and known.arguments == told and book.stands(REPORTS)

        terms = hashlib.sha256(reports.model_dump_json().encode()).hexdigest()[:8]
        step = create(REPORTS, artifact, arguments)
        return [replace(step, key=f"{step.key}:{terms}", done=stands)]

    def _bind_step(self) -> Step:
        return Step(
            key=BIND,
            title="give the reserves to the backstop, for good",
            call=lambda book: Call(
                book.where["ClearingHouse"],
                encode_call("bindBackstop(address)", book.where[BACKSTOP]),
            ),
            done=is_bound,
        )

    def _refresh_step(self) -> Step:
        """The ledger's own copies of lending terms and limits follow the words in force."""

        def call(book: Book) -> Call:
            batch = [encode_call("refresh(uint16)", asset) for asset in stale(self.config, book)]
            return Call(book.where["ClearingHouse"], encode_call("multicall(bytes[])", batch))

        return Step(
            key=REFRESH,
            title="refresh what the ledger knows of lending terms and limits",
            call=call,
            done=lambda book: not stale(self.config, book),
            details=lambda book: [f"of asset {asset}" for asset in stale(self.config, book)],
        )

    def _setting_step(self, setting: Setting) -> Step:
        def change(book: Book) -> list[str]:
            return difference(setting.kind, word_of(book, setting.kind, setting.id), setting.word)

        return Step(
            key=f"set:{setting.kind.name}:{setting.id}",
            title=f"set {setting.title}",
            call=lambda book: Call(book.where["MarginEngine"], _changed("setUp", setting)),
            done=lambda book: word_of(book, setting.kind, setting.id) == setting.word,
            details=change,
        )

    def _change_steps(self, setting: Setting) -> list[Step]:
        """How a sealed deployment changes: by submission, and by acceptance after the delay."""

        def parameter(book: Book) -> Waiting:
            return waiting_of(book, setting.kind, setting.id)

        def change(book: Book) -> list[str]:
            return difference(setting.kind, parameter(book).target, setting.word)

        def submitted(book: Book) -> bool:
            found = parameter(book)
            waits = found.ready_at and found.submitted == setting.word
            return bool(found.target == setting.word or waits)

        def settled(book: Book) -> bool:
            found = parameter(book)
            ripe = found.submitted == setting.word and 0 < found.ready_at <= now(book)
            return found.target == setting.word or not ripe

        key = f"{setting.kind.name}:{setting.id}"
        return [
            Step(
                key=f"submit:{key}",
                title=f"submit {setting.title}",
                call=lambda book: Call(book.where["MarginEngine"], _changed("submit", setting)),
                done=submitted,
                details=change,
            ),
            Step(
                key=f"accept:{key}",
                title=f"accept {setting.title}, whose delay is over",
                call=lambda book: Call(book.where["MarginEngine"], _accepted(setting)),
                done=settled,
                details=change,
            ),
        ]

    def _observe_step(self) -> Step:
        """Confirms every price by its second source. Once: from here on anybody observes."""
        ids = [PEG, *(u.id for u in self.config.enabled_underlyings().values())]
        return Step(
            key=OBSERVE,
            title="observe every price for the first time",
            call=lambda book: Call(
                book.where["MarginEngine"], encode_call("observe(uint16[])", ids)
            ),
            done=lambda book: any(t.step == OBSERVE for t in self.manifest.transactions),
        )

    def _check_configured(self) -> None:
        """Refuses to seal what is not as the configuration says: afterwards every change waits."""
        if not is_bound(self.book):
            raise StepError("the backstop is not bound, so not sealed: run scripts/deploy.py again")
        missing = [step.title for step in self.outstanding(self.configure_steps())]
        if missing:
            raise StepError("not configured, so not sealed: " + "; ".join(missing))

    def _require(self, *names: str) -> None:
        absent = [name for name in names if not self.book.stands(name)]
        if absent:
            raise StepError(f"not deployed yet: {', '.join(absent)}; run scripts/deploy.py first")

    def _run(self, steps: list[Step]) -> Ran:
        return self._executor().run(steps)

    def _executor(self) -> Executor:
        return Executor(self.book, self.journal, self._on_mined, self.say)

    def _on_mined(self, step: Step, mined: Mined) -> None:
        """Brings the manifest up to date with every transaction, so that a kill loses nothing."""
        self._note_transaction(mined)
        if step.creates and step.artifact:
            self._note_contract(step, step.artifact, mined)
        if step.key == SAFE:
            self.manifest.support[SAFE] = self.book.where[SAFE] = safe_address(
                self.config, self.book
            )
        self._note_tokens_and_feeds()
        self._save()

    def _note_transaction(self, mined: Mined) -> None:
        if all(t.hash != mined.hash for t in self.manifest.transactions):
            entry = Transaction(step=mined.step, hash=mined.hash, block=mined.block, gas=mined.gas)
            self.manifest.transactions.append(entry)

    def _note_contract(self, step: Step, artifact: Artifact, mined: Mined) -> None:
        name = str(step.creates)
        if not artifact.is_ours:
            self.manifest.support[name] = self.book.where[name]
            return
        self.manifest.contracts[name] = self._contract(
            artifact, mined, self.book.where[name], "0x" + step.arguments(self.book).hex()
        )
        self._store(artifact)
        for created, (creator, getter) in CREATED.items():
            if creator == name:
                self._note_created(created, creator, getter, mined)

    def _note_created(self, name: str, creator: str, getter: str, mined: Mined) -> None:
        address = str(self.book.read(creator, getter, returns="address"))
        address = self.sender.w3.to_checksum_address(address)
        self.book.where[name] = address
        artifact = self.artifacts.get(name)
        # What it takes is its creator's by the same name: the manager, Permit2.
        parts = self.wiring(creator)
        told = tuple(self.book.where[parts[argument]] for argument in artifact.constructor_names)
        arguments = "0x" + artifact.encode_arguments(told).hex()
        contract = self._contract(artifact, mined, address, arguments)
        self.manifest.contracts[name] = contract.model_copy(update={"created_by": creator})
        self._store(artifact)

    def _contract(self, artifact: Artifact, mined: Mined, address: str, arguments: str) -> Contract:
        return Contract(
            address=address,
            transaction=mined.hash,
            block=mined.block,
            source=f"{artifact.source}:{artifact.name}",
            compiler=artifact.compiler,
            arguments=arguments,
            creation_code_hash=code_hash(artifact.creation_code),
            runtime_code_hash=code_hash(self.sender.code(address)),
        )

    def _store(self, artifact: Artifact) -> None:
        """Keeps interface and compiler input beside the manifest, once for each contract."""
        if self.folder is None:
            return
        _write_json(self.folder / "abi" / f"{artifact.name}.json", artifact.abi)
        if artifact.standard_json is not None:
            path = self.folder / "standard-json" / f"{artifact.name}.json"
            _write_json(path, artifact.standard_json)

    def _note_tokens_and_feeds(self) -> None:
        where, config = self.book.where, self.config
        listed = {config.settlement.symbol: (0, PEG, config.settlement.token)}
        for name, asset in config.enabled_assets().items():
            listed[name] = (asset.id, config.underlyings[asset.underlying].id, given(asset.token))
        self.manifest.assets = {
            name: Asset(
                id=number,
                address=where[f"token:{name}"],
                decimals=token.decimals,
                underlying=underlying,
                faucet=token.faucet is not None,
                cites=token.cites,
            )
            for name, (number, underlying, token) in listed.items()
            if f"token:{name}" in where
        }
        self.manifest.underlyings = {
            name: Underlying(
                id=u.id,
                feeds=self._feeds(name, u.second is not None),
                has_perpetual=bool(u.perpetual),
            )
            for name, u in config.enabled_underlyings().items()
        }

    def _feeds(self, name: str, has_second: bool) -> dict[str, str]:
        where, underlying = self.book.where, self.config.underlyings[name]
        sources = {"first": (f"feed:{name}", underlying.source)}
        if has_second:
            sources["second"] = (f"feed:{name}:second", underlying.second)
        keys = {label: "pyth" if s and s.pyth else key for label, (key, s) in sources.items()}
        return {label: where[key] for label, key in keys.items() if key in where}

    def _write_parameters(self) -> None:
        """What is on the chain now, as it was read back."""
        found = []
        for setting in settings(self.config, Places(self.book.where)):
            word = word_of(self.book, setting.kind, setting.id)
            read = Setting(setting.kind, setting.id, word, setting.name)
            found.append(
                Parameter(kind=read.kind.name, id=read.id, word=hex(word), meaning=read.meaning)
            )
        self.manifest.parameters = found
        # The governor is a guardian too; the guardian of the manifest is the one by name.
        self.manifest.roles = {
            grant.role.name.lower(): grant.holder
            for grant in reversed(holders(self.config, self.book))
        }
        self._save()

    def _known_manifest(self) -> Manifest | None:
        """An earlier run's manifest, if it is of this very chain."""
        if self.folder is None or not (self.folder / MANIFEST).is_file():
            return None
        manifest = Manifest.load(self.folder)
        own, found = manifest.chain_id, self.sender.chain_id
        if own != found:
            raise StepError(f"{self.folder} is for chain {own}, the node is on {found}")
        contracts = manifest.contracts.values()
        if contracts and not any(self.sender.code(c.address) for c in contracts):
            return None  # a local chain that was started anew
        return manifest

    def _new_manifest(self) -> Manifest:
        config = self.config
        return Manifest(
            name=config.name,
            network=config.network,
            chain_id=config.chain_id,
            deployer=self.sender.address,
            # A journal without its manifest still knows when it all began.
            start_block=min(
                [mined.block for mined in self.journal.mined.values()],
                default=self.sender.w3.eth.block_number,
            ),
            roles={},
            contracts={},
            disabled=config.disabled(),
        )

    def _save(self) -> None:
        if self.folder is not None:
            self.manifest.save(self.folder)


@dataclass(frozen=True)
class Waiting:
    """A parameter in force for new risk, and what waits to replace it."""

    target: int
    submitted: int
    ready_at: int
    """When `submitted` can be accepted, seconds; 0 when nothing waits."""


def waiting_of(book: Book, kind: Kind, number: int) -> Waiting:
    signature = "parameter(uint8,uint16)"
    found = book.read("MarginEngine", signature, int(kind), number, returns=PARAMETER)
    target, _, _, submitted, ready_at = found
    return Waiting(target, submitted, ready_at)


def word_of(book: Book, kind: Kind, number: int) -> int:
    """The parameter word in force for new risk."""
    return waiting_of(book, kind, number).target


def reporters_of(reports: Reports, deployer: str) -> list[str]:
    return [deployer if name == DEPLOYER else name for name in reports.reporters]


def is_bound(book: Book) -> bool:
    """Whether the reserves belong to the backstop of this deployment."""
    bound = book.read("ClearingHouse", "backstop()", returns="address")
    return bool(bound.lower() == book.where[BACKSTOP].lower())


def stale(config: NetworkConfig, book: Book) -> list[int]:
    """Assets whose copy in the ledger differs from the word in force; 0 stands for cash."""
    decimals = {CASH: _CASH_DECIMALS}
    decimals |= {a.id: given(a.token).decimals for a in config.enabled_assets().values()}
    found = [asset for asset, places in decimals.items() if _limit_differs(book, asset, places)]
    if CASH not in found and _lending_differs(book):
        found.insert(0, CASH)
    return sorted(found)


def _limit_differs(book: Book, asset: int, decimals: int) -> bool:
    limit = OutflowParams.from_word(word_of(book, Kind.OUTFLOW, asset)).limit
    expected = _UNLIMITED if limit == NO_LIMIT else limit * 10**decimals
    told = book.read("ClearingHouse", "outflow(uint16)", asset, returns="uint256,uint256,uint256")
    return bool(told[0] != expected)


def _lending_differs(book: Book) -> bool:
    """No view tells the terms that the ledger has copied; the last event of a refresh does."""
    event = "LendingTermsSet(uint256,uint256,uint256,uint256)"
    logs = book.sender.logs(book.where["ClearingHouse"], event, book.since)
    told = tuple(decode(["uint256"] * 4, logs[-1].data)) if logs else (0, 0, 0, 0)
    terms = LendingParams.from_word(word_of(book, Kind.LENDING, CASH))
    wanted = (terms.kink, terms.rate_at_kink, terms.rate_at_full, terms.reserve_share)
    return told != wanted


def wired_to(book: Book, manifest: Manifest) -> str:
    """The ClearingHouse that the engine was told, lower case; empty before."""
    known = next((t.block for t in manifest.transactions if t.step == WIRE), None)
    since = manifest.start_block if known is None else known
    told = book.sender.logs(book.where["MarginEngine"], "Wired(address)", since, known)
    return "0x" + told[0].data[12:].hex() if told else ""


def places_of(config: NetworkConfig, manifest: Manifest) -> dict[str, str]:
    """What the configuration says exists, and what was deployed."""
    places = {name: contract.address for name, contract in manifest.contracts.items()}
    places |= manifest.support | config.existing_feeds() | known_places(config)
    tokens = {config.settlement.symbol: config.settlement.token}
    tokens |= {name: given(asset.token) for name, asset in config.enabled_assets().items()}
    places[DEPLOYER] = manifest.deployer
    if config.permit2 is None:
        places[PERMIT2] = NOBODY
    elif config.permit2.address:
        places[PERMIT2] = config.permit2.address
    return places | {f"token:{name}": t.address for name, t in tokens.items() if t.address}


def _changed(function: str, setting: Setting) -> bytes:
    signature = f"{function}(uint8,uint16,uint256)"
    return encode_call(signature, int(setting.kind), setting.id, setting.word)


def _accepted(setting: Setting) -> bytes:
    return encode_call("accept(uint8,uint16)", int(setting.kind), setting.id)


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
