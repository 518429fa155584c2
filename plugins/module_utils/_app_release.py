# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases of the application on a host: which are there, which is current, how one is installed and left."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MARKER = ".release.json"


class ReleaseError(Exception):
    """A release can't be made, installed or activated; the message says why and how to mend it."""


@dataclass(frozen=True)
class State:
    """The complete releases on a host, oldest first, and the two that the links name (empty: no such link)."""

    releases: tuple[str, ...] = ()
    current: str = ""
    previous: str = ""

    def lines(self) -> str:
        """Describe the state, for a diff."""
        listed = "".join(f"release {release}\n" for release in self.releases)
        return f"current: {self.current or '(none)'}\nprevious: {self.previous or '(none)'}\n{listed}"


@dataclass(frozen=True)
class Plan:
    """What has to happen, and the state that it leads to."""

    before: State
    after: State
    install: str = ""
    prune: tuple[str, ...] = field(default=())

    @property
    def activates(self) -> bool:
        """Whether the link to the current release moves."""
        return self.before.current != self.after.current

    @property
    def changed(self) -> bool:
        """Whether anything happens."""
        return self.before != self.after


def plan_present(state: State, release: str, *, activate: bool, keep: int) -> Plan:
    """Plan for a release to be there, to be current where ``activate`` says so, and for old ones to go."""
    install = "" if release in state.releases else release
    releases = (*state.releases, install) if install else state.releases
    current, previous = state.current, state.previous
    if activate and current != release:
        current, previous = release, state.current
    after, pruned = _pruned(State(releases, current, previous), keep, {release})
    return Plan(state, after, install, pruned)


def plan_rolled_back(state: State) -> Plan:
    """Plan for the previous release to be current again; the current one becomes the previous."""
    if not state.previous or state.previous not in state.releases:
        raise ReleaseError(
            f"there is no previous release to go back to (current: {state.current or 'none'}; "
            f"installed: {', '.join(state.releases) or 'none'})"
        )
    return Plan(state, State(state.releases, state.previous, state.current))


def _pruned(state: State, keep: int, wanted: set[str]) -> tuple[State, tuple[str, ...]]:
    kept = {*state.releases[-keep:], state.current, state.previous, *wanted}
    pruned = tuple(release for release in state.releases if release not in kept)
    releases = tuple(release for release in state.releases if release in kept)
    return State(releases, state.current, state.previous), pruned


class Releases:
    """The tree ``/opt/aigo``: ``releases/<id>`` (virtual environments), ``wheels/``, ``current`` and ``previous``."""

    def __init__(self, root: Path, python: str) -> None:
        self.root = root
        self.wheels = root / "wheels"
        self._python = python

    def path(self, release: str) -> Path:
        """Return where a release is."""
        return self.root / "releases" / release

    def python_version(self) -> str:
        """Return the version of the host's Python, such as ``3.13``."""
        if match := re.fullmatch(r"python(\d+\.\d+)", Path(self._python).resolve().name):
            return match[1]
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        return _run([self._python, "-c", code], f"python: {self._python}").strip()

    def state(self) -> State:
        """Read the tree; a release without its marker was interrupted and does not count."""
        markers = sorted((self.root / "releases").glob(f"*/{_MARKER}"), key=lambda path: path.stat().st_mtime_ns)
        return State(tuple(path.parent.name for path in markers), self._link("current"), self._link("previous"))

    def stored_wheels(self) -> dict[str, str]:
        """Return the wheels that needn't be sent again, with their hashes."""
        return {path.name: _hash(path) for path in sorted(self.wheels.glob("*.whl"))}

    def install(
        self, release: str, archive: Path | None, wheels: Mapping[str, str], requirements: str, uv: str
    ) -> None:
        """Make the release's virtual environment from wheels alone.

        ``wheels`` are all files needed by name, with their hashes; ``uv`` names the one that carries the installer.
        Scripts of a virtual environment hold its path, so it is made in place and a marker ends the work; what an
        interrupted run left is removed first.
        """
        self._store(archive, wheels)
        target = self.path(release)
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=".install-") as temporary:
            tool = _extract_uv(self.wheels / uv, Path(temporary))
            locked = Path(temporary) / "requirements.txt"
            locked.write_text(requirements)
            python = str(target / "bin" / "python")
            # The cache lies on the same file system, so that files are linked into their place instead of copied.
            options = ["--quiet", "--offline", "--no-config", "--cache-dir", str(Path(temporary) / "cache")]
            run_uv = [str(tool), *options]
            _run([*run_uv, "venv", "--python", self._python, "--prompt", "aigo", str(target)], "uv venv")
            _run(
                [*run_uv, "pip", "install", "--python", python, "--no-index", "--find-links", str(self.wheels),
                 "--require-hashes", "--requirements", str(locked)],
                "uv pip install",
            )  # fmt: skip
            _run([*run_uv, "pip", "check", "--python", python], "uv pip check")
        # Services can't write here, so bytecode is made now; by compileall, which takes half of uv's time for it. Its
        # exit code says no more than that some package carries a template that is not Python.
        _run([python, "-m", "compileall", "-q", "-j", "0", str(target / "lib")], "compileall", check=False)
        (target / ".lock").unlink(missing_ok=True)  # uv leaves it writable for everyone
        (target / _MARKER).write_text(json.dumps({"release": release, "wheels": sorted(wheels)}, indent=1))

    def activate(self, state: State) -> None:
        """Point the links where the state says, each in one step."""
        if not (self.path(state.current) / _MARKER).exists():
            raise ReleaseError(f"{self.path(state.current)} is not a complete release: install it first")
        for name, release in (("previous", state.previous), ("current", state.current)):
            if release:
                new = self.root / f".{name}.new"
                new.unlink(missing_ok=True)
                new.symlink_to(Path("releases") / release)
                new.replace(self.root / name)

    def prune(self, releases: Sequence[str]) -> None:
        """Remove releases, and the wheels that none of the others was made of."""
        for release in releases:
            (self.path(release) / _MARKER).unlink()
            shutil.rmtree(self.path(release))
        used: set[str] = set()
        for marker in (self.root / "releases").glob(f"*/{_MARKER}"):
            used.update(json.loads(marker.read_text())["wheels"])
        for path in self.wheels.glob("*.whl"):
            if path.name not in used:
                path.unlink()

    def _link(self, name: str) -> str:
        link = self.root / name
        return link.readlink().name if link.is_symlink() else ""

    def _store(self, archive: Path | None, wheels: Mapping[str, str]) -> None:
        for directory in (self.root, self.wheels, self.root / "releases"):
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o755)
        if archive:
            with tarfile.open(archive) as members:
                for member in members:
                    stream = members.extractfile(member)
                    if stream is None or member.name not in wheels:
                        raise ReleaseError(f"the archive holds {member.name!r}, which the release does not name")
                    part = self.wheels / f".{member.name}.part"
                    with stream, part.open("wb") as output:
                        shutil.copyfileobj(stream, output)
                    part.replace(self.wheels / member.name)
        for name, wanted in wheels.items():
            path = self.wheels / name
            if not path.is_file():
                raise ReleaseError(f"{path} is missing although it should have been sent: run the playbook again")
            if _hash(path) != wanted:
                path.unlink()
                raise ReleaseError(f"{path} was damaged and has been removed: run the playbook again")


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _extract_uv(wheel: Path, destination: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        name = next((name for name in archive.namelist() if name.endswith(".data/scripts/uv")), None)
        if name is None:
            raise ReleaseError(f"{wheel} holds no uv")
        tool = destination / "uv"
        tool.write_bytes(archive.read(name))
    tool.chmod(0o700)
    return tool


def _run(command: Sequence[str], what: str, *, check: bool = True) -> str:
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "UV_PYTHON_DOWNLOADS": "never"}
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    except FileNotFoundError:
        raise ReleaseError(f"{what}: {command[0]} does not exist on the host") from None
    if check and result.returncode != 0:
        raise ReleaseError(f"{what} failed: {(result.stderr or result.stdout).strip()}")
    return result.stdout
