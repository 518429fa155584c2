"""The commands that installers rely on: what they print, and their exit statuses."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from .site import PASSWORD, Site, fresh_site


def test_migrate_says_what_is_pending_applies_it_once_and_then_has_nothing_to_do(
    tmp_path: Path, admin_dsn: str, redis_url: str
) -> None:
    with fresh_site(tmp_path / "etc", admin_dsn, redis_url) as site:
        pending = site.run("migrate", "--check")
        assert pending.returncode == 3
        names = json.loads(pending.stdout)["pending"]
        assert (names[:2], names[-1]) == (["schema", "0001"], "queue-schema")
        assert names[1:-1] == sorted(names[1:-1])
        with ThreadPoolExecutor(2) as both:
            results = list(both.map(lambda _: site.run("migrate"), range(2)))
        assert [result.returncode for result in results] == [0, 0], results[0].stderr + results[1].stderr
        assert sorted(json.loads(result.stdout)["changed"] for result in results) == [False, True]
        done = site.run("migrate", "--check")
        assert (done.returncode, json.loads(done.stdout)) == (0, {"pending": []})
        site.sql("UPDATE aigo.alembic_version SET version_num = 'later'")
        newer = site.run("migrate")
        assert newer.returncode == 1
        assert "deploy a newer one" in newer.stderr


def test_migrate_explains_a_database_that_is_away(tmp_path: Path, site: Site) -> None:
    (tmp_path / "config.json").write_text('{"database": {"hosts": ["127.0.0.1:1"]}}')
    command = [*site.run("migrate", "--check").args]
    answer = subprocess.run(command, capture_output=True, text=True, env={"AIGO_CONFIG_DIR": str(tmp_path)})
    assert answer.returncode == 1
    assert "Connection refused" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_service_may_change_rows_but_not_tables(site: Site) -> None:
    password = (site.directory / "secrets" / "database.password").read_text()
    host, port = site.database["hosts"][0].split(":")
    options = {"dbname": site.database["name"], "user": site.database["user"], "password": password}
    with psycopg.connect(host=host, port=port, options="-c search_path=aigo", autocommit=True, **options) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone()
        for statement in ("CREATE TABLE aigo.mine ()", "DROP TABLE users", "ALTER TABLE runs ADD x int"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_config_validate_and_show(site: Site) -> None:
    valid = site.run("config", "validate")
    assert (valid.returncode, valid.stdout) == (0, "The configuration is valid (environment production).\n")
    assert site.run("config", "validate", "--env", "nowhere").returncode == 1
    shown = site.run("config", "show")
    assert json.loads(shown.stdout)["auth"]["token_secret"] == "**********"
    assert (site.directory / "secrets" / "database.password").read_text() not in shown.stdout


def test_user_create_can_be_repeated(site: Site) -> None:
    first = site.run("user", "create", "carol", "--if-absent", text=PASSWORD + "\n")
    assert (first.returncode, json.loads(first.stdout)) == (0, {"changed": True, "name": "carol"})
    again = site.run("user", "create", "Carol", "--if-absent", text="short")
    assert (again.returncode, json.loads(again.stdout)["changed"]) == (0, False)
    refused = site.run("user", "create", "carol", text=PASSWORD)
    assert refused.returncode == 1
    assert "already" in refused.stderr
    listed = {user["name"]: user["role"] for user in json.loads(site.run("user", "list").stdout)}
    assert listed["carol"] == "user"
    assert listed["ada"] == "admin"


def test_a_password_comes_from_a_file_and_must_be_long_enough(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("short\n")
    refused = site.run("user", "create", "dave", "--password-file", str(secret))
    assert refused.returncode == 1
    assert "at least 10 characters" in refused.stderr
    secret.write_text(PASSWORD + "\n")
    assert site.run("user", "create", "dave", "--password-file", str(secret)).returncode == 0


def test_disabling_is_reported_once(site: Site) -> None:
    site.run("user", "create", "erin", text=PASSWORD)
    outcomes = [json.loads(site.run("user", "disable", "erin").stdout)["changed"] for _ in range(2)]
    assert outcomes == [True, False]
    assert site.run("user", "disable", "nobody").returncode == 1


def test_unknown_commands_are_calls_to_mend(site: Site) -> None:
    assert site.run("migrat").returncode == 2
    assert site.run("--version").stdout == "0.1.0\n"
