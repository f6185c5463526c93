"""Steps, and running them: each at most once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plimsoll.deploy.artifacts import Artifact
from plimsoll.deploy.journal import Journal, Mined, Sent
from plimsoll.deploy.sender import Call, Sender, StepError

Say = Callable[[str], None]


@dataclass
class Book:
    """What is known while a plan runs: who sends, and where everything stands."""

    sender: Sender
    deployer: str
    """Who began: what the configuration calls `deployer`, whoever sends now."""
    where: dict[str, str] = field(default_factory=dict)
    """Addresses by name: contracts of the house by their own, others as in `words.Where`."""
    since: int = 0
    """The block before which nothing of the deployment happened."""

    def stands(self, name: str) -> bool:
        """Whether something was deployed under this name and is still there."""
        return name in self.where and bool(self.sender.code(self.where[name]))

    def read(self, name: str, signature: str, *arguments: Any, returns: str = "") -> Any:
        return self.sender.read(self.where[name], signature, *arguments, returns=returns)


@dataclass(frozen=True)
class Step:
    """One transaction. `done` looks at the chain, so a step done by anyone is not done again."""

    key: str
    title: str
    call: Callable[[Book], Call]
    done: Callable[[Book], bool]
    details: Callable[[Book], list[str]] = lambda book: []
    """What changes, a line each, in human units."""
    creates: str | None = None
    """The name under which the contract that it creates is known."""
    artifact: Artifact | None = None
    arguments: Callable[[Book], bytes] = lambda book: b""


def create(
    name: str, artifact: Artifact, arguments: Callable[[Book], tuple[Any, ...]], title: str = ""
) -> Step:
    """Creates a contract; its arguments are checked by number and type when they are encoded."""

    def encoded(book: Book) -> bytes:
        return artifact.encode_arguments(arguments(book))

    return Step(
        key=f"create:{name}",
        title=title or f"deploy {name}",
        call=lambda book: Call(None, artifact.creation_code + encoded(book)),
        done=lambda book: book.stands(name),
        creates=name,
        artifact=artifact,
        arguments=encoded,
    )


@dataclass(frozen=True)
class Ran:
    """What a run did."""

    sent: int
    skipped: int


class Executor:
    """Runs steps in order. Writes each hash down before it is sent, and can be killed anywhere."""

    def __init__(
        self,
        book: Book,
        journal: Journal,
        on_mined: Callable[[Step, Mined], None] = lambda step, mined: None,
        say: Say = lambda line: None,
    ) -> None:
        self.book = book
        self.sender = book.sender
        self.journal = journal
        self.on_mined = on_mined
        self.say = say

    def run(self, steps: Iterable[Step]) -> Ran:
        hashes: list[str] = []
        skipped = 0
        for step in steps:
            if self._resumed(step) or not self._needed(step):
                skipped += 1
                continue
            self.say(step.title)
            hashes.append(self._conclude(step, self._send(step)).hash)
        self.sender.confirm(hashes)
        return Ran(len(hashes), skipped)

    def dry_run(self, steps: Iterable[Step]) -> list[Step]:
        """The steps that would be sent. What a missing contract hides counts as to do."""
        return [step for step in steps if not self._recorded(step) and self._needed(step)]

    def _needed(self, step: Step) -> bool:
        try:
            return not step.done(self.book)
        except KeyError:
            return True  # it needs a contract that is not there yet

    def _recorded(self, step: Step) -> bool:
        """Takes over what the journal knows to be mined."""
        mined = self.journal.mined.get(step.key)
        if mined is None or not mined.creates or not step.creates:
            return False
        self.book.where[step.creates] = mined.creates
        return self.book.stands(step.creates)

    def _resumed(self, step: Step) -> bool:
        """Finishes what an earlier run began: waits for, or replaces, what it sent."""
        if self._recorded(step):
            self.on_mined(step, self.journal.mined[step.key])
            return True
        flying = self.journal.in_flight(step.key)
        if not flying:
            return False
        self.say(f"{step.title}: finding out what became of {flying[-1].hash}")
        self._conclude(step, self._settled(step, flying))
        return True

    def _send(self, step: Step) -> Mapping[str, Any]:
        call = step.call(self.book)
        signed = self.sender.signed(call, self.sender.confirmed_nonce())
        self.journal.about_to_send(
            Sent(step.key, signed.nonce, signed.hash, self.sender.address, signed.max_fee)
        )
        self.sender.broadcast(signed)
        return self.sender.wait([signed.hash])

    def _settled(self, step: Step, flying: list[Sent]) -> Mapping[str, Any]:
        """The receipt of a transaction that was sent, or of one that takes its nonce."""
        last = flying[-1]
        if last.sender != self.sender.address:
            raise StepError(f"{step.key} was begun by {last.sender}: go on with that account")
        hashes = [sent.hash for sent in flying]
        # The nonce first: a transaction that is mined in between is then found by its receipt.
        spent = self.sender.confirmed_nonce() > last.nonce
        if any(self.sender.receipt(hash_) is not None for hash_ in hashes):
            return self.sender.wait(hashes)
        if spent:
            raise StepError(
                f"nonce {last.nonce} of {last.sender} went to a transaction that is not of this "
                f"deployment: look at {last.hash}, then remove its line from the journal"
            )
        return self.sender.wait([*hashes, self._replace(step, last)])

    def _replace(self, step: Step, last: Sent) -> str:
        signed = self.sender.signed(step.call(self.book), last.nonce, at_least=last.max_fee)
        self.journal.about_to_send(
            Sent(step.key, signed.nonce, signed.hash, self.sender.address, signed.max_fee)
        )
        self.sender.broadcast(signed)
        return signed.hash

    def _conclude(self, step: Step, receipt: Mapping[str, Any]) -> Mined:
        hash_ = receipt["transactionHash"].to_0x_hex()
        if receipt["status"] != 1:
            self.journal.failed(step.key, hash_)
            raise StepError(f"{step.title}: {hash_} was mined and reverted")
        created = None
        if step.creates:
            created = self.book.where[step.creates] = receipt["contractAddress"]
        mined = Mined(step.key, hash_, receipt["blockNumber"], receipt["gasUsed"], created)
        self.journal.was_mined(mined)
        self.on_mined(step, mined)
        return mined
