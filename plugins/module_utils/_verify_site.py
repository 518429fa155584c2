# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that a site serves: what a user does, from the certificate to the result of a background job."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._site_client import SiteClient, SiteError
from ansible_collections.aigo.onprem.plugins.module_utils._websocket import WebSocketError

_DAY = 86400.0
_ENDS = ("run.completed", "run.failed")


@dataclass(frozen=True)
class Wish:
    """What the proof asks, and what has to come of it."""

    username: str
    password: str = field(repr=False)
    prompt: str
    tool: str
    min_days: int
    timeout: float


@dataclass(frozen=True)
class Step:
    """One thing that was tried. C(ok) is None where an earlier failure left nothing to try."""

    name: str
    ok: bool | None
    detail: str
    seconds: float = 0.0


def check_events(events: Sequence[dict[str, Any]], tool: str) -> str:
    """The answer that a run's events spell; raises SiteError unless they are complete, in order, and use the tool."""
    numbers = [event["sequence"] for event in events]
    if numbers != list(range(1, len(events) + 1)):
        raise SiteError(f"the run's events are numbered {numbers}, not 1 to {len(events)}: some were lost or repeated")
    last = events[-1] if events else {"type": "nothing", "data": {}}
    if last["type"] != "run.completed":
        raise SiteError(f"the run ended with {last['type']}: {last['data']}; look at the journal of aigo-api@main")
    called = [event["data"].get("name") for event in events if event["type"] == "tool.call"]
    if tool and tool not in called:
        raise SiteError(
            f"the model did not call {tool} (it called: {', '.join(map(str, called)) or 'nothing'}); "
            "choose a model that can use tools, or set `tool` to an empty string"
        )
    if len(called) != sum(event["type"] == "tool.result" for event in events):
        raise SiteError("a tool was called and gave no result")
    answer = "".join(event["data"]["text"] for event in events if event["type"] == "token").strip()
    if not answer:
        raise SiteError("the run completed without a word")
    return answer


