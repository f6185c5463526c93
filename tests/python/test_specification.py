"""Every numbered MUST of the specification names tests, and each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = re.compile(r"^(\d+)\. (.*?)(?=^\d+\. |^### |\Z)", re.MULTILINE | re.DOTALL)
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rules() -> dict[int, str]:
    text = (ROOT / "docs" / "margin.md").read_text()
    section = text.split("## 12 What MUST hold", 1)[1]
    return {int(number): body for number, body in RULES.findall(section)}


def test_rules_are_numbered_without_gaps() -> None:
    assert list(rules()) == list(range(1, len(rules()) + 1))
    assert len(rules()) > 30


def test_every_rule_says_must_and_names_a_proof() -> None:
    lacking = [n for n, body in rules().items() if "MUST" not in body or not PROOF.search(body)]
    assert lacking == []


def test_every_named_proof_is_a_test() -> None:
    named = [proof for body in rules().values() for proof in PROOF.findall(body)]
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []
