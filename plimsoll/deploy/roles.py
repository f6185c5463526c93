"""Who may call what, function by function, on the AccessManager."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from eth_utils.crypto import keccak

from plimsoll.config import NetworkConfig
from plimsoll.deploy.execute import Book, Step
from plimsoll.deploy.safe import differences as safe_differences
from plimsoll.deploy.safe import safe_address
from plimsoll.deploy.sender import Call, StepError, encode_call
from plimsoll.quantities import write_duration


class Role(IntEnum):
    """Role ids. AccessManager keeps 0 for the administrator, the largest for everybody."""

    ADMIN = 0
    GOVERNOR = 1
    GUARDIAN = 2
    KEEPER = 3


REPORTS = "ReportOracle"

FUNCTIONS: dict[str, dict[Role, tuple[str, ...]]] = {
    "MarginEngine": {
        Role.GOVERNOR: (
            "setUp(uint8,uint16,uint256)",
            "startFunding(uint16,int112)",
            "wire(address)",
            "seal()",
            "submit(uint8,uint16,uint256)",
        ),
        Role.GUARDIAN: ("revoke(uint8,uint16)",),
    },
    "ClearingHouse": {
        Role.GOVERNOR: (
            "submitEngine(address)",
            "bindBackstop(address)",
            "submitResume()",
            "submitShutdown()",
        ),
        Role.GUARDIAN: (
            "setPause(uint256,uint256)",
            "revokeEngine()",
            "revokeResume()",
            "revokeShutdown()",
        ),
    },
    REPORTS: {Role.GUARDIAN: ("removeReporter(address)",)},
}
"""Every restricted function. The governor holds the guardian's role too."""
ADMINISTRATION = (
    "labelRole(uint64,string)",
    "grantRole(uint64,address,uint32)",
    "revokeRole(uint64,address)",
    "setRoleAdmin(uint64,uint64)",
    "setRoleGuardian(uint64,uint64)",
    "setGrantDelay(uint64,uint32)",
    "setTargetFunctionRole(address,bytes4[],uint64)",
    "setTargetAdminDelay(address,uint32)",
    "setTargetClosed(address,bool)",
    "updateAuthority(address,address)",
)
"""What the AccessManager itself does for its administrator only."""


def functions_of(config: NetworkConfig) -> dict[str, dict[Role, tuple[str, ...]]]:
    """Every restricted function of a deployment."""
    left_out = [] if config.reports else [REPORTS]
    return {name: functions for name, functions in FUNCTIONS.items() if name not in left_out}


@dataclass(frozen=True)
class Grant:
    """Who shall hold a role, and how long his acts wait on the AccessManager, seconds."""

    role: Role
    holder: str
    delay: int = 0


@dataclass(frozen=True)
class Duty:
    """One change to the AccessManager."""

    line: str
    data: bytes


def role_steps(config: NetworkConfig) -> list[Step]:
    """One transaction that brings the AccessManager to what the configuration says."""

    def call(book: Book) -> Call:
        batch = [duty.data for duty in duties(config, book)]
        return Call(book.where["AccessManager"], encode_call("multicall(bytes[])", batch))

    return [
        Step(
            key="roles",
            title="give the roles, function by function",
            call=call,
            done=lambda book: not list(duties(config, book)),
            details=lambda book: [duty.line for duty in duties(config, book)],
        )
    ]


def hand_over_steps(config: NetworkConfig) -> list[Step]:
    """After the seal: the deployer keeps only what the configuration gives him."""

    def surplus(book: Book) -> list[Role]:
        if book.sender.address != book.deployer:
            return []  # only he can give up his own
        return _surplus(config, book)

    def call(book: Book) -> Call:
        if config.roles.safe and (wrong := list(safe_differences(config, book))):
            raise StepError("no role is given up to a wrong Safe: " + "; ".join(wrong))
        batch = [
            encode_call("renounceRole(uint64,address)", int(role), book.deployer)
            for role in surplus(book)
        ]
        return Call(book.where["AccessManager"], encode_call("multicall(bytes[])", batch))

    return [
        Step(
            key="hand over",
            title="give up the deployer's own roles",
            call=call,
            done=lambda book: not surplus(book),
            details=lambda book: [f"renounce {role.name.lower()}" for role in surplus(book)],
        )
    ]


