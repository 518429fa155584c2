# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Patroni member: its REST interface, its cluster's state, and the smallest patch of the dynamic configuration."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RUNNING = ("running", "streaming", "in archive recovery")
LEADERS = ("leader", "standby_leader")


class PatroniError(Exception):
    """Patroni said no, did not answer, or did not come to the state; the text says what it saw."""


class Unreachable(PatroniError):
    """Nobody answers at the REST interface."""


class Refused(PatroniError):
    """Patroni answered with an error; `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Member:
    """This member within its cluster, as Patroni tells it."""

    name: str
    role: str
    state: str
    leader: str | None
    pending_restart: bool
    timeline: int | None

    @property
    def is_leader(self) -> bool:
        """Whether this member takes writes (or leads a standby cluster)."""
        return self.leader == self.name

    @property
    def settled(self) -> bool:
        """Whether PostgreSQL runs here and the cluster has a leader."""
        return self.state in RUNNING and self.leader is not None


@dataclass(frozen=True)
class Plan:
    """The dynamic configuration before and after, and the patch between the two."""

    before: dict[str, Any]
    after: dict[str, Any]
    patch: dict[str, Any]

    @property
    def changed(self) -> bool:
        """Whether there is anything to patch."""
        return bool(self.patch)


def merge(current: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Patch a configuration by Patroni's own rule: null removes, mappings merge, all else replaces."""
    merged = dict(current)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            inner = merged.get(key)
            merged[key] = merge(inner if isinstance(inner, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _difference(current: Mapping[str, Any], wanted: Mapping[str, Any], exact: Sequence[str], at: str) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for key, value in wanted.items():
        path = f"{at}.{key}".lstrip(".")
        present = current.get(key)
        if isinstance(value, Mapping):
            inner = _difference(present if isinstance(present, Mapping) else {}, value, exact, path)
            if inner or not isinstance(present, Mapping):
                patch[key] = inner
        elif value is None:
            if key in current:
                patch[key] = None
        elif key not in current or present != value or isinstance(present, bool) != isinstance(value, bool):
            patch[key] = value
    if at in exact:
        patch |= dict.fromkeys((key for key in current if key not in wanted), None)
    return patch


def plan(current: Mapping[str, Any], wanted: Mapping[str, Any], exact: Sequence[str] = ()) -> Plan:
    """The smallest patch that brings `wanted` about.

    Keys that `wanted` does not name are left alone, except below the dotted paths in `exact`, where they are removed.
    """
    patch = _difference(current, wanted, exact, "")
    return Plan(dict(current), merge(current, patch), patch)


def member(own: Mapping[str, Any], cluster: Mapping[str, Any]) -> Member:
    """This member from the answers of /patroni and /cluster."""
    leader = next((m["name"] for m in cluster.get("members", []) if m.get("role") in LEADERS), None)
    return Member(
        name=str(own.get("patroni", {}).get("name", "")),
        role=str(own.get("role", "unknown")),
        state=str(own.get("replication_state") or own.get("state", "unknown")),
        leader=leader,
        pending_restart=bool(own.get("pending_restart")),
        timeline=own.get("timeline"),
    )


class Rest:
    """The REST interface of the member whose configuration file is given; credentials come from that file."""

    def __init__(self, config: Mapping[str, Any], timeout: float = 10) -> None:
        api, ctl = config["restapi"], config.get("ctl", {})
        self._base = f"{'https' if api.get('certfile') else 'http'}://{api['connect_address']}"
        self._timeout = timeout
        authentication = api.get("authentication")
        self._headers = {"Content-Type": "application/json"}
        if authentication:
            pair = f"{authentication['username']}:{authentication['password']}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if api.get("certfile"):
            try:
                context = ssl.create_default_context(cafile=ctl.get("cacert"))
                if ctl.get("certfile"):
                    context.load_cert_chain(ctl["certfile"], ctl.get("keyfile"))
            except OSError as error:
                raise PatroniError(f"cannot load the certificates that the section ctl names: {error}") from error
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, timeout: float | None = None) -> Any:
        """One request; JSON in, JSON (or text) out. :raises Refused: :raises Unreachable:"""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, self._headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=timeout or self._timeout) as answer:
                text = answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:500]
            # A member that is not fit to serve says so by its status, with the same document.
            if method == "GET" and detail.startswith("{"):
                return _json(detail)
            raise Refused(error.code, f"{method} {path}: HTTP {error.code} {detail}".strip()) from error
        except OSError as error:
            raise Unreachable(f"no answer from {self._base}: {getattr(error, 'reason', error)}") from error
        return _json(text)

    def member(self) -> Member:
        """The state now."""
        return member(self.call("GET", "/patroni"), self.call("GET", "/cluster"))

    def configuration(self) -> dict[str, Any]:
        """The dynamic configuration."""
        return dict(self.call("GET", "/config"))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def wait(
    rest: Rest,
    fit: Callable[[Member], bool],
    timeout: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Member:
    """Poll until the member is `fit`. :raises PatroniError: with what was last seen."""
    deadline = time.monotonic() + timeout
    seen: Member | PatroniError
    while True:
        try:
            seen = rest.member()
            if fit(seen):
                return seen
        except PatroniError as error:
            seen = error
        if time.monotonic() > deadline:
            break
        sleep(0.5)
    told = str(seen) if isinstance(seen, PatroniError) else f"state {seen.state}, leader {seen.leader or 'none'}"
    raise PatroniError(
        f"not ready after {timeout:.0f} s ({told}): read journalctl -u patroni.service, and patronictl list"
    )


def candidate(members: Sequence[Mapping[str, Any]], wanted: str = "") -> str:
    """Who may lead next: the synchronous standby before others, then who lags least. :raises PatroniError:"""
    fit = [m for m in members if m.get("role") not in LEADERS and m.get("state") in RUNNING]
    if wanted:
        fit = [m for m in fit if m["name"] == wanted]
    if any(m.get("role") == "sync_standby" for m in fit):
        fit = [m for m in fit if m.get("role") == "sync_standby"]
    fit = [m for m in fit if isinstance(m.get("lag", 0), int)]
    if not fit:
        seen = ", ".join(f"{m['name']} is {m.get('role')}, {m.get('state')}" for m in members) or "no members"
        raise PatroniError(f"no replica {wanted or ''} can take the lead ({seen}): mend the replicas first")
    return str(min(fit, key=lambda m: (m.get("lag", 0), m["name"]))["name"])


def until(
    answer: Callable[[], str | None], timeout: float, told: str, *, sleep: Callable[[float], None] = time.sleep
) -> str:
    """Poll until there is an answer; a restarting member may be silent. :raises PatroniError: with `told`."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if found := answer():
                return found
        except PatroniError as error:
            told = str(error)
        if time.monotonic() > deadline:
            raise PatroniError(f"not done after {timeout:.0f} s: {told}")
        sleep(0.5)
