"""A set is checked as a whole, and the plan is what the host lacks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._config_set import (
    Accounts,
    ConfigSetError,
    Plan,
    belongs_to_unit,
    parse,
    plan,
)
from ansible_collections.aigo.onprem.plugins.module_utils._config_set_apply import mask_secrets

ACCOUNTS = Accounts({"me": os.geteuid()}.get, {"me": os.getegid()}.get)


def raw(**options: Any) -> dict[str, Any]:
    return {
        "name": "demo",
        "files": [],
        "directories": [],
        "purge": [],
        "watch": [],
        "validate": [],
        "units": [],
    } | options


def file(path: Path | str, content: str | None = "text\n", **options: Any) -> dict[str, Any]:
    return {"path": str(path), "content": content, "owner": "me", "group": "me", "mode": "0644", **options}


def planned(digest: str | None = None, **options: Any) -> Plan:
    return plan(parse(raw(**options)), digest, ACCOUNTS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "../x"}, "'../x' may hold only"),
        ({"files": [file("etc/x")]}, "'etc/x' is not an absolute path"),
        ({"files": [file("/etc/../x")]}, "is not an absolute path without '..'"),
        ({"files": [file("/")]}, "is the root directory"),
        ({"files": [file("/a/b"), file("/a/b/")]}, "path '/a/b' is listed twice"),
        ({"files": [file("/a/b", mode="416")]}, "/a/b: mode '416' is not a quoted octal mode"),
        ({"files": [file("/a/b", mode="0888")]}, "mode '0888'"),
        ({"files": [file("/a/b", mode="u=rw")]}, "mode 'u=rw'"),
        ({"directories": [{"path": "a", "owner": "me", "group": "me", "mode": "0755"}]}, "directories: 'a'"),
        ({"purge": ["/etc"]}, "'/etc' is too broad"),
        ({"purge": ["/etc/systemd/system"]}, "'/etc/systemd/system' is too broad"),
        ({"purge": ["conf.d"]}, "purge: 'conf.d' is not an absolute path"),
        ({"watch": ["cert.pem"]}, "watch: 'cert.pem'"),
        ({"validate": ["nginx 't"]}, "cannot be split into words"),
        ({"validate": [""]}, "an empty command"),
        ({"units": [{"name": "a"}, {"name": "a.service"}]}, "unit 'a.service' is listed twice"),
    ],
)
def test_bad_input_is_refused_with_its_value(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigSetError) as error:
        parse(raw(**options))
    assert said in str(error.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigSetError, match=r"3 mistake\(s\)"):
        parse(raw(files=[file("x", mode="9")], purge=["/usr/lib"]))


def test_a_host_that_has_the_set_needs_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("text\n")
    (tmp_path / "x").chmod(0o644)
    first = planned(files=[file(tmp_path / "x")])
    assert first.changes == ()
    assert first.activate
    assert not planned(first.digest, files=[file(tmp_path / "x")]).activate


@pytest.mark.parametrize("different", [{"content": "other"}, {"mode": "0600"}])
def test_another_content_or_mode_is_a_change_that_activates(tmp_path: Path, different: dict[str, Any]) -> None:
    (tmp_path / "x").write_text("text\n")
    (tmp_path / "x").chmod(0o644)
    digest = planned(files=[file(tmp_path / "x", **different)]).digest
    assert planned(digest, files=[file(tmp_path / "x", **different)]).paths == [str(tmp_path / "x")]
    assert planned(digest, files=[file(tmp_path / "x", **different)]).activate


def test_a_file_made_once_is_never_compared_again(tmp_path: Path) -> None:
    once = file(tmp_path / "x", once=True)
    assert planned(files=[once]).paths == [str(tmp_path / "x")]
    (tmp_path / "x").write_text("the service rewrote it")
    assert planned(files=[once]).paths == []
    assert planned(files=[once]).digest == planned(files=[{**once, "content": "a new default"}]).digest


def test_a_watched_file_activates_when_its_content_changes(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    missing = planned(watch=[str(cert)]).digest
    cert.write_text("one")
    first = planned(watch=[str(cert)]).digest
    cert.write_text("two")
    assert len({missing, first, planned(watch=[str(cert)]).digest}) == 3
    assert planned(first, watch=[str(cert)]).activate


def test_purge_removes_what_the_set_does_not_list_and_nothing_else(tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    (owned / "stale.d").mkdir(parents=True)
    (owned / "kept.d").mkdir()
    for name in ("listed", "stale", "watched", "stale.d/inner", "kept.d/once"):
        (owned / name).write_text("x")
    (tmp_path / "elsewhere").write_text("theirs")
    (owned / "link").symlink_to(tmp_path / "elsewhere")
    result = planned(
        files=[file(owned / "listed"), file(owned / "kept.d/once", once=True)],
        watch=[str(owned / "watched")],
        purge=[str(owned)],
    )
    removed = [change.path for change in result.changes if change.after.kind == "absent"]
    assert removed == [str(owned / name) for name in ("link", "stale", "stale.d/inner", "stale.d")]


def test_a_purged_directory_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").touch()
    (tmp_path / "link").symlink_to("real")
    assert planned(purge=[str(tmp_path / "link")]).changes == ()


def test_missing_parents_come_before_their_files(tmp_path: Path) -> None:
    result = planned(files=[file(tmp_path / "a/b/c")])
    assert result.paths == [str(tmp_path / part) for part in ("a", "a/b", "a/b/c")]


def test_a_listed_parent_has_its_own_mode_and_comes_first(tmp_path: Path) -> None:
    directory = {"path": str(tmp_path / "a/b"), "owner": "me", "group": "me", "mode": "0700"}
    result = planned(files=[file(tmp_path / "a/b/c")], directories=[directory])
    assert [(change.path, change.after.mode) for change in result.changes] == [
        (str(tmp_path / "a"), 0o755),
        (str(tmp_path / "a/b"), 0o700),
        (str(tmp_path / "a/b/c"), 0o644),
    ]


def test_directories_alone_activate_nothing(tmp_path: Path) -> None:
    directory = {"path": str(tmp_path / "a"), "owner": "me", "group": "me", "mode": "0700"}
    digest = planned().digest
    assert not planned(digest, directories=[directory]).activate


def test_a_directory_where_a_file_is_wanted_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigSetError, match="is a directory, a file is wanted"):
        planned(files=[file(tmp_path)])


def test_a_file_where_a_parent_is_wanted_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ConfigSetError, match="is not a directory"):
        planned(files=[file(tmp_path / "a/b")])


def test_an_unknown_account_is_named_and_predicted_as_a_change(tmp_path: Path) -> None:
    result = planned(
        files=[file(tmp_path / "x", owner="redis", group="redis"), file(tmp_path / "y", None, owner="gone")]
    )
    assert result.unknown_accounts == ("group redis", "user redis")
    assert result.paths == [str(tmp_path / "x")]


@pytest.mark.parametrize(("mode", "sensitive", "hidden"), [
    ("0644", None, False), ("0640", None, True), ("0640", False, False), ("0644", True, True),
])  # fmt: skip
def test_what_not_everyone_may_read_is_hidden_unless_declared(
    tmp_path: Path, mode: str, sensitive: bool | None, hidden: bool
) -> None:
    result = planned(files=[file(tmp_path / "x", mode=mode, sensitive=sensitive)])
    assert result.changes[-1].hidden is hidden


@pytest.mark.parametrize(("path", "unit", "own"), [
    ("/etc/systemd/system/a.service", "a.service", True),
    ("/etc/systemd/system/a.service.d/x.conf", "a.service", True),
    ("/etc/systemd/system/a@.service", "a@main.service", True),
    ("/etc/systemd/system/a@.service.d/x.conf", "a@main.service", True),
    ("/etc/systemd/system/b.service", "a.service", False),
    ("/etc/a/a.service", "a.service", False),
])  # fmt: skip
def test_a_units_own_files_are_known(path: str, unit: str, own: bool) -> None:
    assert belongs_to_unit(path, unit) is own


def test_secrets_of_hidden_files_are_masked_and_the_rest_stays_readable() -> None:
    wanted = parse(
        raw(
            files=[
                file("/etc/x", "listen_address /run/x.sock node1.example:6379\npw: Ab3dEf7hIj9k\n", mode="0640"),
                file("/etc/secrets/one", "swordfish\n", mode="0640"),
                file("/etc/public", "Pu8licT0ken\n"),
            ]
        )
    )
    said = mask_secrets("listen_address /run/x.sock node1.example:6379: Ab3dEf7hIj9k swordfish Pu8licT0ken", wanted)
    assert said == "listen_address /run/x.sock node1.example:6379: ******** ******** Pu8licT0ken"
