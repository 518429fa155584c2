# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single values in files that belong to packages, changed in place so that the rest stays the package's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence


def set_values(text: str, values: Mapping[str, str], separator: str) -> str:
    """The text with every key set exactly once: where it stands, else where it is commented out, else at the end."""
    lines = text.splitlines()
    for key, value in values.items():
        wanted = f"{key}{separator}{value}"
        live = _places(lines, rf"\s*{re.escape(key)}(?:\s*=\s*|\s+)\S")
        places = live or _places(lines, rf"#\s*{re.escape(key)}(?:\s*=|\s+)")[:1]
        if not places:
            lines.append(wanted)
            continue
        if not (live and _same(lines[places[0]], key, value)):
            lines[places[0]] = wanted
        for place in reversed(places[1:]):
            del lines[place]
    return "".join(f"{line}\n" for line in lines)


def add_lines(text: str, wanted: Sequence[str]) -> str:
    """The text with every wanted line in it, the missing ones at the end."""
    lines = text.splitlines()
    lines += [line for line in wanted if line not in lines]
    return "".join(f"{line}\n" for line in lines)


def _places(lines: Sequence[str], pattern: str) -> list[int]:
    return [place for place, line in enumerate(lines) if re.match(pattern, line)]


def _same(line: str, key: str, value: str) -> bool:
    return re.split(r"\s*=\s*|\s+", line.strip(), maxsplit=1) == [key, value]
