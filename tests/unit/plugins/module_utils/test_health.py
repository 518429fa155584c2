"""Only good answers in a row open the gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.aigo.onprem.plugins.module_utils._health import Answer, Outcome, gate, judge, missing_from

GOOD, BAD = Answer("HTTP 200"), Answer("HTTP 503", "status 503, wanted 200")


class Clock:
    """Time that passes only while the gate sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def passed(answers: list[Answer], successes: int = 2, timeout: float = 10, interval: float = 1) -> Outcome:
    clock = Clock()
    given: Iterator[Answer] = iter(answers)
    return gate(lambda: next(given), successes, timeout, interval, clock, clock.sleep)


def test_the_gate_opens_after_enough_good_answers_and_asks_no_more() -> None:
    outcome = passed([BAD, GOOD, GOOD, BAD])
    assert (outcome.healthy, outcome.attempts, outcome.elapsed) == (True, 3, 2)


def test_a_bad_answer_in_between_starts_the_row_anew() -> None:
    outcome = passed([GOOD, BAD, GOOD, BAD, GOOD, GOOD])
    assert (outcome.healthy, outcome.attempts) == (True, 6)


def test_the_gate_stays_shut_when_the_time_is_over() -> None:
    outcome = passed([BAD] * 20, timeout=3)
    assert (outcome.healthy, outcome.attempts, outcome.row, outcome.last) == (False, 4, 0, BAD)


def test_a_row_that_is_too_short_at_the_end_is_not_enough() -> None:
    outcome = passed([BAD, BAD, BAD, GOOD], successes=2, timeout=3)
    assert (outcome.healthy, outcome.row) == (False, 1)


def test_one_question_is_asked_even_without_time() -> None:
    assert passed([GOOD], successes=1, timeout=0).healthy


@pytest.mark.parametrize(
    ("status", "body", "wanted", "fault"),
    [
        (200, b"", None, None),
        (204, b"", None, "status 204, wanted 200 or 201"),
        (200, b"plain", {"a": 1}, "the answer is not JSON"),
        (200, b'{"a": 1, "b": {"c": 2, "d": 3}}', {"b": {"c": 2}}, None),
        (200, b'{"b": {"c": 3}}', {"b": {"c": 2}}, "b.c is 3, wanted 2"),
        (200, b'{"b": {}}', {"b": {"c": 2}}, "b.c is missing, wanted 2"),
        (200, b'{"b": 1}', {"b": {"c": 2}}, "b is no object"),
        (200, b"[1]", {"b": 1}, "the answer is no object"),
    ],
)
def test_an_answer_is_judged_by_status_and_content(status: int, body: bytes, wanted: Any, fault: str | None) -> None:
    assert judge(status, body, [200, 201], wanted).fault == fault


def test_lists_have_to_be_equal() -> None:
    assert missing_from({"nodes": [1, 2]}, {"nodes": [1, 2]}) is None
    assert missing_from({"nodes": [1]}, {"nodes": [1, 2]}) == "nodes is [1, 2], wanted [1]"
