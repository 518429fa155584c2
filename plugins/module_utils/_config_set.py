# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a configuration set is, and what has to change for a host to have it. Nothing here changes anything."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils._files import ABSENT, Entry, read_entry, sha256
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import unit_name

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$")
_MODE = re.compile(r"^(0[0-7]{3}|[0-7]{4})$")
# Directories that no one service owns. A purge there would remove what others put.
_SHARED = frozenset(
    {
        *("/etc/aigo", "/etc/aigo/pki", "/etc/apt", "/etc/cron.d", "/etc/default", "/etc/init.d", "/etc/logrotate.d"),
        *("/etc/pam.d", "/etc/pki", "/etc/security", "/etc/ssh", "/etc/ssl", "/etc/ssl/certs", "/etc/ssl/private"),
        *("/etc/sudoers.d", "/etc/sysctl.d", "/etc/systemd", "/etc/systemd/system", "/run/systemd", "/usr/bin"),
        *("/usr/lib", "/usr/lib/systemd", "/usr/lib/systemd/system", "/usr/local", "/usr/local/bin", "/usr/local/sbin"),
        *("/usr/sbin", "/usr/share", "/var/cache", "/var/lib", "/var/lib/aigo", "/var/log", "/var/spool"),
    }
)
_UNIT_DIRECTORIES = ("/etc/systemd/system/", "/run/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/",
                     "/usr/local/lib/systemd/system/")  # fmt: skip


