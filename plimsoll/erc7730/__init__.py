"""ERC-7730 descriptors: how a wallet shows what it is asked to sign, in words.

    python -m plimsoll.erc7730 DEPLOYMENT FOLDER

The two files beside this one say how each call and each message reads. What differs from deployment
to deployment, its address, tokens and markets, is filled in from the manifest.
"""

import json
from importlib.resources import files
from typing import Any

from plimsoll.deployments import Manifest
from plimsoll.instruments import CASH, Instrument

CALLS = "calldata-ClearingHouse.json"
MESSAGES = "eip712-ClearingHouse.json"
_CASH_DECIMALS = 18
"""Of what a `transfer` of cash moves; deposits and withdrawals count its token's units."""


def template(name: str) -> dict[str, Any]:
    """A descriptor before it is bound to a deployment."""
    found: dict[str, Any] = json.loads((files(__name__) / name).read_text())
    return found


def descriptors(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """The descriptors of a deployment, by the names of their files."""
    calls, messages = template(CALLS), template(MESSAGES)
    place = {"chainId": manifest.chain_id, "address": manifest.address("ClearingHouse")}
    calls["context"]["contract"]["deployments"] = [place]
    messages["context"]["eip712"]["deployments"] = [place]
    for one in (calls, messages):
        one["metadata"]["enums"]["instruments"] = _instruments(manifest)
    calls["metadata"]["enums"]["units"] = _units(manifest)
    calls["metadata"]["maps"]["tokens"]["values"] = {
        str(asset.id): asset.address for asset in manifest.assets.values()
    }
    return {CALLS: calls, MESSAGES: messages}


def _instruments(manifest: Manifest) -> dict[str, str]:
    return {
        str(Instrument.perpetual(one.id).encode()): f"{name} perpetual"
        for name, one in manifest.underlyings.items()
        if one.has_perpetual
    }


def _units(manifest: Manifest) -> dict[str, str]:
    """What one of a `transfer` is: a wallet cannot choose decimals by the asset."""

    def unit(name: str, asset: int, decimals: int) -> str:
        if asset == CASH:
            return f"1e-{_CASH_DECIMALS} dollars"
        return f"1e-{decimals} {name}"

    return {str(one.id): unit(name, one.id, one.decimals) for name, one in manifest.assets.items()}
