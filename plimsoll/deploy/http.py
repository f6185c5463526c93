"""Asking a web service for JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

_PATIENCE = 30


class ServiceError(Exception):
    """A web service did not answer, or not with JSON."""


def get_json(url: str, parameters: Sequence[tuple[str, str]]) -> Any:
    return _asked(f"{_checked(url)}?{urlencode(parameters)}")


def post_form(url: str, parameters: Mapping[str, str], form: Mapping[str, str]) -> Any:
    return _asked(f"{_checked(url)}?{urlencode(parameters)}", urlencode(form).encode())


def _checked(url: str) -> str:
    """Only the web, and nothing in the clear beyond this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise ServiceError(f"{url} is not an https:// address")
    return url


def _asked(url: str, data: bytes | None = None) -> Any:
    try:
        # The address was checked for its scheme.
        with urlopen(url, data, timeout=_PATIENCE) as response:  # noqa: S310
            return json.load(response)
    except (URLError, OSError, ValueError) as error:
        raise ServiceError(f"{url.partition('?')[0]}: {error}") from error
