"""The application is restarted under its users' hands without one of them noticing."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._site_client import Edge, SiteClient, SiteError

PACE = 0.15  # seconds between requests: below the edge's limit of ten a second for one address
AFTER = 20  # requests that have to be answered once the hand-over is done


@pytest.fixture
def client(address, authority: Path, secrets) -> SiteClient:
    site = SiteClient(Edge(address=address, domain="aigo.localhost", ca_path=str(authority)))
    account = {"name": "admin", "password": secrets["app_admin_password"]}
    site.authorise(site.request("POST", "/api/v1/auth/login", account).json()["access_token"])
    return site


class Load:
    """One user who asks again and again until told to stop."""

    def __init__(self, client: SiteClient) -> None:
        self.answered, self.failures = 0, list[str]()
        self._client, self._stop = client, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                self._client.request("GET", "/api/v1/conversations")
                self.answered += 1
            except SiteError as error:
                self.failures.append(str(error))
            time.sleep(PACE)


def test_a_hand_over_loses_no_request(client, inside):
    before = inside("systemctl show --value --property=MainPID aigo-api@main")
    with Load(client) as load:
        inside("systemctl start aigo-api@bridge && systemctl restart aigo-api@main && systemctl stop aigo-api@bridge")
        goal = load.answered + AFTER
        while load.answered < goal and not load.failures:
            time.sleep(PACE)
    assert load.failures == []
    assert inside("systemctl show --value --property=MainPID aigo-api@main") != before
