"""The in-process EVM behaves like a chain where the suites rely on it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.evm import Contract, Evm, Reverted


def creation(runtime: str) -> bytes:
    """Code that deploys this runtime code."""
    size = len(runtime) // 2
    return bytes.fromhex(f"61{size:04x}80600a5f395ff3{runtime}")


def function(name: str, *kinds: str, returns: str | None = "uint256") -> dict[str, Any]:
    inputs = [{"name": f"a{number}", "type": kind} for number, kind in enumerate(kinds)]
    outputs = [{"name": "", "type": returns}] if returns else []
    return {"type": "function", "name": name, "inputs": inputs, "outputs": outputs}


# Adds one to a slot and returns what was there, in transient and in lasting storage.
TRANSIENT = {"abi": [function("bump")], "bytecode": creation("5f5c806001015f5d5f5260205ff3")}
LASTING = {"abi": [function("bump")], "bytecode": creation("5f54806001015f555f5260205ff3")}
# Returns the block's time; its number.
TIME = {"abi": [function("read")], "bytecode": creation("425f5260205ff3")}
NUMBER = {"abi": [function("read")], "bytecode": creation("435f5260205ff3")}
# Reverts with what follows the selector of the call; logs it; halts.
REVERT = {
    "abi": [
        function("fail", "bytes4", "uint256", returns=None),
        {
            "type": "error",
            "name": "Short",
            "inputs": [{"name": "left", "type": "uint256"}],
        },
    ],
    # The error's selector stands at 4, its argument at 36: copy 4 bytes, then 32, and revert.
    "bytecode": creation("60046004" + "5f37" + "60206024" + "600437" + "60245ffd"),
}
HALT = {"abi": [function("go", returns=None)], "bytecode": creation("fe")}


@pytest.fixture
def evm() -> Evm:
    return Evm()


def test_transient_storage_is_empty_in_each_transaction(evm: Evm) -> None:
    contract = evm.deploy(TRANSIENT)
    assert [contract.bump().value for _ in range(3)] == [0, 0, 0]
    assert [contract.call.bump() for _ in range(3)] == [0, 0, 0]


def test_transactions_last_and_calls_do_not(evm: Evm) -> None:
    contract = evm.deploy(LASTING)
    assert [contract.bump().value for _ in range(3)] == [0, 1, 2]
    assert [contract.call.bump() for _ in range(3)] == [3, 3, 3]
    assert evm.storage(contract, 0) == 3


def test_a_snapshot_can_be_gone_back_to_again_and_again(evm: Evm) -> None:
    contract = evm.deploy(LASTING)
    contract.bump()
    first = evm.snapshot()
    contract.bump()
    evm.warp(100)
    second = evm.snapshot()
    for _ in range(2_000):  # more often than calls may nest
        contract.bump()
        evm.revert(second)
    assert contract.call.bump() == 2
    for _ in range(3):
        evm.revert(first)
        assert contract.bump().value == 1
        evm.warp(1)
    with evm.anchored():
        contract.bump()
    assert contract.call.bump() == 2
    evm.revert(first)
    assert (evm.time, evm.block_number) == (1_772_576_000, 1)


def test_time_moves_only_when_told(evm: Evm) -> None:
    clock, height = evm.deploy(TIME), evm.deploy(NUMBER)
    start = clock.call.read()
    evm.warp(10)
    assert (clock.call.read(), height.call.read()) == (start + 10, 2)


def test_failures_carry_the_errors_name_and_values(evm: Evm) -> None:
    contract = evm.deploy(REVERT)
    selector = next(iter(s for s, e in evm.registry.errors.items() if e.name == "Short"))
    with pytest.raises(Reverted) as caught:
        contract.fail(selector, 7)
    assert (caught.value.name, caught.value.values.left, caught.value.args) == ("Short", 7, (7,))
    assert str(caught.value) == "Short(left=7)"
    with evm.reverts("Short", left=7):
        contract.fail(selector, 7)
    with evm.reverts("Short", 7):
        contract.call.fail(selector, 7)
    with pytest.raises(AssertionError), evm.reverts("Short", left=8):
        contract.fail(selector, 7)
    with evm.reverts("0xdeadbeef"):
        contract.fail("0xdeadbeef", 7)
    with evm.reverts("InvalidFEOpcode"):
        evm.deploy(HALT).go()


@pytest.mark.parametrize(("size", "fits"), [(24_576, True), (24_577, False)])
def test_the_limit_of_code_size_holds(evm: Evm, size: int, fits: bool) -> None:
    source = {"abi": [], "bytecode": bytes.fromhex(f"62{size:06x}5ff3")}
    if fits:
        assert isinstance(evm.deploy(source), Contract)
    else:
        with evm.reverts("CreateContractSizeLimit"):
            evm.deploy(source)
