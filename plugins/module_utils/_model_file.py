# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Large files whose digest must hold: verified once, then recognised by size, inode and time of change.

Reading tens of gigabytes at every run would make each of them slow, so a verified file is remembered in a small file
beside it. Whoever writes to the file changes its time, and it is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
MEMORY = ".verified.json"
KEPT = 2

_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelFileError(Exception):
    """A model file that can't be used; the message names the file, what is wrong and the mend."""


@dataclass(frozen=True)
class Plan:
    """Where the file is to be, and whether it still has to be brought there."""

    path: Path
    upload: bool
    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.upload


def checked_digest(value: str) -> str:
    """The digest in lower case; raises ModelFileError where it is none."""
    digest = value.strip().lower()
    if not _SHA256.fullmatch(digest):
        raise ModelFileError(f"sha256 is {value!r}: give the 64 hexadecimal digits that sha256sum prints")
    return digest


def shipped_path(directory: Path, name: str, digest: str) -> Path:
    """Where a shipped file lies: its name carries the digest, so that a new file never overwrites one in use."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(name).stem)
    return directory / f"{stem}-{digest[:12]}.gguf"


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a file of any size."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def verify(path: Path, digest: str) -> None:
    """Read the whole file; raises ModelFileError unless it is a GGUF file of this digest."""
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(MAGIC))
        found = file_digest(path)
    except OSError as error:
        raise ModelFileError(f"the model file {path} can't be read: {error.strerror}") from error
    if magic != MAGIC:
        raise ModelFileError(f"{path} is no GGUF file: convert the model, or give the right file")
    if found != digest:
        raise ModelFileError(
            f"{path} has the SHA-256 {found}, not {digest}: fetch the file again, or correct the digest"
        )


class Memory:
    """Which files of a host were verified, and what they looked like then."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / MEMORY
        try:
            known = json.loads(self._file.read_text())
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, Any] = known if isinstance(known, dict) else {}

    def holds(self, path: Path, digest: str) -> bool:
        """Whether this very file was verified to have the digest, and has not been written to since."""
        return path.is_file() and self._known.get(str(path)) == _likeness(path, digest)

    def remember(self, path: Path, digest: str) -> None:
        """Note a verified file, forget what is gone, and write it down."""
        self._known = {name: likeness for name, likeness in self._known.items() if Path(name).exists()}
        self._known[str(path)] = _likeness(path, digest)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self._known, indent=1, sort_keys=True) + "\n")
        new.replace(self._file)


def _likeness(path: Path, digest: str) -> list[Any]:
    found = path.stat()
    return [digest, found.st_size, found.st_mtime_ns, found.st_ino]


def plan_shipped(directory: Path, name: str, digest: str) -> Plan:
    """Plan for a file that comes from the controller; a damaged copy is brought again."""
    path = shipped_path(directory, name, digest)
    before = "absent"
    if Memory(directory).holds(path, digest):
        before = digest
    elif path.is_file():
        before = file_digest(path)
    return Plan(path, before != digest, f"{path}: {before}\n", f"{path}: {digest}\n")


def install(directory: Path, uploaded: Path, path: Path, digest: str) -> list[str]:
    """Put an uploaded file in its place and return the older ones that were removed.

    The newest other file stays, since a server may have to go back to it.
    """
    verify(uploaded, digest)
    free = shutil.disk_usage(directory).free
    size = uploaded.stat().st_size
    new = path.with_suffix(".new")
    if uploaded.stat().st_dev == directory.stat().st_dev:
        uploaded.replace(new)
    elif free < size:
        raise ModelFileError(f"{directory} has {free >> 20} MiB free, {path.name} needs {size >> 20}: make room there")
    else:
        shutil.move(uploaded, new)
    os.chown(new, 0, 0)
    new.chmod(0o644)
    new.replace(path)
    Memory(directory).remember(path, digest)
    others = sorted((item for item in directory.glob("*.gguf") if item != path), key=lambda item: item.stat().st_mtime)
    removed = others[: max(0, len(others) - (KEPT - 1))]
    for item in removed:
        item.unlink()
    return [str(item) for item in removed]
