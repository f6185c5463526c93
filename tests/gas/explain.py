"""Where the gas of a transaction goes, read from its trace: for people, no figure comes of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ape import networks

# More than a warm slot or account costs: the first touch in a transaction.
WARM = 100
QUIET = {"disableStorage": True, "disableMemory": True, "disableStack": True}
CALLS = ("CALL", "STATICCALL", "DELEGATECALL")


def where_it_goes(transaction: str, gas: int) -> dict[str, int]:
    """Gas by kind, the largest first; what no step of the trace accounts for is its envelope."""
    steps = _run_again(transaction)["structLogs"]
    parts: Counter[str] = Counter()
    for index, step in enumerate(steps):
        cost = _own_cost(steps, index)
        parts[_kind(step["op"], cost)] += cost
    envelope = gas - parts.total()
    if envelope > 0:
        parts["transaction and calldata"] = envelope
    return dict(parts.most_common())


def _run_again(transaction: str) -> dict[str, Any]:
    """The trace of the same call on the state before: the node keeps none of what it has mined."""
    ask = networks.provider.make_request
    sent = ask("eth_getTransactionByHash", [transaction])
    call = {name: sent[name] for name in ("from", "to", "value", "gas", "input")}
    trace: dict[str, Any] = ask(
        "debug_traceCall", [call, hex(int(sent["blockNumber"], 16) - 1), QUIET]
    )
    return trace


def _own_cost(steps: list[dict[str, Any]], index: int) -> int:
    """Gas of one step, without what the contract spent that it called."""
    step = steps[index]
    after = index + 1
    if after == len(steps) or steps[after]["depth"] < step["depth"]:
        return int(step["gasCost"])
    if steps[after]["depth"] == step["depth"]:
        return int(step["gas"] - steps[after]["gas"])
    back = after
    while back < len(steps) and steps[back]["depth"] > step["depth"]:
        back += 1
    if back == len(steps):
        return 0
    last = steps[back - 1]
    inside = steps[after]["gas"] - (last["gas"] - last["gasCost"])
    return int(step["gas"] - steps[back]["gas"] - inside)


def _kind(operation: str, cost: int) -> str:
    if operation == "SLOAD" and cost > WARM:
        return "slots read cold"
    if operation == "SSTORE" and cost > WARM:
        return "slots written"
    if operation in CALLS and cost > WARM:
        return "contracts called cold"
    return "events" if operation.startswith("LOG") else "computing"
