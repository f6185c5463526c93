"""What every kind of report has in common: whose signature counts, and who of us signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from web3.contract import Contract

from plimsoll.chain import Chain
from plimsoll.errors import InvalidConnectionError
from plimsoll.reporter.box import ReportBox
from plimsoll.reporter.sign import ReportSigner, signer_of
from plimsoll.reports import R, SignedReport, report_domain
from plimsoll.risk.params import Kind
from plimsoll.units import from_wad


@dataclass(frozen=True, slots=True)
class Terms:
    """The ReportOracle in force."""

    oracle: str
    domain: Mapping[str, Any]
    """Of what is signed for it."""
    quorum: int
    agreement: Decimal
    max_premium: Decimal
    surface_agreement: Decimal
    reporters: frozenset[str]

    def believable(self, box: ReportBox[R], underlying: int) -> list[SignedReport[R]]:
        """What is in the box and signed by a living reporter."""
        return [
            one
            for one in box.all(underlying)
            if one.reporter in self.reporters and signer_of(one, self.domain) == one.reporter
        ]

    def sign(
        self, report: R, signers: Sequence[ReportSigner], box: ReportBox[R]
    ) -> list[SignedReport[R]]:
        """Those of our signers who are reporters sign, each for himself."""
        ours = [each for each in signers if each.address in self.reporters]
        signed = [signer.sign(report, self.domain) for signer in ours]
        for one in signed:
            box.put(one)
        return signed


def terms_in_force(chain: Chain, block: int) -> Terms:
    """Of the ReportOracle that the engine names."""
    engine = chain.engine.functions
    word, *_ = chain.call(engine.parameter(int(Kind.REPORTS), 0), block)
    if not word:
        raise InvalidConnectionError("the engine names no ReportOracle: nothing can be reported")
    oracle: Contract = chain.contract("ReportOracle", f"0x{word:040x}")
    ask = oracle.functions
    return Terms(
        oracle=oracle.address,
        domain=report_domain(chain.w3.eth.chain_id, oracle.address),
        quorum=chain.call(ask.QUORUM(), block),
        agreement=from_wad(chain.call(ask.AGREEMENT(), block)),
        max_premium=from_wad(chain.call(ask.MAX_PREMIUM(), block)),
        surface_agreement=from_wad(chain.call(ask.SURFACE_AGREEMENT(), block)),
        reporters=frozenset(chain.call(ask.reporters(), block)),
    )
