"""The real feeds, tokens and oracles work on the in-process EVM as they do on a chain."""

from __future__ import annotations

import pytest

from plimsoll.lab import components
from tests.evm import Evm

ZERO = "0x" + "00" * 20
PHASE = 2**64


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
