"""Everything that can be checked before the first transaction, all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak
from web3 import Web3

from plimsoll import quantities as q
from plimsoll.config import Feed, NetworkConfig, RateMarket, Source, Token, Underlying, given
from plimsoll.deploy.artifacts import code_hash
from plimsoll.deploy.house import CORE, House
from plimsoll.deploy.listing import Behaviour, behaviour_on_fork, rebasing_functions
from plimsoll.deploy.roles import REPORTS
from plimsoll.deploy.safe import CODE, CONTRACTS, VERSION, known_places
from plimsoll.deploy.safe import differences as safe_differences
from plimsoll.deploy.sender import Sender
from plimsoll.deploy.world import now, pyth_age
from plimsoll.units import from_units, from_wad

# EIP-170 and EIP-3860.
MOST_CODE = 24_576
MOST_CREATION_CODE = 49_152
_ROUND = ("uint80", "int256", "uint256", "uint256", "uint80")


class Verdict(Enum):
    """How a check went."""

    FINE = "ok"
    NOTED = "note"
    REFUSED = "no"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    what: str
    fix: str = ""


Check = Iterator[Finding]


def preflight(house: House) -> list[Finding]:
    """Looks at chain, account, code, tokens, feeds and parameters. Sends nothing that stays."""
    config, sender = house.config, house.sender
    findings = [_chain(config, sender)]
    if findings[0].verdict is Verdict.REFUSED:
        return findings  # whatever else this chain says is about another network
    checks: list[Check] = [
        _balance(config, sender),
        _sizes(house),
        _arguments(house),
        _governance(house),
        *(_token(house, name, token) for name, token in tokens(config).items()),
        *(_source(house, name, source) for name, source in config.feed_sources().items()),
        *(_rounds(house, n, u) for n, u in config.enabled_underlyings().items() if u.volatility),
        *(_market(house, n, a.market) for n, a in config.enabled_assets().items() if a.market),
        _permit2(house),
        _standing(house),
    ]
    for check in checks:
        findings += check
    return findings


def refused(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.verdict is Verdict.REFUSED]


def tokens(config: NetworkConfig) -> dict[str, Token]:
    found = {config.settlement.symbol: config.settlement.token}
    return found | {name: given(a.token) for name, a in config.enabled_assets().items()}


def _chain(config: NetworkConfig, sender: Sender) -> Finding:
    if sender.chain_id != config.chain_id:
        return Finding(
            Verdict.REFUSED,
            f"the node is on chain {sender.chain_id}, {config.name} is {config.chain_id}",
            f"connect to {config.network}, or choose its configuration",
        )
    return Finding(Verdict.FINE, f"chain {sender.chain_id} is {config.name}")


def _balance(config: NetworkConfig, sender: Sender) -> Check:
    balance, least = sender.balance(), config.least_balance_wei()
    held = f"{sender.address} has {Web3.from_wei(balance, 'ether')} ether"
    if balance < least:
        yield Finding(Verdict.REFUSED, held, f"it needs {config.least_balance}")
    else:
        yield Finding(Verdict.FINE, held)


def _sizes(house: House) -> Check:
    """A contract that is too large would fail only after the others were paid for."""
    reports = [REPORTS] if house.config.reports else []
    for name in (*CORE, *reports):
        artifact = house.artifacts.get(name)
        code, creation = len(artifact.runtime_code), len(artifact.creation_code)
        if code > MOST_CODE or creation > MOST_CREATION_CODE:
            yield Finding(
                Verdict.REFUSED,
                f"{name} has {code:,} bytes of code and {creation:,} of creation code",
                f"the chain takes {MOST_CODE:,} and {MOST_CREATION_CODE:,}",
            )
        else:
            yield Finding(Verdict.FINE, f"{name}: {code:,} of {MOST_CODE:,} bytes")


def _arguments(house: House) -> Check:
    """Constructor arguments by name and type, before they are encoded by place."""
    for name in CORE:
        artifact, told = house.artifacts.get(name), list(house.wiring(name))
        if sorted(artifact.constructor_names) != sorted(told):
            yield Finding(
                Verdict.REFUSED,
                f"{name} takes {artifact.constructor_names}, and would be told {told}",
                "bring WIRING in plimsoll/deploy/house.py up to date",
            )
        elif wrong := [kind for kind in artifact.constructor_types if kind != "address"]:
            yield Finding(Verdict.REFUSED, f"{name} takes {wrong}, and would be told addresses")
        else:
            yield Finding(Verdict.FINE, f"{name}({', '.join(artifact.constructor_names)})")


def _governance(house: House) -> Check:
    """A Safe, or what makes one, that is not what it should be would be given every role."""
    config, sender = house.config, house.sender
    for name, address in known_places(config).items():
        found = code_hash(sender.code(address))
        if name in CODE and found != CODE[name]:
            yield Finding(
                Verdict.REFUSED, f"{name}: at {address} is not {CONTRACTS[name]}", "fix the address"
            )
        elif name in CODE:
            yield Finding(Verdict.FINE, f"{name} is {CONTRACTS[name]} {VERSION}")
    if config.roles.safe and config.roles.safe.address:
        wrong = list(safe_differences(config, house.book))
        yield from (Finding(Verdict.REFUSED, line, "fix roles.safe") for line in wrong)
        if not wrong:
            yield Finding(Verdict.FINE, f"the Safe at {config.roles.safe.address} is as configured")


def _token(house: House, symbol: str, token: Token) -> Check:
    if token.address is None:
        yield Finding(Verdict.FINE, f"token {symbol} is deployed here")
        return
    sender = house.sender
    if not sender.code(token.address):
        yield Finding(Verdict.REFUSED, f"token {symbol}: no code at {token.address}", "fix it")
        return
    yield _decimals(sender, f"token {symbol}", token.address, token.decimals)
    suspicious = rebasing_functions(sender, token.address)
    if suspicious:
        yield Finding(
            Verdict.REFUSED,
            f"token {symbol} answers {', '.join(suspicious)}: it rebases",
            "list its wrapped form, whose balances stand still",
        )
        return
    yield _behaviour(symbol, behaviour_on_fork(sender, token.address, 10**token.decimals))


def _behaviour(symbol: str, seen: Behaviour | None) -> Finding:
    if seen is None:
        return Finding(
            Verdict.NOTED,
            f"token {symbol}: transfers and standing balances can be tried on a fork only",
            "what the configuration declares is taken for granted",
        )
    if not seen.stands_still:
        return Finding(
            Verdict.REFUSED, f"token {symbol}: a balance changed by itself", "it rebases"
        )
    if not seen.moves_exactly:
        return Finding(
            Verdict.NOTED, f"token {symbol} keeps a fee", "deposits are credited with what arrives"
        )
    return Finding(Verdict.FINE, f"token {symbol} moves exactly and stands still")


def _source(house: House, name: str, source: Source) -> Check:
    if source.pyth:
        yield from _pyth(house, name, source)
    else:
        yield from _chainlink(house, name, given(source.chainlink), source)


def _market(house: House, name: str, market: RateMarket) -> Check:
    yield from _chainlink(house, f"{name} market", market, None)


def _chainlink(house: House, name: str, feed: Feed, source: Source | None) -> Check:
    if feed.address is None:
        yield Finding(Verdict.FINE, f"feed {name} is deployed here")
        return
    sender = house.sender
    if not sender.code(feed.address):
        yield Finding(Verdict.REFUSED, f"feed {name}: no code at {feed.address}", "fix the address")
        return
    yield _decimals(sender, f"feed {name}", feed.address, feed.decimals)
    yield _description(sender, name, feed)
    yield from _answer(house, name, feed, source)


def _decimals(sender: Sender, what: str, address: str, pinned: int) -> Finding:
    reported = _number(sender, address, "decimals()")
    if reported != pinned:
        return Finding(
            Verdict.REFUSED,
            f"{what} at {address} has {_or_none(reported)} decimals, not {pinned}",
            "fix decimals, or the address",
        )
    return Finding(Verdict.FINE, f"{what} has {pinned} decimals")


def _description(sender: Sender, name: str, feed: Feed) -> Finding:
    described = _text(sender, given(feed.address), "description()")
    if described != feed.description:
        return Finding(
            Verdict.REFUSED,
            f"feed {name} at {feed.address} calls itself {described!r}, not {feed.description!r}",
            "fix description, or the address",
        )
    return Finding(Verdict.FINE, f"feed {name} calls itself {described}")


def _answer(house: House, name: str, feed: Feed, source: Source | None) -> Check:
    told = _round(house, given(feed.address), "latestRoundData()")
    if told is None:
        yield Finding(Verdict.REFUSED, f"feed {name} gives no answer", "choose another feed")
        return
    _, answer, _, updated, _ = told
    price = int(from_units(answer, feed.decimals).scaleb(18))
    if source and not 1 << source.floor <= price < 1 << source.ceiling:
        yield Finding(
            Verdict.REFUSED,
            f"feed {name} says {q.write_price(price)}",
            f"outside {q.write_price(source.at_least)} to {q.write_price(source.at_most)}",
        )
        return
    age = now(house.book) - updated
    if age > feed.max_age:
        yield Finding(
            Verdict.REFUSED,
            f"feed {name} is {q.write_duration(age)} old",
            f"max_age is {q.write_duration(feed.max_age)}: wait for its next answer, or raise it",
        )
        return
    yield Finding(Verdict.FINE, f"feed {name}: {from_wad(price):,f}, {age} s old")


def _rounds(house: House, name: str, underlying: Underlying) -> Check:
    """A gauge follows rounds by their numbers: the feed must keep them apart. What else is wrong
    with it is told of it as a source."""
    feeds = (s.chainlink for s in (underlying.source, underlying.second) if s and s.chainlink)
    address = next(feeds).address
    latest = _round(house, address, "latestRoundData()") if address else None
    if latest is None:
        return
    # Phases count their rounds from one.
    zero = _round(house, given(address), "getRoundData(uint80)", latest[0] >> 64 << 64)
    if zero is not None and zero[3] != 0:
        yield Finding(
            Verdict.REFUSED,
            f"feed {name} has a round zero: it does not tell its rounds apart",
            "choose another feed, or leave volatility away",
        )
    elif _round(house, given(address), "getRoundData(uint80)", latest[0]) is None:
        yield Finding(
            Verdict.REFUSED,
            f"feed {name} does not tell its rounds by number",
            "choose another feed, or leave volatility away",
        )
    else:
        yield Finding(Verdict.FINE, f"feed {name} tells its rounds apart")


def _round(house: House, address: str, signature: str, *numbers: int) -> tuple[int, ...] | None:
    raw = house.sender.answers(address, signature, *numbers)
    return None if raw is None or len(raw) < 32 * len(_ROUND) else decode(_ROUND, raw)


def _pyth(house: House, name: str, source: Source) -> Check:
    pyth, feed = house.config.pyth, given(source.pyth)
    if pyth is None or pyth.address is None:
        yield Finding(Verdict.FINE, f"feed {name} is deployed here")
        return
    if not house.sender.code(pyth.address):
        yield Finding(Verdict.REFUSED, f"Pyth: no code at {pyth.address}", "fix the address")
        return
    age = pyth_age(house.book, feed.feed_id)
    if age == float("inf"):
        yield Finding(
            Verdict.NOTED, f"Pyth has no price {name} yet", "configure brings it, with --hermes"
        )
        return
    exponent = -_pyth_exponent(house.sender, pyth.address, feed.feed_id)
    if exponent != feed.decimals:
        yield Finding(
            Verdict.REFUSED, f"Pyth's {name} has {exponent} decimals, not {feed.decimals}", "fix it"
        )
        return
    stale = age > feed.max_age
    fix = "configure refreshes it, with --hermes" if stale else ""
    what = f"Pyth's {name} is {q.write_duration(int(age))} old"
    yield Finding(Verdict.NOTED if stale else Verdict.FINE, what, fix)


def _pyth_exponent(sender: Sender, pyth: str, feed_id: str) -> int:
    price = sender.read(
        pyth,
        "getPriceUnsafe(bytes32)",
        bytes.fromhex(feed_id[2:]),
        returns="int64,uint64,int32,uint256",
    )
    return int(price[2])


def _permit2(house: House) -> Check:
    """What is told to the vault is told for good: it must be there, and answer as Permit2 does."""
    permit2 = house.config.permit2
    if permit2 is None:
        yield Finding(Verdict.NOTED, "no Permit2", "people pay in by approving the vault")
    elif permit2.address is None:
        yield Finding(Verdict.FINE, "Permit2 is deployed here")
    elif not house.sender.code(permit2.address):
        yield Finding(Verdict.REFUSED, f"Permit2: no code at {permit2.address}", "fix the address")
    elif house.sender.answers(permit2.address, "DOMAIN_SEPARATOR()") != _permit2_domain(house):
        yield Finding(Verdict.REFUSED, f"{permit2.address} is no Permit2", "fix the address")
    else:
        yield Finding(Verdict.FINE, f"Permit2 stands at {permit2.address}")


def _permit2_domain(house: House) -> bytes:
    """Its code holds the chain's id and its own address, so no hash of it serves every chain."""
    domain = keccak(text="EIP712Domain(string name,uint256 chainId,address verifyingContract)")
    parts = (domain, keccak(text="Permit2"), house.sender.chain_id)
    address = given(given(house.config.permit2).address)
    return keccak(encode(["bytes32", "bytes32", "uint256", "address"], [*parts, address]))


def _standing(house: House) -> Check:
    """What earlier runs deployed, and whether it is still there."""
    for name, contract in house.manifest.contracts.items():
        code = house.sender.code(contract.address)
        if not code:
            yield Finding(
                Verdict.REFUSED,
                f"{name} should stand at {contract.address}, but there is no code",
                "this is another chain, or its history was rewritten",
            )
        elif "0x" + keccak(code).hex() != contract.runtime_code_hash:
            yield Finding(
                Verdict.REFUSED, f"{name} at {contract.address} has other code", "run verify"
            )
        else:
            yield Finding(Verdict.FINE, f"{name} stands at {contract.address}")


def _number(sender: Sender, address: str, signature: str) -> int | None:
    answer = sender.answers(address, signature)
    return int.from_bytes(answer[:32], "big") if answer else None


def _text(sender: Sender, address: str, signature: str) -> str | None:
    answer = sender.answers(address, signature)
    try:
        return str(decode(["string"], answer)[0]) if answer else None
    except DecodingError:
        return None


def _or_none(number: int | None) -> str:
    return "no" if number is None else str(number)
