"""Grants to delegates: docs/ledger.md, section 6."""

from __future__ import annotations

from plimsoll.risk.ledger.base import Account, Context, Refused
from plimsoll.risk.ledger.delegates import Delegation, Grant
from plimsoll.risk.ledger.gate import Gate


class Access(Gate):
    """Who else may trade with an account, and within what."""

    def set_delegate(
        self,
        account: Account,
        delegate: int,
        delegation: Delegation,
        context: Context,
        *,
        sender: int = 0,
    ) -> None:
        """Replaces what was granted; who was a delegate before signs nothing that lives on."""
        with self.scope(context):
            self._require_owner(account, sender)
            self._grant(account, delegate, delegation, context)

    def set_delegate_by_signature(self, grant: Grant, context: Context) -> None:
        """As `set_delegate`, by what the owner signed."""
        with self.scope(context):
            if context.now > grant.deadline:
                raise Refused("GrantExpired")
            if grant.nonce != self.grant_nonce(grant.account):
                raise Refused("InvalidSignature")
            self._grant(grant.account, grant.delegate, grant.delegation, context)

    def _grant(
        self, account: Account, delegate: int, delegation: Delegation, context: Context
    ) -> None:
        before = self._books.delegations.get((account, delegate))
        ended = before is not None and not before.is_alive(context.now)
        if ended and delegation.is_alive(context.now):
            self._raise_epoch(account)
        self._books.delegations[account, delegate] = delegation
        self._books.grant_nonces[account] = self.grant_nonce(account) + 1