def _surplus(config: NetworkConfig, book: Book) -> list[Role]:
    """Roles that the deployer should give up, once others hold them; the administrator's last."""
    rightful = holders(config, book)
    kept = {grant.role for grant in rightful if grant.holder == book.deployer}
    return [
        role
        for role in sorted(Role, reverse=True)
        if role not in kept
        and has_role(book, role, book.deployer)
        and all(holds(book, grant) for grant in rightful if grant.role == role)
    ]


def holders(config: NetworkConfig, book: Book) -> list[Grant]:
    """Who shall hold each role. The governor is a guardian too."""
    roles = config.roles

    def resolved(name: str) -> str:
        if name == "safe":
            return safe_address(config, book)
        return book.deployer if name == "deployer" else name

    return [
        Grant(Role.GOVERNOR, resolved(roles.governor)),
        Grant(Role.GUARDIAN, resolved(roles.guardian)),
        Grant(Role.GUARDIAN, resolved(roles.governor)),
        Grant(Role.KEEPER, resolved(roles.keeper)),
        Grant(Role.ADMIN, resolved(roles.admin), roles.admin_delay),
    ]


def _meanwhile(config: NetworkConfig, book: Book) -> list[Grant]:
    """Until the seal the deployer governs for a Safe: its owners need not sign the set-up."""
    sealed = book.read("MarginEngine", "isSealed()", returns="bool")
    if config.roles.governor != "safe" or sealed:
        return []
    return [Grant(Role.GOVERNOR, book.deployer)]


def duties(config: NetworkConfig, book: Book) -> Iterator[Duty]:
    """What the AccessManager still lacks: administrators last, who may have to wait from then."""
    grants = dict.fromkeys([*_meanwhile(config, book), *holders(config, book)])
    waiting = [_granting(grant) for grant in grants if not holds(book, grant)]
    yield from (duty for role, duty in waiting if role is not Role.ADMIN)
    for contract, by_role in functions_of(config).items():
        for role, functions in by_role.items():
            missing = [f for f in functions if function_role(book, contract, f) != role]
            if missing:
                yield _assignment(book, contract, role, missing)
    yield from _grant_delays(config, book)
    yield from (duty for role, duty in waiting if role is Role.ADMIN)


def _granting(grant: Grant) -> tuple[Role, Duty]:
    data = encode_call(
        "grantRole(uint64,address,uint32)", int(grant.role), grant.holder, grant.delay
    )
    after = f" after {write_duration(grant.delay)}" if grant.delay else ""
    return grant.role, Duty(f"grant {grant.role.name.lower()} to {grant.holder}{after}", data)


def _grant_delays(config: NetworkConfig, book: Book) -> Iterator[Duty]:
    wanted, told = config.roles.grant_delay, grant_delays(book)
    for role in Role:
        if told.get(role, 0) != wanted:
            data = encode_call("setGrantDelay(uint64,uint32)", int(role), wanted)
            yield Duty(f"new {role.name.lower()}s wait {write_duration(wanted)}", data)


def grant_delays(book: Book) -> dict[int, int]:
    """What was last set for each role, whether or not it is in force yet, seconds."""
    event = "RoleGrantDelayChanged(uint64,uint32,uint48)"
    logs = book.sender.logs(book.where["AccessManager"], event, book.since)
    return {log.indexed[0]: int.from_bytes(log.data[:32]) for log in logs}


def _assignment(book: Book, contract: str, role: Role, functions: list[str]) -> Duty:
    data = encode_call(
        "setTargetFunctionRole(address,bytes4[],uint64)",
        book.where[contract],
        [selector(function) for function in functions],
        int(role),
    )
    names = ", ".join(function.partition("(")[0] for function in functions)
    return Duty(f"{contract}: {names} -> {role.name.lower()}", data)


def has_role(book: Book, role: Role, holder: str, delay: int = 0) -> bool:
    """Whether an account holds a role, with just this delay: by default at once."""
    member, waits = book.read(
        "AccessManager", "hasRole(uint64,address)", int(role), holder, returns="bool,uint32"
    )
    return bool(member) and waits == delay


def holds(book: Book, grant: Grant) -> bool:
    return has_role(book, grant.role, grant.holder, grant.delay)


def function_role(book: Book, contract: str, function: str | bytes) -> int:
    """The role that a function answers to, by its signature or selector."""
    return int(
        book.read(
            "AccessManager",
            "getTargetFunctionRole(address,bytes4)",
            book.where[contract],
            function if isinstance(function, bytes) else selector(function),
            returns="uint64",
        )
    )


def selector(function: str) -> bytes:
    return keccak(text=function)[:4]
