"""What preflight reads on a host: ports and their owners, package sources, proxies, routes."""

from __future__ import annotations

import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._preflight_facts import (
    decode_address,
    parse_listening,
    parse_socket_units,
    read_disks,
    read_host,
    read_listening,
    read_os,
    unit_of,
)
from ansible_collections.aigo.onprem.plugins.module_utils._preflight_probe import (
    Source,
    parse_proxies,
    parse_sources,
    probe_all,
    probe_route,
    probe_source,
)

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 4711 1 0 100 0 0 10 0
   1: 0A00020F:0016 0A000202:D431 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
"""


def test_only_listening_sockets_are_read() -> None:
    assert list(parse_listening(TABLE)) == [("127.0.0.1", 5432, "4711")]


def test_addresses_of_the_sixth_version_are_read() -> None:
    assert decode_address("00000000000000000000000001000000") == "::1"
    assert decode_address("00000000") == "0.0.0.0"


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/nginx.service\n", "nginx.service"),
        ("0::/system.slice/system-aigo\\x2dapi.slice/aigo-api@main.service\n", "aigo-api@main.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", "session-1.scope"),
        ("0::/\n", ""),
    ],
)
def test_the_unit_is_read_from_the_control_group(cgroup: str, unit: str) -> None:
    assert unit_of(cgroup) == unit


def test_socket_units_are_read_from_the_listing() -> None:
    listing = (
        "[::]:8000     aigo-api.socket aigo-api@main.service\n"
        "/run/x        dbus.socket     dbus.service\n"
        "0.0.0.0:8001  aigo-ws.socket  -\n"
    )
    assert parse_socket_units(listing) == {8000: "aigo-api.socket", 8001: "aigo-ws.socket"}


def fake_process(proc: Path, pid: int, name: str, unit: str, inode: str) -> None:
    directory = proc / str(pid)
    (directory / "fd").mkdir(parents=True)
    (directory / "fd/3").symlink_to(f"socket:[{inode}]")
    (directory / "comm").write_text(f"{name}\n")
    (directory / "cgroup").write_text(f"0::/system.slice/{unit}\n")


def test_a_listener_is_told_with_process_and_unit(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(TABLE)
    fake_process(tmp_path, 42, "postgres", "patroni.service", "4711")
    assert read_listening({}, tmp_path) == [
        {"address": "127.0.0.1", "port": 5432, "process": "postgres", "unit": "patroni.service"}
    ]


def test_a_socket_that_systemd_holds_belongs_to_its_socket_unit(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(TABLE)
    fake_process(tmp_path, 1, "systemd", "init.scope", "4711")
    assert read_listening({5432: "aigo-api.socket"}, tmp_path)[0]["unit"] == "aigo-api.socket"
    # A service that has taken the socket over is the owner.
    fake_process(tmp_path, 77, "aigo", "aigo-api@main.service", "4711")
    assert read_listening({5432: "aigo-api.socket"}, tmp_path)[0]["unit"] == "aigo-api@main.service"


def test_our_own_listener_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = [item for item in read_listening({}) if item["port"] == port]
    assert found and found[0]["address"] == "127.0.0.1"


def test_this_machine_can_be_read() -> None:
    host = read_host()
    assert host["cores"] >= 1 and host["memory_mb"] > 0
    assert host["uid"] == os.geteuid()


def test_the_operating_system_is_read(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n')
    assert read_os(tmp_path) == {"id": "debian", "version": "13", "name": "Debian GNU/Linux 13 (trixie)"}


def test_a_directory_that_is_not_there_yet_is_measured_where_it_will_be(tmp_path: Path) -> None:
    (disk,) = read_disks([str(tmp_path / "not" / "yet")])
    assert disk["device"] == str(tmp_path.stat().st_dev)
    assert 0 < disk["free_mb"] <= disk["total_mb"]


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("deb http://mirror.example.org/debian trixie main\n", [("http://mirror.example.org/debian", "trixie")]),
        ("deb [signed-by=/k.gpg arch=amd64] https://m.example.org/x s main", [("https://m.example.org/x", "s")]),
        ("# deb http://off.example.org/debian trixie main\ndeb-src http://m.example.org trixie main\n", []),
        (
            "Types: deb deb-src\nURIs: http://m.example.org/debian\nSuites: trixie trixie-updates\nComponents: main\n",
            [("http://m.example.org/debian", "trixie"), ("http://m.example.org/debian", "trixie-updates")],
        ),
        ("Enabled: no\nTypes: deb\nURIs: http://m.example.org\nSuites: trixie\n", []),
        ("Types: deb-src\nURIs: http://m.example.org\nSuites: trixie\n", []),
        (
            "Types: deb\nURIs:\n http://a.example.org\n http://b.example.org\nSuites: x\n\n"
            "Types: deb\nURIs: file:/srv\nSuites: ./\n",
            [("http://a.example.org", "x"), ("http://b.example.org", "x"), ("file:/srv", "./")],
        ),
    ],
)
def test_package_sources_are_read_in_both_forms(text: str, sources: list[tuple[str, str]]) -> None:
    assert [(source.uri, source.suite) for source in parse_sources(text)] == sources


def test_the_index_of_a_flat_source_lies_in_its_path() -> None:
    assert Source("http://m.example.org/x/", "./").indexes()[0] == "http://m.example.org/x/./InRelease"
    assert Source("http://m.example.org/x/", "trixie").indexes()[1] == "http://m.example.org/x/dists/trixie/Release"


def test_proxies_of_apt_are_read() -> None:
    dump = 'Acquire "";\nAcquire::http "";\nAcquire::http::Proxy "http://proxy.example.org:3128";\n'
    assert parse_proxies(dump) == {"http": "http://proxy.example.org:3128", "https": "http://proxy.example.org:3128"}
    assert parse_proxies('Acquire::http::Proxy "DIRECT";') == {}


class Mirror(BaseHTTPRequestHandler):
    """Has a Release for trixie, wants a password for secret, and knows nothing else."""

    def do_HEAD(self) -> None:
        answer = {"/debian/dists/trixie/Release": 200, "/debian/dists/secret/InRelease": 401}.get(self.path, 404)
        self.send_response(answer)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Silence."""


def test_package_sources_are_asked() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/debian"
        answers = {suite: probe_source(Source(base, suite), {}, 5) for suite in ("trixie", "secret", "sarge")}
        server.shutdown()
    assert answers["trixie"]["reachable"] and answers["secret"]["reachable"]
    assert not answers["sarge"]["reachable"] and "404" in answers["sarge"]["error"]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_source_that_does_not_answer_is_told() -> None:
    answer = probe_source(Source(f"http://127.0.0.1:{closed_port()}", "trixie"), {}, 5)
    assert not answer["reachable"] and "refused" in answer["error"]


def test_a_source_on_the_host_itself_must_be_there(tmp_path: Path) -> None:
    assert probe_source(Source(f"file:{tmp_path}", "./"), {}, 5)["reachable"]
    assert not probe_source(Source(f"file://{tmp_path}/none", "./"), {}, 5)["reachable"]


def test_a_refused_connection_is_a_route() -> None:
    assert probe_route({"address": "127.0.0.1", "port": closed_port()}, 2)["reachable"]
    assert not probe_route({"address": "nowhere.invalid", "port": 1}, 2)["reachable"]


def test_answers_keep_the_order_of_the_questions() -> None:
    assert probe_all(lambda number: {"n": number}, [3, 1, 2]) == [{"n": 3}, {"n": 1}, {"n": 2}]
    assert probe_all(lambda number: {"n": number}, []) == []
