# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evidence of one host: findings joined with their controls and with the exceptions that the site has made."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


class ExceptionError(Exception):
    """Exceptions that are written wrongly; every mistake is named."""


def checked_exceptions(
    raw: Sequence[Mapping[str, Any]], known: Sequence[str], host: str, groups: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    """The exceptions that concern a host, by control. Each needs a reason, an owner and a day on which it ends."""
    mistakes = []
    found = {}
    for number, item in enumerate(raw):
        label = f"aigo_compliance_exceptions[{number}] ({item.get('control', 'no control')})"
        for key in ("control", "reason", "owner", "expires"):
            if not item.get(key):
                mistakes.append(f"{label}: {key} is missing")
        if item.get("control") and item["control"] not in known:
            mistakes.append(f"{label}: there is no such control")
        if item.get("expires"):
            try:
                datetime.date.fromisoformat(str(item["expires"]))
            except ValueError:
                mistakes.append(f"{label}: expires {item['expires']!r} is not a day such as 2027-06-30")
        places = item.get("hosts") or [host]
        if host in places or set(groups).intersection(places):
            found[str(item.get("control"))] = item
    if mistakes:
        raise ExceptionError(f"{len(mistakes)} mistake(s):\n- " + "\n- ".join(mistakes))
    return found


def evidence(
    host: str,
    controls: Sequence[Mapping[str, Any]],
    findings: Sequence[Mapping[str, str]],
    exceptions: Mapping[str, Mapping[str, Any]],
    now: datetime.datetime,
) -> dict[str, Any]:
    """The document for one host. A failure under an exception counts as C(excepted) until the exception ends."""
    rows = [_row(*pair, exceptions, now) for pair in zip(controls, findings, strict=True)]
    counts = Counter(row["status"] for row in rows)
    judged = counts["pass"] + counts["fail"] + counts["excepted"]
    return {
        "host": host,
        "checked_at": now.isoformat(timespec="seconds"),
        "summary": {
            **{status: counts[status] for status in ("pass", "fail", "excepted", "not_applicable")},
            "score": round(100 * counts["pass"] / judged, 1) if judged else 0.0,
        },
        "controls": rows,
    }


def _row(
    control: Mapping[str, Any],
    finding: Mapping[str, str],
    exceptions: Mapping[str, Mapping[str, Any]],
    now: datetime.datetime,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": control["id"],
        "title": control["title"],
        "cis": control.get("cis"),
        "anssi": control.get("anssi"),
        "wanted": finding["wanted"],
        "found": finding["found"],
        "status": finding["status"],
        "checked_at": now.isoformat(timespec="seconds"),
    }
    made = exceptions.get(control["id"])
    if made and row["status"] == "fail":
        expired = datetime.date.fromisoformat(str(made["expires"])) < now.date()
        row["status"] = "fail" if expired else "excepted"
        row["exception"] = {
            "reason": made["reason"],
            "owner": made["owner"],
            "expires": str(made["expires"]),
            "expired": expired,
        }
    return row


def drift(document: Mapping[str, Any]) -> list[str]:
    """One line for each control that the host does not meet and nobody has excepted."""
    lines = []
    for row in document["controls"]:
        if row["status"] == "fail":
            ended = f"; the exception of {row['exception']['owner']} has ended" if "exception" in row else ""
            lines.append(f"{row['id']}: wanted {row['wanted']}, found {row['found']}{ended}")
    return lines
