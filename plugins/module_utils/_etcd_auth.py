# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd's users, roles and permissions: what is there, what is wanted, and the steps between the two."""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

READWRITE = "READWRITE"
ROOT = "root"

# What etcd answers while another member's run is changing the same users, or while a leader is being elected.
# Reading again settles it.
PASSING = (
    "already exists",
    "user name not found",
    "role name not found",
    "user name is empty",
    "invalid auth token",
    "revision of auth store is old",
    "no leader",
    "leader changed",
    "request timed out",
    "too many requests",
    "permission denied",
)


class EtcdError(Exception):
    """etcd said no, or did not answer; the text is its own message."""


class Unreachable(EtcdError):
    """No TLS conversation was possible."""


@dataclass(frozen=True)
class User:
    """A user who may read and write every key below `prefix`."""

    name: str
    password: str
    prefix: str


Permission = tuple[str, str, str]  # type, key, range end (text)


@dataclass(frozen=True)
class State:
    """What etcd has. `verified` are the users whose wanted password etcd accepts."""

    enabled: bool = False
    roles: Mapping[str, frozenset[Permission]] | None = None
    users: Mapping[str, frozenset[str]] | None = None
    verified: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Step:
    """One call of etcd's gateway, and how to say it to people."""

    path: str
    body: dict[str, Any]
    summary: str


@dataclass(frozen=True)
class Plan:
    """The calls that lead from the state to what is wanted, in order."""

    steps: tuple[Step, ...]

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.steps)

    @property
    def summary(self) -> list[str]:
        """One line for each step, free of secrets."""
        return [step.summary for step in self.steps]


def range_end(prefix: str) -> str:
    """The first key behind every key that starts with `prefix`, as etcd reckons it."""
    if not prefix:
        raise EtcdError(
            "a user's prefix is empty: give the part of the key space that the user may write, such as /service/"
        )
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")


def _role_steps(user: User, state: State) -> Iterable[Step]:
    wanted: Permission = (READWRITE, user.prefix, range_end(user.prefix))
    present = (state.roles or {}).get(user.name)
    if present is None:
        yield Step("auth/role/add", {"name": user.name}, f"add role {user.name}")
    if wanted not in (present or frozenset()):
        permission = {"permType": READWRITE, "key": _encode(wanted[1]), "range_end": _encode(wanted[2])}
        yield Step(
            "auth/role/grant",
            {"name": user.name, "perm": permission},
            f"let role {user.name} write below {user.prefix}",
        )
    for kind, key, end in sorted((present or frozenset()) - {wanted}):
        yield Step(
            "auth/role/revoke",
            {"role": user.name, "key": _encode(key), "range_end": _encode(end)},
            f"take {kind} on {key} from role {user.name}",
        )


def _user_steps(name: str, password: str, role: str, state: State) -> Iterable[Step]:
    present = (state.users or {}).get(name)
    if present is None:
        yield Step("auth/user/add", {"name": name, "password": password}, f"add user {name}")
    elif name not in state.verified:
        yield Step("auth/user/changepw", {"name": name, "password": password}, f"set the password of user {name}")
    if role not in (present or frozenset()):
        yield Step("auth/user/grant", {"user": name, "role": role}, f"give user {name} the role {role}")
    for extra in sorted((present or frozenset()) - {role}):
        yield Step("auth/user/revoke", {"name": name, "role": extra}, f"take the role {extra} from user {name}")


def plan(state: State, root_password: str, users: Iterable[User]) -> Plan:
    """The steps from `state` to: root with the role root, each user with a role of its own, authentication on."""
    steps: list[Step] = []
    if ROOT not in (state.roles or {}):
        steps.append(Step("auth/role/add", {"name": ROOT}, "add role root"))
    steps.extend(_user_steps(ROOT, root_password, ROOT, state))
    for user in users:
        steps.extend(_role_steps(user, state))
        steps.extend(_user_steps(user.name, user.password, user.name, state))
    if not state.enabled:
        steps.append(Step("auth/enable", {}, "enable authentication"))
    return Plan(tuple(steps))


