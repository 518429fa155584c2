"""The proof must fail when a site loses events, skips the tool, forgets the stream or does no jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._site_client import Answer, Edge, SiteError
from ansible_collections.aigo.onprem.plugins.module_utils._verify_site import (
    Journey,
    Step,
    Wish,
    check_events,
    days_left,
    table,
)

WISH = Wish("admin", "long enough", "6*7?", "calculator", 7, 5)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job is polled without the pause that a real one deserves."""
    monkeypatch.setattr("time.sleep", lambda _: None)


def events() -> list[dict[str, Any]]:
    said = [
        ("run.started", {}),
        ("tool.call", {"name": "calculator"}),
        ("tool.result", {"name": "calculator", "result": "42"}),
        ("token", {"text": "It is "}),
        ("token", {"text": "42."}),
        ("run.completed", {}),
    ]
    return [
        {"run_id": "r", "sequence": number, "type": kind, "data": data}
        for number, (kind, data) in enumerate(said, start=1)
    ]


def without(kind: str) -> list[dict[str, Any]]:
    left = [event for event in events() if event["type"] != kind]
    return [{**event, "sequence": number} for number, event in enumerate(left, start=1)]


class Socket:
    """A WebSocket that answers one run."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self._messages = iter(messages)

    def send_json(self, value: Any) -> None:
        assert value["type"] == "run"

    def receive_json(self) -> Any:
        return next(self._messages)

    def close(self) -> None:
        pass


class Site:
    """A site that does what it should; tests break one thing each."""

    edge = Edge("192.0.2.1", "agent.example.com")

    def __init__(self) -> None:
        self.days = 80
        self.moved = (301, "https://agent.example.com/")
        self.page = Answer(200, {"strict-transport-security": "max-age=1"}, b"<!doctype html><html>")
        self.streamed = events()
        self.lost_on_resume = 0
        self.spoken = events()
        self.job = "completed"
        self.refuse: set[str] = set()
        self.asked: list[str] = []

    def connect(self) -> Any:
        end = time.strftime("%b %d %H:%M:%S %Y GMT", time.gmtime(time.time() + self.days * 86400 + 3600))
        sock = SimpleNamespace(getpeercert=lambda: {"notAfter": end}, version=lambda: "TLSv1.3")
        return _Entered(sock)

    def redirect(self) -> tuple[int, str]:
        return self.moved

    def authorise(self, token: str) -> None:
        assert token == "t"

    def request(self, method: str, path: str, body: Any = None, **_: Any) -> Any:
        self.asked.append(f"{method} {path}")
        if path in self.refuse:
            raise SiteError(f"{method} {path} answered 500")
        answers: dict[str, Any] = {
            "/api/v1/auth/login": {"access_token": "t"},
            "/api/v1/conversations": {"id": "c"},
            "/api/v1/conversations/c/runs": {"id": "r"},
            "/api/v1/jobs": {"id": "j", "status": "queued"},
            "/api/v1/jobs/j": {"id": "j", "status": self.job, "error": "no", "result_url": "/api/v1/jobs/j/result"},
            "/api/v1/jobs/j/result": {"messages": ["a", "b"]},
        }
        if path == "/":
            return self.page
        return SimpleNamespace(json=lambda: answers[path])

    def stream(self, _path: str, after: int = 0) -> Iterator[dict[str, Any]]:
        yield from self.streamed[after + (self.lost_on_resume if after else 0) :]

    def websocket(self, _path: str) -> Socket:
        return Socket([{"type": "authenticated"}, {"type": "run.accepted"}, *self.spoken])


class _Entered:
    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __enter__(self) -> Any:
        return self._sock

    def __exit__(self, *_: object) -> None:
        pass


def walk(site: Site) -> dict[str, Step]:
    return {step.name: step for step in Journey(site, WISH).walk()}  # type: ignore[arg-type]


def test_a_good_site_passes_every_step_and_is_left_as_it_was() -> None:
    site = Site()
    steps = walk(site)
    assert [step for step in steps.values() if step.ok is not True] == []
    assert list(steps)[-1] == "tidy up"
    assert site.asked[-2:] == ["DELETE /api/v1/conversations/c", "POST /api/v1/auth/logout"]
    assert "tool calculator" in steps["chat over HTTPS"].detail


@pytest.mark.parametrize(
    ("breaks", "failing"),
    [
        ({"days": 3}, "certificate"),
        ({"moved": (200, "")}, "redirect to HTTPS"),
        ({"page": Answer(200, {}, b"<html>")}, "page"),
        ({"page": Answer(200, {"strict-transport-security": "1"}, b"{}")}, "page"),
        ({"refuse": {"/api/v1/auth/login"}}, "sign in"),
        ({"streamed": without("tool.call")}, "chat over HTTPS"),
        ({"streamed": events()[:3]}, "chat over HTTPS"),
        ({"lost_on_resume": 1}, "resume a stream"),
        ({"spoken": without("token")}, "chat over WebSocket"),
        ({"spoken": [{"type": "error", "code": "busy", "message": "later"}]}, "chat over WebSocket"),
        ({"job": "failed"}, "job by a worker"),
    ],
)
def test_what_is_broken_is_what_fails(breaks: dict[str, Any], failing: str) -> None:
    site = Site()
    for name, value in breaks.items():
        setattr(site, name, value)
    steps = walk(site)
    assert [step.name for step in steps.values() if step.ok is False] == [failing]


def test_a_failed_chat_is_tidied_up_and_its_stream_not_resumed() -> None:
    site = Site()
    site.streamed = events()[:3]
    steps = walk(site)
    assert steps["resume a stream"].ok is None
    assert steps["tidy up"].ok is True


def test_without_signing_in_nothing_further_is_tried() -> None:
    site = Site()
    site.refuse = {"/api/v1/auth/login"}
    assert list(walk(site)) == ["certificate", "redirect to HTTPS", "page", "sign in"]


def test_an_answer_is_what_its_tokens_spell() -> None:
    assert check_events(events(), "calculator") == "It is 42."
    plain = [event for event in events() if not event["type"].startswith("tool.")]
    assert check_events([{**event, "sequence": at} for at, event in enumerate(plain, start=1)], "") == "It is 42."


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ([], "ended with nothing"),
        (events()[1:], "numbered"),
        ([*events()[:2], *events()[1:]], "numbered"),
        (without("tool.result"), "gave no result"),
        (without("token"), "without a word"),
        ([{**events()[0], "type": "run.failed", "data": {"code": "x"}}], "ended with run.failed"),
    ],
)
def test_a_run_that_is_not_whole_is_refused(broken: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SiteError, match=message):
        check_events(broken, "calculator" if "token" not in message else "")


def test_days_are_counted_whole() -> None:
    assert days_left("Jan 10 00:00:00 2030 GMT", 1893456000.0 + 86400 * 0.5) == 8


def test_the_table_is_aligned_and_says_what_failed() -> None:
    lines = table([Step("a", True, "fine", 0.1), Step("longer", False, "broken"), Step("c", None, "not tried")])
    assert [line.index("s  ") for line in lines] == [lines[0].index("s  ")] * 3
    assert "FAILED" in lines[1]


def test_a_password_is_not_in_a_representation() -> None:
    assert "long enough" not in repr(WISH)
