"""An entry that was read can be put back exactly, in one step, and its diff keeps secrets."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _files
from ansible_collections.aigo.onprem.plugins.module_utils._files import ABSENT, Entry, entry_diff, put_entry, read_entry


def test_what_was_read_is_put_back_exactly(tmp_path: Path) -> None:
    file, link, directory = tmp_path / "file", tmp_path / "link", tmp_path / "directory"
    file.write_bytes(b"\x00old\xff")
    file.chmod(0o4640)
    link.symlink_to("file")
    directory.mkdir(mode=0o710)
    before = {path: read_entry(path) for path in (file, link, directory, tmp_path / "none")}
    for path in before:
        put_entry(path, ABSENT)
        assert not path.exists()
        put_entry(path, before[path])
        assert read_entry(path) == before[path]


def test_a_file_gets_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        put_entry(tmp_path / "x", Entry("file", b"x", 0o664))
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o664


def test_replacing_a_file_leaves_readers_of_the_old_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with path.open() as reader:
        put_entry(path, Entry("file", b"new", 0o644))
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_link_is_replaced_and_its_target_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "link").symlink_to("target")
    put_entry(tmp_path / "link", Entry("file", b"ours", 0o644))
    assert (tmp_path / "target").read_text() == "theirs"
    assert not (tmp_path / "link").is_symlink()


def test_a_path_that_cannot_be_renamed_over_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hosts"
    path.write_text("a long old content")
    inode = path.stat().st_ino

    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(Path, "replace", refuse)
    put_entry(path, Entry("file", b"new", 0o600))
    assert (path.read_text(), path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) == ("new", inode, 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["hosts"]


def test_a_temporary_file_that_somebody_planted_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("theirs")
    _files.temporary_name(tmp_path / "x").symlink_to(tmp_path / "victim")
    put_entry(tmp_path / "x", Entry("file", b"ours", 0o644))
    assert (tmp_path / "victim").read_text() == "theirs"


def test_a_directory_with_somebody_elses_files_survives(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "theirs").touch()
    put_entry(tmp_path / "d", ABSENT)
    assert (tmp_path / "d" / "theirs").exists()


def test_a_hidden_diff_shows_that_something_changes_but_not_what() -> None:
    diff = entry_diff("/p", Entry("file", b"token 1", 0o600, 0, 0), Entry("file", b"token 2", 0o600, 0, 0), hidden=True)
    assert "token" not in str(diff)
    assert diff["before"] != diff["after"]


def test_a_diff_of_an_owner_names_it() -> None:
    diff = entry_diff("/p", Entry("file", b"x", 0o600, 0, 0), Entry("file", b"x", 0o640, 0, 5), hidden=False)
    assert "0600 0:0" in diff["before"]
    assert "0640 0:5" in diff["after"]
