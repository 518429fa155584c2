# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill of failures: a writer that numbers what it writes through the site, and the report of what came of it."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.aigo.onprem.plugins.module_utils._site_client import SiteError

_PATH = "/api/v1/conversations"
_PAGE = 100
# The edge admits ten requests a second of one client; tidying up stays below that.
_TIDY_PAUSE = 0.12


class Client(Protocol):
    """What the writer needs of a site's client."""

    def request(self, method: str, path: str, body: Any = None, *, expect: tuple[int, ...] = (200,)) -> Any: ...


@dataclass(frozen=True)
class Write:
    """One write: its number, when it was answered, and the id that it got; none where it was refused."""

    number: int
    at: float
    id: str | None
    fault: str = ""


def write_until(
    client: Client,
    label: str,
    interval: float,
    over: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Write]:
    """Make numbered conversations, one an interval, until it is over."""
    written: list[Write] = []
    while not over():
        number, start = len(written) + 1, clock()
        try:
            answer = client.request("POST", _PATH, {"title": f"{label} {number}"}, expect=(201,))
            written.append(Write(number, clock(), str(answer.json()["id"])))
        except SiteError as error:
            written.append(Write(number, clock(), None, str(error)))
        sleep(max(0.0, interval - (clock() - start)))
    return written


def outage(written: Sequence[Write], interval: float) -> float:
    """The longest time without an acknowledged write, less the writer's own interval."""
    times = [write.at for write in written if write.id]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    return round(max([0.0, *(gap - interval for gap in gaps)]), 2)


def find(client: Client, label: str) -> set[str]:
    """Ids of all conversations of this label that the site has now."""
    found: set[str] = set()
    before = ""
    while True:
        page = client.request("GET", f"{_PATH}?limit={_PAGE}{f'&before={before}' if before else ''}").json()
        found |= {str(row["id"]) for row in page if str(row["title"]).startswith(label)}
        if len(page) < _PAGE:
            return found
        before = page[-1]["id"]


def tidy(client: Client, ids: Sequence[str], sleep: Callable[[float], None] = time.sleep) -> None:
    """Delete what the drill wrote."""
    for number in ids:
        client.request("DELETE", f"{_PATH}/{number}", expect=(204, 404))
        sleep(_TIDY_PAUSE)


def summarise(rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry a fault: outage and redundancy as least, median and most, and what was lost."""
    found = []
    for fault in dict.fromkeys(str(item["fault"]) for item in rounds):
        mine = [item for item in rounds if item["fault"] == fault]
        entry: dict[str, Any] = {"fault": fault, "rounds": len(mine), "lost": sum(int(item["lost"]) for item in mine)}
        for key in ("outage", "redundancy"):
            values = [float(item[key]) for item in mine]
            entry[key] = {"min": min(values), "median": round(statistics.median(values), 2), "max": max(values)}
        found.append(entry)
    return found


def _figures(values: Mapping[str, float]) -> str:
    return " / ".join(f"{values[name]:.1f}" for name in ("min", "median", "max"))


def markdown(site: str, moment: str, rounds: Sequence[Mapping[str, Any]]) -> str:
    """The report for people."""
    lines = [
        f"# Drill of failures: {site}, {moment}",
        "",
        "Outage is the longest time without an acknowledged write through the edge; redundancy is the time until",
        "every service of the site was in its place again. Seconds, least / median / most.",
        "",
        "| fault | rounds | outage | redundancy | acknowledged and lost |",
        "|---|---|---|---|---|",
    ]
    for entry in summarise(rounds):
        figures = [
            " / ".join(f"{entry[key][name]:.1f}" for name in ("min", "median", "max"))
            for key in ("outage", "redundancy")
        ]
        lines.append(f"| {entry['fault']} | {entry['rounds']} | {figures[0]} | {figures[1]} | {entry['lost']} |")
    lines += [
        "",
        "## Rounds",
        "",
        "| at | fault | on | writes | refused | outage | redundancy | lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    columns = ("at", "fault", "target", "writes", "refused", "outage", "redundancy", "lost")
    lines += [f"| {' | '.join(str(item[column]) for column in columns)} |" for item in rounds]
    return "\n".join(lines) + "\n"
