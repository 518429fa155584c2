"""One site, one server and one worker for the whole session; tests that break things bring their own."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from argon2 import PasswordHasher

from aigo.config import load_settings
from aigo.db.migrate import migrate
from aigo.ids import new_id

from .site import PASSWORD, Process, Site, fresh_site


def _environment(name: str, example: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.exit(f"{name} isn't set: it names a real server to test against, for example {example}", returncode=4)
    return value


@pytest.fixture(scope="session")
def admin_dsn() -> str:
    """A superuser's DSN; each test session makes a database of its own with it."""
    return _environment("AIGO_TEST_DATABASE_URL", "postgresql://postgres:…@127.0.0.1:5432/postgres")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Where Redis is."""
    return _environment("AIGO_TEST_REDIS_URL", "redis://127.0.0.1:6379")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, admin_dsn: str, redis_url: str) -> Iterator[Site]:
    """A migrated site with two users."""
    directory: Path = tmp_path_factory.mktemp("site") / "etc"
    with fresh_site(directory, admin_dsn, redis_url) as site:
        migrated = site.run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        for name, role in (("ada", "admin"), ("bob", "user")):
            assert site.run("user", "create", name, "--role", role, text=PASSWORD).returncode == 0
        site.secret("storage.keys.first", base64.b64encode(secrets.token_bytes(32)).decode())
        site.configure(storage={"directory": str(directory.parent / "files")})
        yield site


@pytest.fixture(scope="session")
def inner_site(tmp_path_factory: pytest.TempPathFactory, admin_dsn: str, redis_url: str) -> Iterator[Site]:
    """A migrated site for the application inside the test's process, with a user of each role."""
    directory: Path = tmp_path_factory.mktemp("inner") / "etc"
    with fresh_site(directory, admin_dsn, redis_url) as site:
        migrate(load_settings(directory).database)
        # As cheap as hashes get: what real ones cost is a matter of the tests that look at it.
        hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        for name, role in (("root", "admin"), ("olga", "auditor"), ("uwe", "user")):
            site.sql(
                "INSERT INTO users (id, name, display_name, role, password_hash) VALUES (%s, %s, %s, %s, %s)",
                new_id(),
                name,
                name.title(),
                role,
                hashed,
            )
        yield site


@pytest.fixture(scope="session")
def server(site: Site) -> Iterator[Process]:
    """``aigo serve`` with two processes."""
    with site.process("serve") as process:
        yield process


@pytest.fixture(scope="session")
def worker(site: Site) -> Iterator[Process]:
    """``aigo worker``."""
    with site.process("worker") as process:
        yield process


@pytest.fixture(scope="session")
def ada(site: Site, server: Process) -> Iterator[httpx2.Client]:
    """A client signed in as an administrator."""
    with site.client("ada") as client:
        yield client


@pytest.fixture(scope="session")
def bob(site: Site, server: Process) -> Iterator[httpx2.Client]:
    """A client signed in as another user."""
    with site.client("bob") as client:
        yield client
