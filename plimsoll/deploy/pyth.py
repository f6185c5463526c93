"""Fresh Pyth prices: fetched from Hermes, where they are signed, and put on the chain.

Pyth is pulled. A source is accepted only with a fresh price, so configuring brings prices along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from plimsoll.config import NetworkConfig, given
from plimsoll.deploy.execute import Book, Step
from plimsoll.deploy.http import ServiceError, get_json
from plimsoll.deploy.sender import Call, StepError, encode_call
from plimsoll.deploy.world import pyth_age

LATEST = "/v2/updates/price/latest"


def refresh_steps(
    config: NetworkConfig, hermes: str | None, needed: Callable[[Book], bool]
) -> Iterator[Step]:
    """One transaction with every Pyth price, unless all are fresh or nothing will read them."""
    sources = [source for source in config.feed_sources().values() if source.pyth]
    if not sources:
        return
    oldest = {given(s.pyth).feed_id: s.max_age // 2 for s in sources}

    def call(book: Book) -> Call:
        if hermes is None:
            raise StepError("Pyth's prices are stale: say where to get them, with --hermes")
        updates = signed_prices(hermes, list(oldest))
        fee = book.read("pyth", "getUpdateFee(bytes[])", updates, returns="uint256")
        return Call(book.where["pyth"], encode_call("updatePriceFeeds(bytes[])", updates), fee)

    yield Step(
        key="pyth:refresh",
        title="bring fresh prices to Pyth",
        call=call,
        done=lambda book: (
            all(pyth_age(book, feed_id) <= age for feed_id, age in oldest.items())
            or not needed(book)
        ),
    )


def signed_prices(hermes: str, feed_ids: list[str]) -> list[bytes]:
    """The latest signed update of these prices."""
    parameters = [("ids[]", feed_id) for feed_id in feed_ids] + [("encoding", "hex")]
    try:
        answer = get_json(hermes.rstrip("/") + LATEST, parameters)
        return [bytes.fromhex(update) for update in answer["binary"]["data"]]
    except (ServiceError, KeyError, TypeError, ValueError) as error:
        raise StepError(f"no prices from {hermes}: {error}") from error
