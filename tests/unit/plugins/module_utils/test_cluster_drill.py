"""What a drill counts: the time without an acknowledged write, and what was acknowledged and is gone."""

from __future__ import annotations

from typing import Any

from ansible_collections.aigo.onprem.plugins.module_utils import _cluster_drill as drill
from ansible_collections.aigo.onprem.plugins.module_utils._site_client import SiteError


class Site:
    """Keeps conversations, answers nothing between two moments, and pages its list."""

    def __init__(self, down: tuple[float, float] = (0, 0)) -> None:
        self.now, self.down = 0.0, down
        self.kept: dict[str, str] = {}

    def request(self, method: str, path: str, body: Any = None, *, expect: tuple[int, ...] = (200,)) -> Any:
        assert expect
        self.now += 0.01
        if self.down[0] <= self.now < self.down[1]:
            raise SiteError("POST answered 503")
        if method == "POST":
            name = f"id{len(self.kept):04}"
            self.kept[name] = body["title"]
            return Json({"id": name})
        if method == "DELETE":
            del self.kept[path.rsplit("/", 1)[1]]
            return Json({})
        rows = [{"id": name, "title": title} for name, title in sorted(self.kept.items(), reverse=True)]
        before = path.split("before=")[1] if "before=" in path else "z"
        return Json([row for row in rows if row["id"] < before][:100])

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Json:
    def __init__(self, data: Any) -> None:
        self._data = data

    def json(self) -> Any:
        return self._data


def test_the_outage_is_the_longest_gap_between_acknowledged_writes() -> None:
    site = Site(down=(5, 8))
    written = drill.write_until(site, "Drill x", 0.25, lambda: site.now > 12, lambda: site.now, site.sleep)
    assert 2.8 <= drill.outage(written, 0.25) <= 3.3
    assert {write.fault for write in written if not write.id} == {"POST answered 503"}
    assert drill.outage([], 0.25) == 0


def test_all_pages_are_searched_and_strangers_left_alone() -> None:
    site = Site()
    site.kept = {f"id{number:04}": "Drill x 1" for number in range(250)} | {"id0999": "Holiday"}
    found = drill.find(site, "Drill x")
    assert len(found) == 250
    drill.tidy(site, sorted(found), site.sleep)
    assert site.kept == {"id0999": "Holiday"}


def rounds() -> list[dict[str, Any]]:
    base = {"at": "12:00", "target": "node1", "writes": 100, "refused": 3}
    return [
        base | {"fault": "redis_kill", "outage": 1.0, "redundancy": 4, "lost": 0},
        base | {"fault": "redis_kill", "outage": 3.0, "redundancy": 6, "lost": 1},
        base | {"fault": "redis_kill", "outage": 2.0, "redundancy": 5, "lost": 0},
        base | {"fault": "edge_cut_off", "outage": 4.0, "redundancy": 30, "lost": 0},
    ]


def test_the_report_has_a_line_for_each_fault_and_for_each_round() -> None:
    first, second = drill.summarise(rounds())
    assert first["outage"] == {"min": 1.0, "median": 2.0, "max": 3.0}
    assert (first["lost"], first["rounds"], second["fault"]) == (1, 3, "edge_cut_off")
    text = drill.markdown("agent.example.com", "2026-01-31", rounds())
    assert "| redis_kill | 3 | 1.0 / 2.0 / 3.0 | 4.0 / 5.0 / 6.0 | 1 |" in text
    assert text.count("| node1 |") == 4
