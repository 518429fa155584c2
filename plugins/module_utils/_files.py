# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is at a path, written down and put back: the pieces of a file transaction.

An C(Entry) says everything that matters about one path. C(read_entry) takes it, C(put_entry) makes it so, atomically.
Neither knows of Ansible.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["absent", "file", "link", "directory", "other"]

# A rename over these fails although writing to the file itself is allowed: the path is a mount point of its own.
_NOT_RENAMABLE = (errno.EBUSY, errno.EXDEV)
_DIFF_LIMIT = 100_000


@dataclass(frozen=True)
class Entry:
    """The state of one path. C(uid) and C(gid) are None where the account does not exist (yet)."""

    kind: Kind
    content: bytes = b""
    mode: int = 0
    uid: int | None = None
    gid: int | None = None
    target: str = ""


ABSENT = Entry("absent")


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256 of the content."""
    return hashlib.sha256(content).hexdigest()


def read_entry(path: str | Path, follow: bool = False) -> Entry:
    """Read what is at a path; a symbolic link is reported as such unless C(follow). Raises OSError if unreadable."""
    path = Path(path)
    try:
        found = path.stat() if follow else path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    mode, uid, gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    if stat.S_ISLNK(found.st_mode):
        return Entry("link", uid=uid, gid=gid, target=str(path.readlink()))
    if stat.S_ISDIR(found.st_mode):
        return Entry("directory", mode=mode, uid=uid, gid=gid)
    if stat.S_ISREG(found.st_mode):
        return Entry("file", path.read_bytes(), mode, uid, gid)
    return Entry("other", mode=mode, uid=uid, gid=gid)


def temporary_name(path: str | Path) -> Path:
    """The neighbour under which a new file is written: hidden, so that C(conf.d/*) does not match it."""
    path = Path(path)
    return path.with_name(f".{path.name}.aigo-new")


def put_entry(path: str | Path, entry: Entry) -> None:
    """Make the path what the entry says. A file is replaced in one step with its owner and mode already set.

    A directory that is not empty survives C(absent): what others put there is not ours to remove.
    """
    path = Path(path)
    if entry.kind == "file":
        _put_file(path, entry)
    elif entry.kind == "link":
        _put_link(path, entry)
    elif entry.kind == "directory":
        _put_directory(path, entry)
    elif entry.kind == "absent":
        _remove(path)
    else:
        raise OSError(errno.EINVAL, "only files, links and directories can be put", str(path))


def _owner(entry: Entry) -> tuple[int, int]:
    return (-1 if entry.uid is None else entry.uid, -1 if entry.gid is None else entry.gid)


def _put_file(path: Path, entry: Entry) -> None:
    new = temporary_name(path)
    new.unlink(missing_ok=True)
    _write(new, entry, os.O_CREAT | os.O_EXCL)
    try:
        new.replace(path)
    except OSError as error:
        new.unlink()
        if error.errno not in _NOT_RENAMABLE:
            raise
        _write(path, entry, os.O_TRUNC)


def _write(path: Path, entry: Entry, flags: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    with os.fdopen(handle, "wb") as stream:
        os.fchown(handle, *_owner(entry))
        os.fchmod(handle, entry.mode)
        stream.write(entry.content)
        stream.flush()
        os.fsync(handle)


def _put_link(path: Path, entry: Entry) -> None:
    new = temporary_name(path)
    new.unlink(missing_ok=True)
    new.symlink_to(entry.target)
    os.lchown(new, *_owner(entry))
    new.replace(path)


def _put_directory(path: Path, entry: Entry) -> None:
    if not path.is_dir():
        path.mkdir(mode=0o700)
    os.chown(path, *_owner(entry))
    path.chmod(entry.mode)


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise


def write_private(path: str | Path, content: bytes) -> None:
    """Write a file of our own state: atomic, mode 0600, owned by who runs."""
    put_entry(path, Entry("file", content, 0o600))


def describe(entry: Entry) -> str:
    """Owner, mode and kind in a few words, for a diff."""
    if entry.kind == "absent":
        return "absent"
    if entry.kind == "link":
        return f"link to {entry.target}"
    owner = f"{'?' if entry.uid is None else entry.uid}:{'?' if entry.gid is None else entry.gid}"
    return f"{entry.kind} {entry.mode:04o} {owner}"


def entry_diff(path: str, before: Entry, after: Entry, hidden: bool) -> dict[str, Any]:
    """One element of Ansible's C(diff) list. Hidden content is replaced by a remark, not by a digest of a secret."""
    return {
        "before_header": f"{path} ({describe(before)})",
        "after_header": f"{path} ({describe(after)})",
        "before": _shown(before, hidden, before, after),
        "after": _shown(after, hidden, before, after),
    }


def _shown(entry: Entry, hidden: bool, before: Entry, after: Entry) -> str:
    if entry.kind != "file":
        return "" if entry.kind == "absent" else f"({describe(entry)})\n"
    if hidden:
        if before.kind == after.kind and before.content == after.content:
            return f"(content is not shown) {describe(entry)}\n"
        return "(old content is not shown)\n" if entry is before else "(new content is not shown)\n"
    if len(entry.content) > _DIFF_LIMIT or b"\0" in entry.content:
        return f"({len(entry.content)} bytes, SHA-256 {sha256(entry.content)})\n"
    text = entry.content.decode("utf-8", "replace")
    if before.kind == after.kind and before.content == after.content:
        return f"({describe(entry)})\n"
    return text