class Gateway:
    """etcd's JSON gateway over TLS with a client certificate. Passwords travel in request bodies only."""

    def __init__(self, endpoint: str, ca: str, cert: str, key: str, timeout: float = 10) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._timeout = timeout
        self._token: str | None = None
        try:
            self._context = ssl.create_default_context(cafile=ca)
            self._context.load_cert_chain(cert, key)
        except OSError as error:
            raise Unreachable(
                f"cannot load the client certificate {cert}, its key {key} or the CA {ca}: {error}"
            ) from error
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )

    def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST `body` to /v3/`path`; etcd's refusal becomes EtcdError."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": self._token} if self._token else {})
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{self._endpoint}/v3/{path}", data, headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            raise EtcdError(_message(error)) from error
        except (OSError, ValueError) as error:
            raise Unreachable(f"no answer from {self._endpoint}: {getattr(error, 'reason', error)}") from error

    def accepts(self, name: str, password: str) -> str | None:
        """A token when etcd accepts the password, None when it refuses it."""
        try:
            return str(self.call("auth/authenticate", {"name": name, "password": password})["token"])
        except EtcdError as error:
            if "invalid user ID or password" in str(error):
                return None
            raise

    def log_in(self, root_password: str) -> None:
        """Act as root from now on, where authentication is on. :raises EtcdError: when etcd refuses the password."""
        self._token = None
        try:
            token = self.accepts(ROOT, root_password)
        except EtcdError as error:
            if "authentication is not enabled" not in str(error):
                raise
            return
        if token is None:
            raise EtcdError(
                "etcd refuses the password of its user root: etcd_root_password is not the one that this cluster "
                "was made with; bring the former value back, or change it in etcd first (etcdctl user passwd root)"
            )
        self._token = token

    def read(self, root_password: str, users: Iterable[User]) -> State:
        """The state of authentication; root's password opens the door when it is on."""
        self.log_in(root_password)
        enabled = self._token is not None
        verified = {ROOT} | {u.name for u in users if self.accepts(u.name, u.password)} if enabled else set()
        role_names = self.call("auth/role/list", {}).get("roles", [])
        user_names = self.call("auth/user/list", {}).get("users", [])
        return State(
            enabled=enabled,
            roles={name: self._permissions(name) for name in role_names},
            users={name: frozenset(self.call("auth/user/get", {"name": name}).get("roles", [])) for name in user_names},
            verified=frozenset(verified),
        )

    def _permissions(self, role: str) -> frozenset[Permission]:
        # The role root may do anything and cannot be asked for a list.
        if role == ROOT:
            return frozenset()
        return frozenset(
            (p.get("permType", "READ"), _decode(p.get("key", "")), _decode(p.get("range_end", "")))
            for p in self.call("auth/role/get", {"role": role}).get("perm", [])
        )


def _message(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        answer = json.loads(text)
        return str(answer.get("message") or answer.get("error") or text)
    except (ValueError, AttributeError):
        return f"HTTP {error.code}: {text[:200]}"


def converge(
    gateway: Gateway,
    root_password: str,
    users: Iterable[User],
    *,
    timeout: float,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Read, plan and apply until nothing is left to do, and return what this call did.

    Members may do it at the same time: what another was quicker to do is found done on the next reading.
    """
    users = tuple(users)
    deadline = time.monotonic() + timeout
    done: list[str] = []
    while True:
        try:
            for step in plan(gateway.read(root_password, users), root_password, users).steps:
                gateway.call(step.path, step.body)
                done.append(step.summary)
            return done
        except EtcdError as error:
            passing = isinstance(error, Unreachable) or any(text in str(error) for text in PASSING)
            if not passing or time.monotonic() > deadline:
                raise
            sleep(0.5)
