"""A reporter of premiums: `decide` is pure, `act` observes, signs, collects a quorum and sends."""

from plimsoll.reporter.act import Outcome, Report, Reporter
from plimsoll.reporter.box import Box
from plimsoll.reporter.decide import Limits, Seen, Sign, Wait, decide
from plimsoll.reporter.settings import reporter_from
from plimsoll.reporter.sign import CommandSigner, KeySigner
from plimsoll.reporter.source import FileSource, Observation, mid_premium

__all__ = [
    "Box",
    "CommandSigner",
    "FileSource",
    "KeySigner",
    "Limits",
    "Observation",
    "Outcome",
    "Report",
    "Reporter",
    "Seen",
    "Sign",
    "Wait",
    "decide",
    "mid_premium",
    "reporter_from",
]