class ConfigSetError(Exception):
    """A set that cannot be had. C(details) becomes part of the module's result."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class WantedFile:
    """A file of the set. C(content) None: the file must not exist. C(once): only made when absent."""

    path: str
    content: bytes | None
    owner: str
    group: str
    mode: int
    sensitive: bool | None = None
    once: bool = False

    def hidden(self, before: Entry) -> bool:
        """Content is hidden when declared sensitive, or by default when not everyone may read it."""
        if self.sensitive is not None:
            return self.sensitive
        return not self.mode & 0o004 or (before.kind == "file" and not before.mode & 0o004)


@dataclass(frozen=True)
class WantedDirectory:
    """A directory of the set with its owner and mode."""

    path: str
    owner: str
    group: str
    mode: int


@dataclass(frozen=True)
class WantedUnit:
    """A unit that the set keeps started or stopped. C(enabled) None leaves its enablement alone."""

    name: str
    state: str
    enabled: bool | None
    on_change: str


@dataclass(frozen=True)
class WantedSet:
    """A whole configuration set, checked."""

    name: str
    files: tuple[WantedFile, ...] = ()
    directories: tuple[WantedDirectory, ...] = ()
    purge: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()
    units: tuple[WantedUnit, ...] = ()


@dataclass(frozen=True)
class Change:
    """One path on its way from C(before) to C(after)."""

    path: str
    before: Entry
    after: Entry
    hidden: bool = False

    @property
    def activates(self) -> bool:
        """Directories are only places: making one gives no service anything new to read."""
        return "file" in (self.before.kind, self.after.kind) or "link" in (self.before.kind, self.after.kind)


@dataclass(frozen=True)
class Accounts:
    """Names to ids; a name that the host does not know is None."""

    user: Callable[[str], int | None]
    group: Callable[[str], int | None]


@dataclass(frozen=True)
class Plan:
    """What to do. C(changes) are in the order in which they must be made."""

    changes: tuple[Change, ...]
    digest: str
    managed: tuple[str, ...]
    activate: bool
    daemon_reload: bool
    unknown_accounts: tuple[str, ...] = field(default=())

    @property
    def paths(self) -> list[str]:
        return [change.path for change in self.changes]


def parse(raw: Mapping[str, Any]) -> WantedSet:
    """Check a rendered set. Raises ConfigSetError that lists every mistake."""
    mistakes: list[str] = []
    name = str(raw["name"])
    if not _NAME.match(name):
        mistakes.append(f"name: {name!r} may hold only letters, digits and . _ @ -")
    files = tuple(_file(item, mistakes) for item in raw.get("files", ()))
    directories = tuple(
        WantedDirectory(_path(item["path"], "directories", mistakes), *_ownership(item, "directories", mistakes))
        for item in raw.get("directories", ())
    )
    purge = tuple(_purge(path, mistakes) for path in raw.get("purge", ()))
    watch = tuple(_path(path, "watch", mistakes) for path in raw.get("watch", ()))
    units = tuple(_unit(item) for item in raw.get("units", ()))
    for command in raw.get("validate", ()):
        _command(command, mistakes)
    _duplicates("path", [item.path for item in files] + [item.path for item in directories], mistakes)
    _duplicates("unit", [unit.name for unit in units], mistakes)
    if mistakes:
        raise ConfigSetError(
            f"config_set {name}: {len(mistakes)} mistake(s) in its options:\n- " + "\n- ".join(mistakes)
        )
    return WantedSet(name, files, directories, purge, watch, tuple(raw.get("validate", ())), units)


def _file(item: Mapping[str, Any], mistakes: list[str]) -> WantedFile:
    label = "once" if item.get("once") else "files"
    path = _path(item["path"], label, mistakes)
    content = item.get("content")
    return WantedFile(
        path,
        None if content is None else content.encode("utf-8", "surrogateescape"),
        *_ownership(item, f"{label}: {path}", mistakes),
        item.get("sensitive"),
        bool(item.get("once")),
    )


def _ownership(item: Mapping[str, Any], label: str, mistakes: list[str]) -> tuple[str, str, int]:
    mode = str(item["mode"])
    if not _MODE.match(mode):
        mistakes.append(f'{label}: mode {mode!r} is not a quoted octal mode of four digits such as "0640"')
        mode = "0600"
    return str(item["owner"]), str(item["group"]), int(mode, 8)


def _path(path: str, label: str, mistakes: list[str]) -> str:
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        mistakes.append(f"{label}: {path!r} is not an absolute path without '..'")
    elif path.rstrip("/") == "":
        mistakes.append(f"{label}: {path!r} is the root directory")
    return str(PurePosixPath(path))


def _purge(path: str, mistakes: list[str]) -> str:
    clean = _path(path, "purge", mistakes)
    if len(PurePosixPath(clean).parts) < 3 or clean in _SHARED:
        mistakes.append(f"purge: {clean!r} is too broad; name a directory that belongs to this service alone")
    return clean


def _unit(item: Mapping[str, Any]) -> WantedUnit:
    state = item.get("state", "started")
    enabled = item.get("enabled")
    return WantedUnit(
        unit_name(item["name"]),
        state,
        state == "started" if enabled is None else bool(enabled),
        item.get("on_change", "restart"),
    )


def _command(command: str, mistakes: list[str]) -> None:
    try:
        if shlex.split(command):
            return
        mistakes.append("validate: an empty command")
    except ValueError as error:
        mistakes.append(f"validate: {command!r} cannot be split into words: {error}")


def _duplicates(what: str, names: Sequence[str], mistakes: list[str]) -> None:
    mistakes.extend(f"{what} {name!r} is listed twice" for name in sorted({n for n in names if names.count(n) > 1}))


def plan(wanted: WantedSet, activated_digest: str | None, accounts: Accounts) -> Plan:
    """Compare the set with the host. Reads files, changes nothing. Raises ConfigSetError where a path is in the way."""
    directories = _directory_changes(wanted, accounts)
    files = [change for file in wanted.files if (change := _file_change(file, accounts))]
    parents = _parent_changes(wanted, {change.path for change in directories})
    removals = _purge_changes(wanted)
    made = [change for change in files if change.after.kind != "absent"]
    gone = [change for change in files if change.after.kind == "absent"]
    changes = (*sorted([*parents, *directories], key=lambda change: change.path), *made, *gone, *removals)
    digest = _digest(wanted)
    return Plan(
        changes=changes,
        digest=digest,
        managed=tuple(sorted(file.path for file in wanted.files if file.content is not None and not file.once)),
        activate=digest != activated_digest or any(change.activates for change in changes),
        daemon_reload=any(is_unit_file(change.path) for change in changes if change.activates),
        unknown_accounts=_unknown_accounts(wanted, accounts),
    )


def is_unit_file(path: str) -> bool:
    """True for anything from which systemd makes units, drop-ins included."""
    return path.startswith(_UNIT_DIRECTORIES)


def belongs_to_unit(path: str, unit: str) -> bool:
    """True where the path is the unit's own file or one of its drop-ins (those of its template included)."""
    if not is_unit_file(path):
        return False
    stem, _dot, suffix = unit.rpartition(".")
    names = {unit, f"{stem.split('@')[0]}@.{suffix}" if "@" in stem else unit}
    file = PurePosixPath(path)
    return file.name in names or file.parent.name in {f"{name}.d" for name in names}


