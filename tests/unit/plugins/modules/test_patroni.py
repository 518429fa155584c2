"""The module against a REST interface on the loopback that answers as Patroni does."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.aigo.onprem.plugins.module_utils import _patroni
from ansible_collections.aigo.onprem.plugins.modules import patroni


class Handler(http.server.BaseHTTPRequestHandler):
    """One member that is its cluster's leader."""

    def do_GET(self) -> None:
        server: Any = self.server
        pending = {"pending_restart": True} if server.pending else {}
        member = {"name": server.leader, "role": "leader"}
        own = {"state": "running", "role": "primary", "timeline": 3, "patroni": {"name": "node1"}, **pending}
        self.answer(200, {"/patroni": own, "/cluster": {"members": [member]}, "/config": server.config}[self.path])

    def do_PATCH(self) -> None:
        server: Any = self.server
        patch = self.body()
        if server.conflicts:
            server.conflicts -= 1
            self.answer(409, {})
            return
        server.config = _patroni.merge(server.config, patch)
        server.pending = "max_connections" in json.dumps(patch)
        self.answer(200, server.config)

    def do_POST(self) -> None:
        server: Any = self.server
        server.restarts.append(self.body())
        server.pending = server.stubborn
        self.answer(200, {})

    def body(self) -> Any:
        server: Any = self.server
        server.authorizations.append(self.headers["Authorization"])
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.config = {"ttl": 20, "loop_wait": 3, "postgresql": {"parameters": {"max_connections": 100}}}
    server.pending, server.restarts, server.conflicts, server.authorizations = False, [], 0, []
    server.leader, server.stubborn = "node1", False
    server.path = tmp_path / "config.yml"
    server.path.write_text(
        json.dumps(
            {
                "restapi": {
                    "connect_address": f"127.0.0.1:{server.server_port}",
                    "authentication": {"username": "patroni", "password": "x"},
                }
            }
        )
    )
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(capsys: pytest.CaptureFixture[str], *, check: bool = False, **options: Any) -> dict[str, Any]:
    with patch_module_args({**options, "_ansible_check_mode": check}), pytest.raises(SystemExit):
        patroni.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_a_cluster_as_wanted_is_left_alone(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, config=str(server.path), dynamic_configuration={"ttl": 20})
    assert (result["changed"], result["is_leader"], result["restarted"]) == (False, True, False)
    assert server.authorizations == []


def test_a_setting_that_waits_for_a_restart_gets_it_once(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {"postgresql": {"parameters": {"max_connections": 50}}}
    result = run(capsys, config=str(server.path), dynamic_configuration=wanted)
    assert (result["changed"], result["restarted"], result["pending_restart"]) == (True, True, False)
    assert server.restarts == [{"restart_pending": True}]
    assert server.authorizations[0].startswith("Basic ")
    assert not run(capsys, config=str(server.path), dynamic_configuration=wanted)["changed"]


def test_a_restart_that_is_not_allowed_stays_pending(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {"postgresql": {"parameters": {"max_connections": 50}}}
    result = run(capsys, config=str(server.path), dynamic_configuration=wanted, restart_pending=False)
    assert (result["restarted"], result["pending_restart"], server.restarts) == (False, True, [])


def test_a_replica_may_go_on_waiting_for_what_the_primary_must_lower_first(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    server.leader, server.stubborn, server.config["loop_wait"] = "node2", True, 0
    wanted = {"postgresql": {"parameters": {"max_connections": 50}}}
    result = run(capsys, config=str(server.path), dynamic_configuration=wanted)
    assert (result["restarted"], result["pending_restart"]) == (True, True)


def test_check_mode_shows_the_patch_and_sends_none(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = dict(server.config)
    result = run(capsys, check=True, config=str(server.path), dynamic_configuration={"ttl": 30})
    assert result["changed"] and '"ttl": 30' in result["diff"]["after"]
    assert server.config == before


def test_a_patch_that_another_member_outran_is_made_again(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    server.conflicts = 1
    assert run(capsys, config=str(server.path), dynamic_configuration={"ttl": 30})["changed"]
    assert server.config["ttl"] == 30


def test_check_mode_predicts_where_patroni_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, check=True, config=str(tmp_path / "none.yml"), dynamic_configuration={"ttl": 30})
    assert result["changed"] and result["is_leader"]


def test_a_missing_configuration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, config=str(tmp_path / "none.yml"), timeout=0)
    assert result["failed"] and "none.yml is not there" in result["msg"]


def test_nobody_answering_names_the_address_and_the_journal(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    server.path.write_text(json.dumps({"restapi": {"connect_address": "127.0.0.1:1"}}))
    result = run(capsys, config=str(server.path), timeout=0)
    assert "127.0.0.1:1" in result["msg"] and "journalctl -u patroni.service" in result["msg"]
