# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The application's source on the controller: its identity, its locks, its wheel."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.aigo.onprem.plugins.module_utils._app_release import ReleaseError

INSTALLER_LOCK = "installer.txt"

# Any fixed moment does; the first that a zip file can hold and that no time zone moves out of 1980.
_BUILD_EPOCH = "315619200"


@dataclass(frozen=True)
class Source:
    """A Python project with ``pyproject.toml``, ``src/`` and a lock for each Python version, ``locks/py313.txt``."""

    directory: Path
    name: str
    version: str

    @classmethod
    def open(cls, directory: Path) -> Source:
        """Read the project's name and version."""
        try:
            project = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
            return cls(directory, project["name"], project["version"])
        except FileNotFoundError:
            raise ReleaseError(f"source: {directory} has no pyproject.toml") from None
        except (tomllib.TOMLDecodeError, KeyError) as error:
            raise ReleaseError(f"source: {directory / 'pyproject.toml'} gives no name and version: {error}") from None

    def locks(self) -> dict[str, str]:
        """Return the text of each lock by Python version, such as ``3.13``."""
        found = {}
        for path in sorted((self.directory / "locks").glob("py*.txt")):
            if match := re.fullmatch(r"py(\d)(\d+)\.txt", path.name):
                found[f"{match[1]}.{match[2]}"] = path.read_text()
        if not found:
            raise ReleaseError(f"source: {self.directory / 'locks'} has no lock such as py313.txt")
        return found

    def installer_lock(self) -> str:
        """Return the lock that pins uv, which hosts install with."""
        try:
            return (self.directory / "locks" / INSTALLER_LOCK).read_text()
        except FileNotFoundError:
            raise ReleaseError(f"source: {self.directory / 'locks' / INSTALLER_LOCK} is missing; it pins uv") from None

    def release(self, lock: str) -> str:
        """Name the release that this source and a lock make: the version and a digest of what goes in."""
        digest = hashlib.sha256(lock.encode())
        for path in self._files():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(self.directory).as_posix()} {content}\n".encode())
        return f"{self.version}-{digest.hexdigest()[:8]}"

    def build(self, destination: Path) -> Path:
        """Return the project's wheel, built into ``destination`` unless it is there."""
        if built := next(iter(destination.glob("*.whl")), None):
            return built
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent) as temporary:
            command = [_uv(), "build", "--wheel", "--offline", "--no-config", "--quiet", "--no-create-gitignore"]
            result = subprocess.run(
                [*command, "--out-dir", temporary, str(self.directory)],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"SOURCE_DATE_EPOCH": _BUILD_EPOCH},
            )
            if result.returncode != 0:
                raise ReleaseError(f"uv build of {self.directory} failed: {result.stderr.strip()}")
            destination.mkdir(exist_ok=True)
            wheel = next(Path(temporary).glob("*.whl"))
            return wheel.rename(destination / wheel.name)

    def _files(self) -> Iterator[Path]:
        for path in sorted(self.directory.glob("*")):
            if path.is_file() and path.name.startswith(("pyproject.toml", "README", "LICENSE")):
                yield path
        for path in sorted((self.directory / "src").rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise ReleaseError("the controller has no uv, which builds the application's wheel: pip install uv")
    return found
