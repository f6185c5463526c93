"""Who may call what, function by function, on the AccessManager."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from eth_utils.crypto import keccak

from plimsoll.config import NetworkConfig
from plimsoll.deploy.execute import Book, Step
from plimsoll.deploy.sender import Call, encode_call


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
    rightful = holders(config, book.deployer)
    return [
        role
        for role in sorted(Role, reverse=True)
        if (role, book.deployer) not in rightful
        and has_role(book, role, book.deployer)
        and all(has_role(book, role, holder) for r, holder in rightful if r == role)
    ]


def holders(config: NetworkConfig, deployer: str) -> list[tuple[Role, str]]:
    """Who shall hold each role. The governor is a guardian too."""
    roles = config.roles

    def resolved(name: str) -> str:
        return deployer if name == "deployer" else name

    return [
        (Role.ADMIN, resolved(roles.admin)),
        (Role.GOVERNOR, resolved(roles.governor)),
        (Role.GUARDIAN, resolved(roles.guardian)),
        (Role.GUARDIAN, resolved(roles.governor)),
        (Role.KEEPER, resolved(roles.keeper)),
    ]


def duties(config: NetworkConfig, book: Book) -> Iterator[Duty]:
    """What the AccessManager still lacks: grants first, so that nobody is locked out half-way."""
    for role, holder in dict.fromkeys(holders(config, book.deployer)):
        if not has_role(book, role, holder):
            data = encode_call("grantRole(uint64,address,uint32)", int(role), holder, 0)
            yield Duty(f"grant {role.name.lower()} to {holder}", data)
    for contract, by_role in FUNCTIONS.items():
        if contract == REPORTS and config.reports is None:
            continue
        for role, functions in by_role.items():
            missing = [f for f in functions if function_role(book, contract, f) != role]
            if missing:
                yield _assignment(book, contract, role, missing)


def _assignment(book: Book, contract: str, role: Role, functions: list[str]) -> Duty:
    data = encode_call(
        "setTargetFunctionRole(address,bytes4[],uint64)",
        book.where[contract],
        [selector(function) for function in functions],
        int(role),
    )
    names = ", ".join(function.partition("(")[0] for function in functions)
    return Duty(f"{contract}: {names} -> {role.name.lower()}", data)


def has_role(book: Book, role: Role, holder: str) -> bool:
    """Whether an account holds a role that it can use at once."""
    member, delay = book.read(
        "AccessManager", "hasRole(uint64,address)", int(role), holder, returns="bool,uint32"
    )
    return bool(member) and delay == 0


def function_role(book: Book, contract: str, function: str) -> int:
    return int(
        book.read(
            "AccessManager",
            "getTargetFunctionRole(address,bytes4)",
            book.where[contract],
            selector(function),
            returns="uint64",
        )
    )


def selector(function: str) -> bytes:
    return keccak(text=function)[:4]
