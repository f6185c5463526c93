"""The house as it stands on a test network: what `configure` writes, with enough markets.

Every underlying has two sources, a real Chainlink aggregator behind its proxy and Pyth, with a
deviation bound, a band and a stable price. Two of the five collaterals are yield tokens, one of
them with a market feed. A ramp of the busiest underlying and one of the busiest token are in
flight. Markets beyond those of `local.yaml` repeat its last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ape import project
from ape.api import AccountAPI

from plimsoll.config import NetworkConfig, load_config
from plimsoll.deploy import LocalDeployment, deploy_local
from plimsoll.risk.params import AssetParams, Kind, UnderlyingParams
from tests.gas.house import House, Token

MARKETS = 32
REPEATED = "LINK"
RAMPED_UNDERLYING, RAMPED_ASSET = "ETH", "WETH"
# Wide enough for the work; the width of a limit costs no gas.
ROOM = "$1,000,000,000"


def build(deployer: AccountAPI, relayer: AccountAPI) -> House:
    """Deploys, configures and seals, and starts the ramps."""
    local = deploy_local(deployer, config=_config())
    _start_ramps(local)
    settlement = local.config.settlement.symbol
    symbols = {number: symbol for symbol, number in local.underlyings.items()}
    return House(
        clearing_house=local.clearing_house,
        engine=local.engine,
        vault=project.CollateralVault.at(local.vault.address),
        settlement=_token(local, settlement, Decimal(1)),
        collateral=[_token(local, name, _worth(local, name)) for name in local.config.assets],
        prices={number: local.prices[symbol] for number, symbol in sorted(symbols.items())},
        push=lambda prices: local.push_prices({symbols[u]: p for u, p in prices.items()}),
        deployer=deployer,
        relayer=relayer,
        permit2=local.permit2,
        backstop=local.backstop,
        lend=lambda: None,  # it lends from the start
        report_surface=lambda _underlying, _slices: None,  # options are measured on simple feeds
    )


def _config() -> NetworkConfig:
    raw = load_config("local").model_dump(by_alias=True, exclude_none=True)
    raw.pop("sequencer", None)
    model = raw["underlyings"][REPEATED]
    for number in range(len(raw["underlyings"]) + 1, MARKETS + 1):
        raw["underlyings"][f"M{number}"] = _market(model, number)
    for underlying in raw["underlyings"].values():
        underlying["perpetual"]["open_interest_cap"] = ROOM
    return NetworkConfig.model_validate(raw)


def _market(model: Mapping[str, Any], number: int) -> dict[str, Any]:
    second = model["second"]
    pyth = {**second["pyth"], "feed_id": f"0x{number:064x}"}
    return {**model, "id": number, "second": {**second, "pyth": pyth}}


def _start_ramps(local: LocalDeployment) -> None:
    """Tightens one word of each kind by the least there is, which ramps for maintenance."""
    engine, governor = local.engine, local.deployer
    underlying = local.underlyings[RAMPED_UNDERLYING]
    word = engine.parameter(Kind.UNDERLYING, underlying).target
    risk = UnderlyingParams.from_word(word)
    tighter = UnderlyingParams(
        risk.range, risk.window, risk.closing + 1, risk.concentration, risk.band
    )
    engine.submit(Kind.UNDERLYING, underlying, tighter.word, sender=governor)
    asset = local.tokens[RAMPED_ASSET].asset
    terms = AssetParams.from_word(engine.parameter(Kind.ASSET, asset).target)
    raised = terms.word + (1 << 64)  # the lowest bit of the first haircut
    engine.submit(Kind.ASSET, asset, raised, sender=governor)


def _token(local: LocalDeployment, symbol: str, worth: Decimal) -> Token:
    listed = local.tokens[symbol]

    def mint(to: str, units: int) -> Any:
        return local.mint(symbol, to, Decimal(units).scaleb(-listed.decimals))

    return Token(listed.asset, listed.underlying, listed.decimals, listed.contract, mint, worth)


def _worth(local: LocalDeployment, symbol: str) -> Decimal:
    return local.prices[local.config.assets[symbol].underlying]
