# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's view of a site: HTTPS, streams and a WebSocket to one edge, whatever the name server says."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._websocket import WebSocket


class SiteError(Exception):
    """The site did not do what its user may expect; the message says what was asked and what came."""


@dataclass(frozen=True)
class Edge:
    """Where to connect, and for whom: the certificate must be the domain's, the connection goes to the address."""

    address: str
    domain: str
    port: int = 443
    http_port: int = 80
    ca_path: str | None = None
    timeout: float = 60.0
    public_url: str | None = None  # what browsers of the site's users show, where it is not https://domain


@dataclass(frozen=True)
class Answer:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as data; raises SiteError where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise SiteError(f"JSON was expected, not {self.body[:80]!r}") from None


class _Connection(http.client.HTTPSConnection):
    """HTTPS to a given socket."""

    def __init__(self, edge: Edge, sock: socket.socket) -> None:
        super().__init__(edge.domain, edge.port, timeout=edge.timeout)
        self._given = sock

    def connect(self) -> None:
        self.sock = self._given


class SiteClient:
    """Speaks to one edge as a browser would."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self._context = ssl.create_default_context(cafile=edge.ca_path)
        self._credential: dict[str, str] = {}

    def authorise(self, token: str) -> None:
        """Send this bearer token from now on."""
        self._credential = {"Authorization": f"Bearer {token}"}

    def connect(self) -> ssl.SSLSocket:
        """A verified TLS connection to the edge."""
        edge = self.edge
        plain = self._reach(edge.port)
        try:
            return self._context.wrap_socket(plain, server_hostname=edge.domain)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise SiteError(
                f"the certificate of {edge.address}:{edge.port} does not verify for {edge.domain}: "
                f"{error.verify_message}; compare it with {edge.ca_path or 'the authorities of this machine'}"
            ) from error
        except OSError as error:
            plain.close()
            raise SiteError(
                f"no TLS connection to {edge.address}:{edge.port} for {edge.domain}: {error}; "
                "does this edge serve that name?"
            ) from error

    def redirect(self) -> tuple[int, str]:
        """Status and location that plain HTTP answers with."""
        connection = http.client.HTTPConnection(self.edge.domain, self.edge.http_port, timeout=self.edge.timeout)
        connection.sock = self._reach(self.edge.http_port)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location", "")
        except (OSError, http.client.HTTPException) as error:
            place = f"{self.edge.address}:{self.edge.http_port}"
            raise SiteError(f"plain HTTP at {place} got no answer for {self.edge.domain}: {error!r}") from error
        finally:
            connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        expect: tuple[int, ...] = (200,),
    ) -> Answer:
        """Ask, and return the answer; raises SiteError for a status that isn't expected."""
        connection = self._open(method, path, body, headers)
        try:
            response = connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise SiteError(f"{method} {path} got no answer: {error!r}") from error
        finally:
            connection.close()
        if answer.status not in expect:
            raise SiteError(f"{method} {path} answered {answer.status}: {_problem(answer.body)}")
        return answer

    def stream(self, path: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """The events of a server-sent stream, as they arrive, after a sequence number."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(after)} if after else {})}
        connection = self._open("GET", path, None, headers)
        try:
            response = connection.getresponse()
            if response.status != 200:
                raise SiteError(f"GET {path} answered {response.status}: {_problem(response.read())}")
            for line in response:
                if line.startswith(b"data:"):
                    event: dict[str, Any] = json.loads(line[5:])
                    yield event
        except (OSError, http.client.HTTPException) as error:
            raise SiteError(f"the stream {path} broke off: {error!r}") from error
        finally:
            connection.close()

    def websocket(self, path: str) -> WebSocket:
        """A WebSocket with this client's credential."""
        headers = {"Origin": self.edge.public_url or f"https://{self._host()}", **self._credential}
        return WebSocket(self.connect(), self._host(), path, headers)

    def _host(self) -> str:
        return self.edge.domain if self.edge.port == 443 else f"{self.edge.domain}:{self.edge.port}"

    def _open(self, method: str, path: str, body: Any, headers: Mapping[str, str] | None) -> _Connection:
        connection = _Connection(self.edge, self.connect())
        data = None if body is None else json.dumps(body).encode()
        sent = {**self._credential, **({"Content-Type": "application/json"} if data else {}), **(headers or {})}
        try:
            connection.request(method, path, data, sent)
        except OSError as error:
            connection.close()
            raise SiteError(f"{method} {path} could not be sent: {error}") from error
        return connection

    def _reach(self, port: int) -> socket.socket:
        try:
            return socket.create_connection((self.edge.address, port), timeout=self.edge.timeout)
        except OSError as error:
            raise SiteError(
                f"{self.edge.address}:{port} can't be reached from here: {error}; look at nginx on the edge, "
                "and whether aigo_client_networks admits this machine"
            ) from error


def _problem(body: bytes) -> str:
    try:
        problem = json.loads(body)
        return str(problem.get("detail") or problem)[:300]
    except (ValueError, AttributeError):
        return body[:200].decode(errors="replace")
