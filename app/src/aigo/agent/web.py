"""HTTP GET for the agent: allowed hosts only, and no address inside, by no redirect and by no lying name server.

Each name is resolved once, all its addresses are checked, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from aigo.agent.context import Refused
from aigo.config.material import Web as WebSettings
from aigo.documents.markup import text_of_html

if TYPE_CHECKING:
    import httpx2

_HOPS = 4
_SHOWN = 12_000
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = {301, 302, 303, 307, 308}
# Addresses that carry another address inside: a private one could hide there.
_TUNNELS = [ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class _Rule:
    """One entry of the allow-list."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> _Rule:
        scheme, _, rest = text.rpartition("://")
        scheme = scheme or "https"
        host, _, port = rest.partition(":")
        return cls(scheme, host, int(port or _PORTS[scheme]))

    def allows(self, scheme: str, host: str, port: int) -> bool:
        if (scheme, port) != (self.scheme, self.port):
            return False
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host


class AllowedWeb:
    """What the site lets its agents read."""

    def __init__(self, settings: WebSettings) -> None:
        self._rules = [_Rule.parse(text) for text in settings.allow]
        self._networks = [ipaddress.ip_network(text) for text in settings.networks]
        self._seconds, self._bytes = settings.timeout_seconds, settings.max_bytes

    async def get(self, url: str) -> str:
        """Return a page as text; :raises Refused: with the reason."""
        import httpx2

        try:
            async with asyncio.timeout(self._seconds):
                return await self._get(url)
        except TimeoutError:
            raise Refused(f"{url} didn't answer within {self._seconds:g} s") from None
        except (httpx2.HTTPError, OSError, UnicodeError, ValueError) as error:
            raise Refused(f"{url} can't be read ({type(error).__name__})") from None

    async def _get(self, url: str) -> str:
        import httpx2

        # Neither proxies nor credentials from the environment; each request has a connection of its own.
        async with httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=self._seconds) as client:
            for _ in range(_HOPS):
                async with AsyncExitStack() as stack:
                    response = await self._asked(client, stack, url)
                    if response.status_code not in _REDIRECTS:
                        return await self._read(url, response)
                    url = urljoin(url, response.headers.get("location", ""))
        raise Refused("there are too many redirects")

    async def _asked(self, client: httpx2.AsyncClient, stack: AsyncExitStack, url: str) -> httpx2.Response:
        parts, host, port = self._allowed(url)
        address = await self._resolved(host, port)
        place = f"[{address}]" if address.version == 6 else str(address)
        shown = f"[{host}]" if ":" in host else host
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": shown if port == _PORTS[parts.scheme] else f"{shown}:{port}", "Accept-Encoding": "identity"}
        request = client.build_request("GET", f"{parts.scheme}://{place}:{port}{path}", headers=headers)
        # The certificate is checked against the name, although the connection goes to the address.
        request.extensions["sni_hostname"] = host
        response = await client.send(request, stream=True)
        stack.push_async_callback(response.aclose)
        return response

    def _allowed(self, url: str) -> tuple[SplitResult, str, int]:
        parts = urlsplit(url.strip())
        if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
            raise Refused("only addresses of the form https://host/path can be read")
        host = parts.hostname.rstrip(".").encode("idna").decode().lower()
        port = parts.port or _PORTS[parts.scheme]
        if not any(rule.allows(parts.scheme, host, port) for rule in self._rules):
            raise Refused(f"{parts.scheme}://{host}:{port} is not on this site's list of allowed hosts")
        return parts, host, port

    async def _resolved(self, host: str, port: int) -> Address:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not addresses or not all(self._open(address) for address in addresses):
            raise Refused(f"{host} is at an address that may not be read from here")
        return addresses[0]

    def _open(self, address: Address) -> bool:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if any(address in network for network in self._networks):
            return True
        return address.is_global and not address.is_multicast and not any(address in tunnel for tunnel in _TUNNELS)

    async def _read(self, url: str, response: httpx2.Response) -> str:
        if response.status_code != 200:
            raise Refused(f"{url} answered {response.status_code}")
        kind = response.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
        if not (kind.startswith("text/") or kind.endswith(("json", "xml"))):
            raise Refused(f"{url} is of the type {kind}, which is no text")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise Refused(f"{url} is compressed, although that wasn't asked for")
        data, whole = bytearray(), True
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > self._bytes:
                whole = False
                break
        text = bytes(data[: self._bytes]).decode(response.charset_encoding or "utf-8", errors="replace")
        if kind in ("text/html", "application/xhtml+xml"):
            text = text_of_html(text)
        return text[:_SHOWN] + ("" if whole and len(text) <= _SHOWN else "\n… (there is more)")
