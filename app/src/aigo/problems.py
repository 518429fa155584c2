"""Refusals that are expected, wherever they come from. Nothing here knows of a web framework."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


class Problem(Exception):
    """An expected refusal: a status, a stable ``code`` for programs and a sentence for people."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, headers


def unavailable(detail: str, seconds: int = 2) -> Problem:
    """Return the problem that says: try again in a moment."""
    return Problem(503, "unavailable", detail, {"Retry-After": str(seconds)})


def problem_document(status: int, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """Return the body of a problem document."""
    title = HTTPStatus(status).phrase
    return {"type": f"urn:aigo:problem:{code}", "title": title, "status": status, "code": code, "detail": detail} | more
