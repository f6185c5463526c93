"""The real feeds, tokens and oracles work on the in-process EVM as they do on a chain."""

from __future__ import annotations

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from plimsoll.lab import components
from tests.evm import Evm
from tests.wallets.contracts import EntryPoint, OperationFailed, Permit2, SafeKit

ZERO = "0x" + "00" * 20
PHASE = 2**64
PERMIT_TRANSFER_FROM = (
    "permitTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes)"
)
ERC1271 = bytes.fromhex("1626ba7e")

# Where Permit2 is on the public chains, and the deployer and salt that put it there.
CREATE2_DEPLOYER = "4e59b44847b379578588920cA78FbF26c0B4956C"
PERMIT2_SALT = 0xD3AF2663DA51C10215000000
PERMIT2_ADDRESS = "0x000000000022D473030F116dDEE9F6B43aC78BA3"


@pytest.fixture
def evm() -> Evm:
    return Evm()


def test_wrapped_ether(evm: Evm) -> None:
    user = evm.actor("user")
    weth = evm.deploy(components.weth9())
    weth.deposit(sender=user, value=5)
    assert (weth.call.balanceOf(user), evm.balance(weth)) == (5, 5)


def test_the_median_of_three_oracles_is_read_through_the_proxy(evm: Evm) -> None:
    oracles = [evm.actor(f"oracle {number}") for number in range(3)]
    link = evm.deploy(components.link_token())
    arguments = (link, 0, 3_600, ZERO, 1, 10**16, 8, "ETH / USD")
    feed = evm.deploy(components.chainlink_aggregator(), *arguments)
    feed.changeOracles([], oracles, oracles, 3, 3, 0)
    proxy = evm.deploy(components.chainlink_proxy(), feed, ZERO)
    for oracle, price in zip(oracles, (1_990, 2_010, 2_000), strict=True):
        feed.submit(1, price * 10**8, sender=oracle)
    answer = proxy.call.latestRoundData()
    assert (answer.answer, answer.roundId, answer.updatedAt) == (2_000 * 10**8, PHASE + 1, evm.time)
    assert (proxy.call.decimals(), proxy.call.description()) == (8, "ETH / USD")
    with evm.reverts("Error", "value below minSubmissionValue"):
        feed.submit(2, 0, sender=oracles[0])


def test_the_sequencer_goes_down_and_comes_back(evm: Evm) -> None:
    sender = evm.actor("layer 1 sender")
    messenger = evm.deploy(components.l2_messenger(), sender)
    feed = evm.deploy(components.sequencer_uptime_feed(), sender, messenger, False)
    assert feed.call.latestRoundData().answer == 0
    evm.warp(60)
    down_at = evm.time
    messenger.sendMessage(feed, feed.encode("updateStatus", True, down_at), 0)
    assert (feed.call.latestRoundData().answer, feed.call.latestRoundData().startedAt) == (
        1,
        down_at,
    )
    evm.warp(60)
    messenger.sendMessage(feed, feed.encode("updateStatus", False, evm.time), 0)
    assert (feed.call.latestRoundData().answer, feed.call.latestRoundData().startedAt) == (
        0,
        evm.time,
    )
    with evm.reverts("InvalidSender"):
        feed.updateStatus(True, evm.time)


def test_pyth_prices_are_pulled(evm: Evm) -> None:
    pyth = evm.deploy(components.mock_pyth(), 60, 1)
    feed = bytes.fromhex("ff" * 32)
    price = (feed, 2_000 * 10**8, 10**8, -8, 2_000 * 10**8, 10**8, evm.time, evm.time - 1)
    data = pyth.call.createPriceFeedUpdateData(*price)
    fee = pyth.call.getUpdateFee([data])
    pyth.updatePriceFeeds([data], value=fee)
    read = pyth.call.getPriceNoOlderThan(feed, 60)
    assert (read.price, read.conf, read.expo, read.publishTime) == (
        2_000 * 10**8,
        10**8,
        -8,
        evm.time,
    )
    with evm.reverts("InsufficientFee"):
        pyth.updatePriceFeeds([data])


