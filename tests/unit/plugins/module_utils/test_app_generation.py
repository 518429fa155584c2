"""When a generation is replaced, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils import _app_generation as g
from ansible_collections.aigo.onprem.plugins.module_utils._systemd import Completed, Systemd

API = g.Service("api@.service", ("api.socket",))
WORKER = g.Service("worker.service")


class Host:
    """A systemd that knows units' states, obeys, and remembers what it was told; ``broken`` units don't start."""

    def __init__(self, *running: str, broken: Sequence[str] = (), need_reload: bool = False) -> None:
        self.running = set(running)
        self.enabled = set(running)
        self.broken = set(broken)
        self.need_reload = need_reload
        self.told: list[str] = []
        self.systemd = Systemd(self._run)

    def _run(self, argv: Sequence[str]) -> Completed:
        if argv[0] == "journalctl":
            return Completed(0, f"journal of {argv[-2]}", "")
        if argv[1] == "show":
            return Completed(0, "\n\n".join(self._block(unit) for unit in argv[4:]), "")
        verb, units = argv[1], list(argv[3:])
        self.told.append(" ".join([verb, *units]))
        if verb in ("start", "restart"):
            self.running.difference_update(units)
            if self.broken & set(units):
                return Completed(1, "", "Job failed.")
            self.running.update(units)
        elif verb == "stop":
            self.running.difference_update(units)
        elif verb == "enable":
            self.enabled.update(units)
        return Completed(0, "", "")

    def _block(self, unit: str) -> str:
        active = "active" if unit in self.running else "inactive"
        file = "enabled" if unit in self.enabled else "disabled"
        reload = "yes" if self.need_reload else "no"
        return f"Id={unit}\nLoadState=loaded\nActiveState={active}\nUnitFileState={file}\nNeedDaemonReload={reload}"


def converge(host: Host, record: Path, service: g.Service, wanted: dict[str, str]) -> g.Plan:
    generations = g.Generations(host.systemd, record)
    states = generations.states([service])
    due = g.plan(service, states, generations.recorded().get(service.name), wanted)
    if due.changed:
        generations.reload_if_needed(states)
        generations.apply(service, due, wanted)
    return due


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "state" / "generation.json"


ONE = {"watch": "1", "sockets": "s"}
TWO = {"watch": "2", "sockets": "s"}


def test_first_run_enables_and_starts_and_the_second_does_nothing(record: Path) -> None:
    host = Host()
    assert converge(host, record, API, ONE).action == "start"
    assert host.told[0] == "enable api.socket api@main.service"
    assert host.told.index("restart api.socket") < host.told.index("start api@main.service")
    assert host.running == {"api.socket", "api@main.service"}
    host.told.clear()
    assert not converge(host, record, API, ONE).changed
    assert host.told == []


def test_change_is_handed_over_by_a_bridge_in_this_order(record: Path) -> None:
    host = Host()
    converge(host, record, API, ONE)
    host.told.clear()
    assert converge(host, record, API, TWO).action == "hand_over"
    assert host.told == ["start api@bridge.service", "restart api@main.service", "stop api@bridge.service"]
    assert not converge(host, record, API, TWO).changed


def test_plain_service_is_restarted(record: Path) -> None:
    host = Host()
    converge(host, record, WORKER, ONE)
    host.told.clear()
    assert converge(host, record, WORKER, TWO).action == "restart"
    assert host.told == ["restart worker.service"]


def test_failing_bridge_leaves_main_untouched_and_the_next_run_tries_again(record: Path) -> None:
    host = Host()
    converge(host, record, API, ONE)
    host.told.clear()
    host.broken = {"api@bridge.service"}
    with pytest.raises(g.GenerationError, match=r"(?s)api@main\.service goes on unchanged.*journal"):
        converge(host, record, API, TWO)
    assert not any("main" in told for told in host.told)
    assert host.running == {"api.socket", "api@main.service"}
    host.broken = set()
    assert converge(host, record, API, TWO).action == "hand_over"


def test_failing_main_leaves_the_bridge_serving_and_the_next_run_ends_it(record: Path) -> None:
    host = Host()
    converge(host, record, API, ONE)
    host.broken = {"api@main.service"}
    with pytest.raises(g.GenerationError, match=r"api@bridge\.service serves in its place"):
        converge(host, record, API, TWO)
    assert "api@bridge.service" in host.running
    host.broken = set()
    host.told.clear()
    assert converge(host, record, API, TWO).action == "start"
    assert host.told == ["start api@main.service", "stop api@bridge.service"]


def test_bridge_that_an_interrupted_run_left_is_stopped(record: Path) -> None:
    host = Host()
    converge(host, record, API, ONE)
    host.running.add("api@bridge.service")
    host.told.clear()
    due = converge(host, record, API, ONE)
    assert due.changed
    assert due.reason == "api@bridge.service was left running"
    assert host.told == ["stop api@bridge.service"]


def test_left_bridge_of_an_unknown_generation_is_restarted_before_main(record: Path) -> None:
    host = Host()
    converge(host, record, API, ONE)
    host.running.add("api@bridge.service")
    host.told.clear()
    converge(host, record, API, TWO)
    assert host.told == ["restart api@bridge.service", "restart api@main.service", "stop api@bridge.service"]


def test_changed_socket_is_bound_anew_with_everything_stopped(record: Path) -> None:
    host = Host()
    converge(host, record, API, ONE)
    host.told.clear()
    assert converge(host, record, API, {"watch": "1", "sockets": "other"}).action == "rebind"
    assert host.told == [
        "stop api@main.service api@bridge.service",
        "restart api.socket",
        "start api@main.service",
    ]


def test_service_that_someone_else_started_is_replaced_once(record: Path) -> None:
    host = Host("api.socket", "api@main.service")
    assert converge(host, record, API, ONE).action == "hand_over"
    assert not converge(host, record, API, ONE).changed


def test_changed_unit_files_are_read_before_anything_starts(record: Path) -> None:
    host = Host(need_reload=True)
    converge(host, record, WORKER, ONE)
    assert host.told[0] == "daemon-reload"


def test_failed_start_shows_the_journal(record: Path) -> None:
    host = Host(broken=["worker.service"])
    with pytest.raises(g.GenerationError, match=r"(?s)start worker\.service failed: Job failed.*journal of"):
        converge(host, record, WORKER, ONE)
    assert not record.exists()


def test_damaged_record_means_that_nothing_is_known(record: Path) -> None:
    record.parent.mkdir()
    record.write_text("{")
    assert g.Generations(Host().systemd, record).recorded() == {}


def test_digest_follows_content_targets_and_appearance(tmp_path: Path) -> None:
    file, link, directory, absent = (tmp_path / name for name in ("file", "link", "directory", "absent"))
    file.write_text("1")
    link.symlink_to("releases/1")
    directory.mkdir()
    paths = [str(path) for path in (file, link, directory, absent)]
    seen = {g.digest(paths)}

    def changed() -> bool:
        before = len(seen)
        seen.add(g.digest(paths))
        return len(seen) > before

    assert not changed()
    file.write_text("2")
    assert changed()
    link.unlink()
    link.symlink_to("releases/2")
    assert changed()
    (directory / "secret").write_text("1")
    assert changed()
    (directory / "secret").write_text("2")
    assert changed()
    absent.write_text("")
    assert changed()
