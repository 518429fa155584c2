"""Locks are read strictly, and wheels are chosen for the host and not for the controller."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._app_release import ReleaseError
from ansible_collections.aigo.onprem.plugins.plugin_utils import _wheelhouse as w

DIGEST = "a" * 64
DEBIAN_13 = w.Target("3.13", "x86_64")


def test_lock_is_read_with_continuations_comments_extras_and_markers() -> None:
    text = (
        "# made by a tool\n"
        f"Foo.Bar[extra]==1.0 \\\n    --hash=sha256:{DIGEST} \\\n    --hash=sha256:{'b' * 64}\n    # via x\n"
        f"other==2.0 ; sys_platform == 'win32' \\\n    --hash=sha256:{DIGEST}\n"
        f"third==3.0 ; python_version >= '3.12' \\\n    --hash=sha256:{DIGEST}\n"
    )
    assert w.parse_lock(text, DEBIAN_13, "lock") == [
        w.Pin("foo-bar", "1.0", frozenset([DIGEST, "b" * 64])),
        w.Pin("third", "3.0", frozenset([DIGEST])),
    ]
    assert [pin.name for pin in w.parse_lock(text, w.Target("3.11", "x86_64"), "lock")] == ["foo-bar"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("foo==1.0", "foo needs an exact version and hashes"),
        (f"foo>=1.0 --hash=sha256:{DIGEST}", "foo needs an exact version and hashes"),
        (f"foo==1.* --hash=sha256:{DIGEST}", "foo needs an exact version and hashes"),
        ("./local/path", "is not a pinned package"),
    ],
)
def test_line_without_exact_version_and_hashes_is_refused(line: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        w.parse_lock(f"{line}\n", DEBIAN_13, "lock")


def _wheels(directory: Path, *tags: str) -> w.Pin:
    hashes = set()
    for tag in tags:
        (directory / f"foo-1.0-{tag}.whl").write_text(tag)
        hashes.add(hashlib.sha256(tag.encode()).hexdigest())
    return w.Pin("foo", "1.0", frozenset(hashes))


@pytest.mark.parametrize(
    ("target", "chosen"),
    [
        (w.Target("3.13", "x86_64"), "cp313-cp313-manylinux_2_28_x86_64"),
        (w.Target("3.11", "x86_64"), "cp311-cp311-manylinux2014_x86_64"),
        (w.Target("3.13", "aarch64"), "cp39-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64"),
    ],
)
def test_the_best_wheel_for_the_host_is_chosen(tmp_path: Path, target: w.Target, chosen: str) -> None:
    pin = _wheels(
        tmp_path,
        "py3-none-any",
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp313-cp313-musllinux_1_2_x86_64",
        "cp313-cp313-macosx_11_0_arm64",
        "cp311-cp311-manylinux2014_x86_64",
        "cp39-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64",
    )
    (wheel,) = w.Wheelhouse(tmp_path, carried=tmp_path).collect([pin], target)
    assert wheel.path.name == f"foo-1.0-{chosen}.whl"


def test_wheel_for_a_newer_libc_than_the_oldest_host_has_is_not_chosen(tmp_path: Path) -> None:
    pin = _wheels(tmp_path, "cp313-cp313-manylinux_2_39_x86_64")
    with pytest.raises(ReleaseError, match=r"foo 1\.0"):
        w.Wheelhouse(tmp_path, carried=tmp_path).collect([pin], DEBIAN_13)


def test_every_lacking_wheel_is_named_at_once_and_a_wrong_hash_counts_as_lacking(tmp_path: Path) -> None:
    pin = _wheels(tmp_path, "py3-none-any")
    (tmp_path / "foo-1.0-py3-none-any.whl").write_text("changed")
    with pytest.raises(ReleaseError, match=r"bar 2\.0, foo 1\.0"):
        w.Wheelhouse(tmp_path, carried=tmp_path).collect([pin, w.Pin("bar", "2.0", frozenset([DIGEST]))], DEBIAN_13)


def test_missing_wheelhouse_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is not a directory on the controller"):
        w.Wheelhouse(tmp_path, carried=tmp_path / "none").collect([], DEBIAN_13)