def test_a_token_takes_its_fee(evm: Evm) -> None:
    owner, user = evm.actor("owner"), evm.actor("user")
    token = evm.deploy(components.weird_erc20("TransferFee"), 1_000, 10, sender=owner)
    token.transfer(user, 100, sender=owner)
    assert token.call.balanceOf(user) == 90


def test_an_unknown_token_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="TransferFee"):
        components.weird_erc20("Nonesuch")


def test_permit2_is_that_of_the_public_chains() -> None:
    code = bytes.fromhex(components.permit2()["bytecode"][2:])
    seed = bytes.fromhex(CREATE2_DEPLOYER) + PERMIT2_SALT.to_bytes(32) + keccak(code)
    assert to_checksum_address(keccak(b"\xff" + seed)[12:]) == PERMIT2_ADDRESS


def test_permit2_moves_what_was_signed_once(evm: Evm) -> None:
    owner, spender, stranger = evm.actor("owner"), evm.actor("spender"), evm.actor("stranger")
    token = evm.deploy("FaucetToken", "Dollar", "USD", 6, 100, owner, sender=owner)
    token.mint(owner, 100, sender=owner)
    permit2 = Permit2.deploy(evm)
    token.approve(permit2, 2**256 - 1, sender=owner)
    signature = permit2.sign(owner, token, 60, spender, 7, evm.time)
    call = (((token, 60), 7, evm.time), (spender, 50), owner, signature)
    move = permit2.contract[PERMIT_TRANSFER_FROM]
    with evm.reverts("InvalidSigner"):
        move(*call, sender=stranger)
    move(*call, sender=spender)
    assert token.call.balanceOf(spender) == 50
    with evm.reverts("InvalidNonce"):
        move(*call, sender=spender)


def test_two_owners_of_a_safe_act_and_sign(evm: Evm) -> None:
    owners = [evm.actor(f"owner {number}") for number in range(3)]
    safe = SafeKit(evm).make(owners, 2)
    token = evm.deploy("FaucetToken", "Dollar", "USD", 6, 100, owners[0], sender=owners[0])
    token.mint(safe, 100, sender=owners[0])
    safe.batch(
        (token, token.encode("transfer", owners[1], 10)),
        (token, token.encode("transfer", owners[2], 20)),
    )
    safe.execute(token, "transfer", owners[0], 30)
    assert [token.call.balanceOf(one) for one in (*owners, safe)] == [30, 10, 20, 40]
    with evm.reverts("Error", "GS020"):
        safe.send(token, token.encode("transfer", owners[0], 1), signers=owners[:1])

    digest = keccak(text="an order")
    wallet = evm.at(safe.address, components.safe_fallback_handler())
    assert wallet.call["isValidSignature"](digest, safe.sign(digest)) == ERC1271
    with evm.reverts("Error", "GS026"):
        wallet.call["isValidSignature"](keccak(text="another"), safe.sign(digest))


def test_an_operation_makes_an_account_and_acts_for_it(evm: Evm) -> None:
    owner, stranger = evm.actor("owner"), evm.actor("stranger")
    entry = EntryPoint(evm)
    account = entry.make(owner)
    assert account.contract.call.owner() == owner.address
    token = evm.deploy("FaucetToken", "Dollar", "USD", 6, 100, owner, sender=owner)
    token.mint(account, 100, sender=owner)
    account.execute(token, "transfer", stranger, 40)
    assert token.call.balanceOf(stranger) == 40
    with pytest.raises(OperationFailed):
        account.execute(token, "transfer", stranger, 61)

    account.owner = stranger
    with evm.reverts("FailedOp", reason="AA24 signature error"):
        account.execute(token, "transfer", stranger, 1)