def days_left(not_after: str, now: float) -> int:
    """Whole days until a certificate's end, as C(ssl) writes it."""
    return int((ssl.cert_time_to_seconds(not_after) - now) // _DAY)


class Journey:
    """A user's way through one edge. It makes one conversation and deletes it in the end."""

    def __init__(self, client: SiteClient, wish: Wish, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._wish = wish
        self._clock = clock
        self._conversation = ""
        self._run: list[dict[str, Any]] = []

    def walk(self) -> list[Step]:
        """Try every step; one that needs a failed one is not tried."""
        steps: list[Step] = []
        self._try(steps, "certificate", self.certificate)
        self._try(steps, "redirect to HTTPS", self.redirect)
        self._try(steps, "page", self.page)
        if self._try(steps, "sign in", self.sign_in) and self._try(steps, "conversation", self.converse):
            self._try(steps, "chat over HTTPS", self.chat)
            self._try(steps, "resume a stream", self.resume)
            self._try(steps, "chat over WebSocket", self.websocket)
            self._try(steps, "job by a worker", self.job)
        if self._conversation:
            self._try(steps, "tidy up", self.tidy)
        return steps

    def _try(self, steps: list[Step], name: str, action: Callable[[], str | None]) -> bool:
        started = self._clock()
        try:
            detail = action()
        except (SiteError, WebSocketError, OSError) as error:
            steps.append(Step(name, False, str(error), self._clock() - started))
            return False
        steps.append(Step(name, None if detail is None else True, detail or "not tried", self._clock() - started))
        return True

    def certificate(self) -> str:
        """The edge's certificate verifies for the domain and is not about to end."""
        with self._client.connect() as sock:
            peer, version = sock.getpeercert() or {}, sock.version()
        left = days_left(str(peer["notAfter"]), time.time())
        if left < self._wish.min_days:
            raise SiteError(f"the certificate ends in {left} days: run the playbook again to renew it")
        return f"verifies for {self._client.edge.domain}, {left} days left, {version}"

    def redirect(self) -> str:
        """Plain HTTP leads to HTTPS."""
        status, location = self._client.redirect()
        if status not in (301, 308) or not location.startswith("https://"):
            raise SiteError(f"plain HTTP answered {status} with the location {location!r}, not a redirect to HTTPS")
        return f"{status} to {location}"

    def page(self) -> str:
        """The page for people is there, and tells browsers to insist on HTTPS."""
        answer = self._client.request("GET", "/")
        if b"<html" not in answer.body[:2000].lower():
            raise SiteError("GET / answered no HTML page")
        if "strict-transport-security" not in answer.headers:
            raise SiteError("GET / carries no Strict-Transport-Security header")
        return f"{len(answer.body)} bytes"

    def sign_in(self) -> str:
        """The account gets a token."""
        body = {"name": self._wish.username, "password": self._wish.password}
        self._client.authorise(self._client.request("POST", "/api/v1/auth/login", body).json()["access_token"])
        return f"as {self._wish.username}"

    def converse(self) -> str:
        """A conversation is made."""
        answer = self._client.request("POST", "/api/v1/conversations", {"title": "Verification"}, expect=(201,))
        self._conversation = answer.json()["id"]
        return "made"

    def chat(self) -> str:
        """A question is answered in a stream, by way of the tool."""
        path = f"/api/v1/conversations/{self._conversation}/runs"
        run = self._client.request("POST", path, {"input": self._wish.prompt}, expect=(201,)).json()
        events = list(self._bounded(self._client.stream(f"/api/v1/runs/{run['id']}/events")))
        answer = check_events(events, self._wish.tool)
        self._run = events
        return f"{len(events)} events, {_tools(events)}: {answer[:60]!r}"

    def resume(self) -> str | None:
        """A stream that is taken up in the middle brings exactly the rest."""
        if not self._run:
            return None
        middle = len(self._run) // 2
        path = f"/api/v1/runs/{self._run[0]['run_id']}/events"
        rest = list(self._bounded(self._client.stream(path, after=middle)))
        if rest != self._run[middle:]:
            raise SiteError(
                f"the stream after event {middle} brought {len(rest)} events that differ from the first time"
            )
        return f"{len(rest)} of {len(self._run)} events again"

    def websocket(self) -> str:
        """The same over a WebSocket."""
        sock = self._client.websocket("/ws")
        try:
            command = {"type": "run", "conversation_id": self._conversation, "input": self._wish.prompt}
            sock.send_json(command)
            events = list(self._bounded(_run_events(iter(sock.receive_json, None))))
        finally:
            sock.close()
        check_events(events, self._wish.tool)
        return f"{len(events)} events, {_tools(events)}"

    def job(self) -> str:
        """A worker does a job, and what it made can be downloaded."""
        body = {"kind": "conversation.export", "conversation_id": self._conversation}
        job = self._client.request("POST", "/api/v1/jobs", body, expect=(202,)).json()
        started = self._clock()
        while job["status"] in ("queued", "running"):
            if self._clock() - started > self._wish.timeout:
                raise SiteError(f"the job is still {job['status']}: look at the journal of aigo-worker")
            time.sleep(0.3)
            job = self._client.request("GET", f"/api/v1/jobs/{job['id']}").json()
        if job["status"] != "completed":
            raise SiteError(f"the job ended as {job['status']}: {job.get('error')}")
        made = self._client.request("GET", job["result_url"]).json()
        messages = len(made["messages"])
        if not messages:
            raise SiteError("the job's export holds no messages")
        return f"exported {messages} messages"

    def tidy(self) -> str:
        """The conversation goes, with its runs, and the session ends."""
        self._client.request("DELETE", f"/api/v1/conversations/{self._conversation}", expect=(204,))
        self._client.request("POST", "/api/v1/auth/logout", expect=(204,))
        return "conversation deleted, signed out"

    def _bounded(self, events: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        started = self._clock()
        for event in events:
            yield event
            if event["type"] in _ENDS:
                return
            if self._clock() - started > self._wish.timeout:
                raise SiteError(f"the answer is not finished after {self._wish.timeout:.0f} s")


def _run_events(messages: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for message in messages:
        if message["type"] == "error":
            raise SiteError(f"the WebSocket answered {message.get('code')}: {message.get('message')}")
        if "sequence" in message:
            yield message


def _tools(events: Sequence[dict[str, Any]]) -> str:
    called = [str(event["data"].get("name")) for event in events if event["type"] == "tool.call"]
    return f"tool {', '.join(called)}" if called else "no tool"


def table(steps: Sequence[Step]) -> list[str]:
    """The steps as aligned lines."""
    marks = {True: "ok", False: "FAILED", None: "-"}
    width = max(len(step.name) for step in steps)
    return [f"{step.name:<{width}}  {marks[step.ok]:<6}  {step.seconds:5.2f} s  {step.detail}" for step in steps]
