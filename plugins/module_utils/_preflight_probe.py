# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight asks of the network: package sources and routes, each within a few seconds, all at once."""

from __future__ import annotations

import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ONE_LINE = re.compile(r"^deb(?:-src)?\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)")


@dataclass(frozen=True)
class Source:
    """One suite of a package source."""

    uri: str
    suite: str

    def indexes(self) -> list[str]:
        """URLs of which one has to answer; a suite that ends with a slash is a path of its own."""
        base = self.uri.rstrip("/")
        folder = (
            f"{base}/{self.suite.strip('/')}".rstrip("/") if self.suite.endswith("/") else f"{base}/dists/{self.suite}"
        )
        return [f"{folder}/InRelease", f"{folder}/Release"]


def parse_sources(text: str) -> list[Source]:
    """Package sources in apt's one-line or deb822 form; disabled ones and sources of source code are left out."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        fields: dict[str, str] = {}
        key = ""
        for line in lines:
            one = _ONE_LINE.match(line.strip())
            if one:
                if not line.strip().startswith("deb-src"):
                    found.append(Source(one["uri"], one["suite"]))
            elif line[0].isspace() and key:
                fields[key] += f" {line.strip()}"
            else:
                key, _colon, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0") or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            found += [Source(uri, suite) for suite in fields.get("suites", "").split()]
    return list(dict.fromkeys(found))


def read_sources(root: Path = Path("/")) -> list[Source]:
    """Package sources that the host has."""
    apt = root / "etc/apt"
    files = [
        apt / "sources.list",
        *sorted(apt.glob("sources.list.d/*.list")),
        *sorted(apt.glob("sources.list.d/*.sources")),
    ]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files if path.is_file()]
    return list(dict.fromkeys(source for text in texts for source in parse_sources(text)))


def parse_proxies(dump: str) -> dict[str, str]:
    """Proxies by scheme, from ``apt-config dump``."""
    proxies = {}
    for scheme in ("http", "https"):
        match = re.search(rf'^Acquire::{scheme}::proxy "([^"]*)";', dump, re.MULTILINE | re.IGNORECASE)
        if match and match[1] and match[1].upper() != "DIRECT":
            proxies[scheme] = match[1]
    # As in apt, the proxy for http serves https where that has none of its own.
    if "http" in proxies:
        proxies.setdefault("https", proxies["http"])
    return proxies


def _ask(url: str, proxies: Mapping[str, str], timeout: float) -> str:
    """Why a URL does not answer; empty when it does."""
    # Only whether it answers counts here; apt verifies by its own settings, which may name another authority.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler(dict(proxies)), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(urllib.request.Request(url, method="HEAD"), timeout=timeout):  # noqa: S310 (http and https)
            return ""
    except urllib.error.HTTPError as error:
        # Who asks for a password answers; apt has one in its own configuration.
        return "" if error.code in (401, 403, 407) else f"{url} says {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return f"{url}: {getattr(error, 'reason', error)}"


def probe_source(source: Source, proxies: Mapping[str, str], timeout: float) -> dict[str, Any]:
    """Whether a package source answers."""
    answer = {"uri": f"{source.uri} {source.suite}", "reachable": True, "error": ""}
    scheme = source.uri.partition(":")[0]
    if scheme in ("file", "copy", "cdrom"):
        path = Path(source.uri.partition(":")[2].replace("//", "/", 1))
        if scheme != "cdrom" and not path.is_dir():
            answer.update(reachable=False, error=f"{path} is no directory")
    elif scheme in ("http", "https"):
        for url in source.indexes():
            error = _ask(url, proxies, timeout)
            answer.update(reachable=not error, error=error)
            if not error or " says 404 " not in error:
                break
    return answer


def probe_route(route: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """Whether packets reach an address: a refusal is an answer, too."""
    answer = {"address": route["address"], "port": route["port"], "reachable": True, "error": ""}
    try:
        socket.create_connection((str(route["address"]), int(route["port"])), timeout).close()
    except ConnectionRefusedError:
        pass
    except OSError as error:
        answer.update(reachable=False, error=str(error) or type(error).__name__)
    return answer


def probe_all(probe: Callable[[Any], dict[str, Any]], targets: Sequence[Any]) -> list[dict[str, Any]]:
    """Run a probe on all targets at once, in their order."""
    if not targets:
        return []
    with ThreadPoolExecutor(max_workers=min(16, len(targets))) as pool:
        return list(pool.map(probe, targets))
