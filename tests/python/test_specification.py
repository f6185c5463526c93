"""Every numbered MUST of the specifications names tests, and each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = re.compile(r"^(\d+)\. (.*?)(?=^\d+\. |^### |\Z)", re.MULTILINE | re.DOTALL)
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


SECTION = re.compile(r"^## \d+ What MUST hold$", re.MULTILINE)

pages = pytest.mark.parametrize(("page", "least"), [("margin", 30), ("options", 14)])


def rules(page: str) -> dict[int, str]:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    _, section = SECTION.split(text)
    return {int(number): body for number, body in RULES.findall(section)}


@pages
def test_rules_are_numbered_without_gaps(page: str, least: int) -> None:
    assert list(rules(page)) == list(range(1, len(rules(page)) + 1))
    assert len(rules(page)) >= least


@pages
def test_every_rule_says_must_and_names_a_proof(page: str, least: int) -> None:
    found = rules(page)
    lacking = [n for n, body in found.items() if "MUST" not in body or not PROOF.search(body)]
    assert lacking == []


@pages
def test_every_named_proof_is_a_test(page: str, least: int) -> None:
    named = [proof for body in rules(page).values() for proof in PROOF.findall(body)]
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []
