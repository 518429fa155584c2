# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wheels on the controller that fulfil a lock for a host's Python: found, verified, fetched when missing."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ansible_collections.aigo.onprem.plugins.module_utils._app_release import ReleaseError

try:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.tags import Tag, compatible_tags, cpython_tags
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
    from packaging.version import Version
except ImportError:
    _AVAILABLE = False
else:
    _AVAILABLE = True

# Debian 12, the oldest target, has glibc 2.36.
_GLIBC_MINORS = range(36, 4, -1)
_LEGACY_PLATFORMS = ("manylinux2014", "manylinux2010", "manylinux1")
_PARALLEL_DOWNLOADS = 4
_PINS_WORTH_A_PROCESS = 8


@dataclass(frozen=True)
class Target:
    """A kind of host: its Python version, such as ``3.13``, and its machine, such as ``x86_64``."""

    python_version: str
    machine: str

    @cached_property
    def platforms(self) -> list[str]:
        """Platform tags that run on such a host, best first."""
        modern = [f"manylinux_2_{minor}_{self.machine}" for minor in _GLIBC_MINORS]
        return [*modern, *(f"{legacy}_{self.machine}" for legacy in _LEGACY_PLATFORMS), f"linux_{self.machine}"]

    @cached_property
    def ranks(self) -> dict[Tag, int]:
        """Every wheel tag that fits, with its rank; the lowest is the best."""
        version = tuple(map(int, self.python_version.split(".")))
        interpreter = f"cp{version[0]}{version[1]}"
        tags = [
            *cpython_tags(version, platforms=self.platforms),
            *compatible_tags(version, interpreter, platforms=self.platforms),
        ]
        return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}

    @property
    def markers(self) -> dict[str, str]:
        """The environment in which a lock's markers are evaluated."""
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python_version}.0",
            "python_version": self.python_version,
            "sys_platform": "linux",
        }


@dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    name: str
    version: str
    hashes: frozenset[str]

    def line(self) -> str:
        """Write it as a line of a requirements file."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{value}" for value in sorted(self.hashes))])


@dataclass(frozen=True)
class Wheel:
    """A file that fulfils a pin, and its hash."""

    path: Path
    name: str
    version: str
    sha256: str

    @classmethod
    def of(cls, path: Path, name: str, version: str) -> Wheel:
        """Describe a file as it is now."""
        return cls(path, name, version, file_hash(path))

    def line(self) -> str:
        """Write it as a line of a requirements file that accepts this file alone."""
        return Pin(self.name, self.version, frozenset([self.sha256])).line()


def parse_lock(text: str, target: Target, where: str) -> list[Pin]:
    """Read a lock in the form of ``uv pip compile --generate-hashes``; leave out what the target does not need."""
    if not _AVAILABLE:
        raise ReleaseError("the controller's Python has no packaging, which reads locks: pip install packaging")
    pins = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        content = line.split(" #")[0].strip()
        if not content or content.startswith(("#", "--")):
            continue
        try:
            requirement = Requirement(content.split("--hash")[0].strip())
        except InvalidRequirement:
            raise ReleaseError(f"{where}: {content.split()[0]!r} is not a pinned package") from None
        hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", content))
        exact = re.fullmatch(r"==([^*,]+)", str(requirement.specifier))
        if not exact or not hashes:
            raise ReleaseError(f"{where}: {requirement.name} needs an exact version and hashes")
        if requirement.marker is None or requirement.marker.evaluate(target.markers):
            pins.append(Pin(canonicalize_name(requirement.name), str(Version(exact[1])), hashes))
    return pins


class Wheelhouse:
    """Wheels in the cache, or in a directory that an air-gapped site carried in; the latter is never written to."""

    def __init__(self, cache: Path, carried: Path | None = None) -> None:
        self._cache = cache
        self._carried = carried

    def collect(self, pins: Sequence[Pin], target: Target) -> list[Wheel]:
        """Return a verified wheel for every pin; fetch what is missing unless the wheelhouse was carried in."""
        directory = self._carried or self._cache
        if self._carried and not self._carried.is_dir():
            raise ReleaseError(f"wheelhouse: {self._carried} is not a directory on the controller")
        found = self._find(directory, pins, target)
        missing = [pin for pin in pins if pin not in found]
        if missing and self._carried:
            raise ReleaseError(
                f"wheelhouse: {self._carried} lacks, for Python {target.python_version} on {target.machine}, "
                f"or has with another hash: {_names(missing)}"
            )
        if missing:
            self._cache.mkdir(parents=True, exist_ok=True)
            self._download(missing, target)
            found = self._find(self._cache, pins, target)
            lacking = [pin for pin in pins if pin not in found]
            if lacking:
                raise ReleaseError(f"the package index has no wheel with the locked hash of {_names(lacking)}")
        return [found[pin] for pin in pins]

    @staticmethod
    def _find(directory: Path, pins: Iterable[Pin], target: Target) -> Mapping[Pin, Wheel]:
        wanted = {(pin.name, pin.version): pin for pin in pins}
        best: dict[Pin, tuple[int, Wheel]] = {}
        for path in directory.glob("*.whl"):
            try:
                name, version, _build, tags = parse_wheel_filename(path.name)
            except InvalidWheelFilename:
                continue
            pin = wanted.get((name, str(version)))
            rank = min((target.ranks[tag] for tag in tags if tag in target.ranks), default=None)
            if pin is None or rank is None or (pin in best and best[pin][0] <= rank):
                continue
            wheel = Wheel.of(path, pin.name, pin.version)
            if wheel.sha256 in pin.hashes:
                best[pin] = (rank, wheel)
        return {pin: wheel for pin, (_rank, wheel) in best.items()}

    def _download(self, pins: Sequence[Pin], target: Target) -> None:
        with tempfile.TemporaryDirectory(dir=self._cache) as temporary:
            count = min(_PARALLEL_DOWNLOADS, 1 + len(pins) // _PINS_WORTH_A_PROCESS)
            parts = [pins[offset::count] for offset in range(count)]
            with ThreadPoolExecutor(count) as pool:
                jobs = [pool.submit(_pip_download, part, target, Path(temporary)) for part in parts]
            for job in jobs:
                job.result()
            for path in Path(temporary).glob("*.whl"):
                path.replace(self._cache / path.name)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pip_download(pins: Sequence[Pin], target: Target, destination: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write("".join(f"{pin.line()}\n" for pin in pins))
        requirements.flush()
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary=:all:", "--require-hashes", "--implementation", "cp"),
            *("--python-version", target.python_version, "--dest", str(destination), "-r", requirements.name),
        ]
        command += [f"--platform={platform}" for platform in target.platforms]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ReleaseError(
            f"the controller can't fetch {_names(pins)} for Python {target.python_version} on {target.machine}: "
            f"{result.stderr.strip()}. Where there is no package index, give a wheelhouse"
        )


def _names(pins: Iterable[Pin]) -> str:
    return ", ".join(sorted(f"{pin.name} {pin.version}" for pin in pins))
