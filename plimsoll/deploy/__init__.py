"""Deploying, configuring, sealing and verifying Plimsoll. Needs the `ape` extra."""

from plimsoll.deploy.local import LocalDeployment, LocalToken, deploy_local

__all__ = ["LocalDeployment", "LocalToken", "deploy_local"]