def _directory_changes(wanted: WantedSet, accounts: Accounts) -> list[Change]:
    changes = []
    for item in wanted.directories:
        before = read_entry(item.path, follow=True)
        if before.kind not in ("absent", "directory"):
            raise ConfigSetError(
                f"config_set {wanted.name}: {item.path} is a {before.kind}, a directory is wanted there"
            )
        after = Entry("directory", b"", item.mode, accounts.user(item.owner), accounts.group(item.group))
        if before != after:
            changes.append(Change(item.path, before, after))
    return changes


def _parent_changes(wanted: WantedSet, made: set[str]) -> list[Change]:
    """Missing parents of files and directories, which are made with mode 0755 and belong to who runs (root)."""
    missing: dict[str, Change] = {}
    needed = [f.path for f in wanted.files if f.content is not None] + [d.path for d in wanted.directories]
    for path in needed:
        for parent in Path(path).parents:
            if parent.is_dir() or str(parent) in made or str(parent) in missing:
                break
            if parent.is_symlink() or parent.exists():
                raise ConfigSetError(
                    f"config_set {wanted.name}: {parent} is not a directory, but {path} is to be in it"
                )
            missing[str(parent)] = Change(str(parent), ABSENT, Entry("directory", b"", 0o755))
    return list(missing.values())


def _file_change(file: WantedFile, accounts: Accounts) -> Change | None:
    before = read_entry(file.path)
    if file.once and before.kind != "absent":
        return None
    if before.kind in ("directory", "other"):
        raise ConfigSetError(f"config_set: {file.path} is a {before.kind}, a file is wanted there; move it away first")
    if file.content is None:
        return None if before.kind == "absent" else Change(file.path, before, ABSENT, file.hidden(before))
    after = Entry("file", file.content, file.mode, accounts.user(file.owner), accounts.group(file.group))
    return None if before == after else Change(file.path, before, after, file.hidden(before))


def _purge_changes(wanted: WantedSet) -> list[Change]:
    listed = {file.path for file in wanted.files} | {directory.path for directory in wanted.directories}
    listed |= {*wanted.watch, *wanted.purge}
    changes: list[Change] = []
    for directory in wanted.purge:
        if not Path(directory).is_symlink():
            _purge_below(Path(directory), listed, changes)
    return changes


def _purge_below(directory: Path, listed: set[str], changes: list[Change]) -> bool:
    """Collect removals, children before their directory. True when nothing would be left in it."""
    empty = True
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        entry = read_entry(path)
        if entry.kind == "directory":
            keep = not _purge_below(path, listed, changes) or str(path) in listed
        else:
            keep = str(path) in listed or entry.kind == "other"
        if keep:
            empty = False
        else:
            changes.append(Change(str(path), entry, ABSENT, entry.kind == "file" and not entry.mode & 0o004))
    return empty


def _digest(wanted: WantedSet) -> str:
    """What the units were last activated with: the wanted files and the content of the watched ones."""
    files = [
        [f.path, "" if f.content is None else sha256(f.content), f.owner, f.group, f.mode]
        for f in sorted(wanted.files, key=lambda f: f.path)
        if not f.once
    ]
    watched = []
    for path in sorted(wanted.watch):
        entry = read_entry(path, follow=True)
        watched.append([path, sha256(entry.content) if entry.kind == "file" else entry.kind])
    return sha256(json.dumps([files, watched]).encode())


def _unknown_accounts(wanted: WantedSet, accounts: Accounts) -> tuple[str, ...]:
    owners = [(file.owner, file.group) for file in wanted.files if file.content is not None]
    owners += [(directory.owner, directory.group) for directory in wanted.directories]
    users = {f"user {user}" for user, _group in owners if accounts.user(user) is None}
    groups = {f"group {group}" for _user, group in owners if accounts.group(group) is None}
    return tuple(sorted(users | groups))
