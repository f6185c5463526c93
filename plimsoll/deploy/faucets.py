"""Giving away tokens of a local deployment, and moving what yield tokens redeem for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from plimsoll.units import WAD, Amount, to_wad_exact

if TYPE_CHECKING:
    from ape.api import ReceiptAPI

    from plimsoll.deploy.local import LocalDeployment, LocalToken

_MAX = 2**256 - 1


def mint(house: LocalDeployment, token: LocalToken, to: str, amount: Amount) -> int:
    """Whole tokens to `to`: minted, or wrapped ether, or shares of what is deposited for them."""
    units = token.units(amount)
    give(house, token, to, units)
    return units


def give(house: LocalDeployment, token: LocalToken, to: str, units: int) -> None:
    """The same in the token's own units."""
    config = house.config.assets.get(token.symbol)
    faucet = config.token.faucet if config and config.token else None
    if config and config.token and config.token.deploy == "WETH9":
        _wrap(house, token, to, units)
    elif faucet and faucet.of:
        _mint_shares(house, token, house.tokens[faucet.of], to, units)
    else:
        token.contract.mint(to, units, sender=house.deployer)


def set_redemption_rate(house: LocalDeployment, token: LocalToken, rate: Decimal) -> ReceiptAPI:
    """Staked ether directly. A share by giving its vault assets, so it can only rise."""
    config = house.config.assets[token.symbol]
    faucet = config.token.faucet if config.token else None
    if faucet and faucet.contract == "FaucetStakedEther":
        return token.contract.setStEthPerToken(to_wad_exact(rate), sender=house.deployer)
    if not (faucet and faucet.of):
        raise ValueError(f"{token.symbol} is no yield token")
    return _raise_share_rate(house, token, house.tokens[faucet.of], to_wad_exact(rate))


def _raise_share_rate(
    house: LocalDeployment, share: LocalToken, asset: LocalToken, rate: int
) -> ReceiptAPI:
    # A vault counts one virtual share more than there are, and one virtual asset.
    needed = -(-rate * (share.contract.totalSupply() + 1) // WAD) - 1
    missing = needed - share.contract.totalAssets()
    if missing < 0:
        raise ValueError("the rate of a share cannot be lowered")
    give(house, asset, str(house.deployer.address), missing)
    return asset.contract.transfer(share.address, missing, sender=house.deployer)


def _mint_shares(
    house: LocalDeployment, share: LocalToken, asset: LocalToken, to: str, units: int
) -> None:
    cost = share.contract.previewMint(units)
    give(house, asset, str(house.deployer.address), cost)
    asset.contract.approve(share.address, _MAX, sender=house.deployer)
    share.contract.mint(units, to, sender=house.deployer)


def _wrap(house: LocalDeployment, token: LocalToken, to: str, units: int) -> None:
    """The deployer's ether, topped up by the node: it is a local chain."""
    balance = house.deployer.balance
    if balance < units:
        house.deployer.balance = balance + units
    token.contract.deposit(value=units, sender=house.deployer)
    if to != str(house.deployer.address):
        token.contract.transfer(to, units, sender=house.deployer)
