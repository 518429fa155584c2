"""Prometheus metrics, summed over the processes of one service.

``PROMETHEUS_MULTIPROC_DIR`` must be set before this module is imported: ``aigo serve`` and ``aigo worker`` do so.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

requests = Counter("aigo_requests_total", "Requests answered.", ["method", "route", "status"])
latency = Histogram(
    "aigo_request_seconds",
    "Time to the first byte of the answer.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
active_runs = Gauge("aigo_active_runs", "Runs that are being answered now.", multiprocess_mode="livesum")
runs = Counter("aigo_runs_total", "Runs that ended.", ["status"])
first_token = Histogram("aigo_first_token_seconds", "Time from a run's start to its first token.")
tool_calls = Counter("aigo_tool_calls_total", "Tool calls.", ["tool"])
tokens = Counter("aigo_tokens_total", "Model tokens.", ["direction"])
model_requests = Counter("aigo_model_requests_total", "Requests to model endpoints.", ["endpoint", "outcome"])
model_seconds = Histogram("aigo_model_request_seconds", "Time of a whole answer of an endpoint.", ["endpoint"])
model_tokens = Counter("aigo_model_tokens_total", "Tokens, by endpoint.", ["endpoint", "direction"])
breaker_open = Gauge(
    "aigo_model_breaker_open", "1 while an endpoint is left alone.", ["endpoint"], multiprocess_mode="livemax"
)
sockets = Gauge("aigo_websockets", "Open WebSockets.", multiprocess_mode="livesum")
jobs = Counter("aigo_jobs_total", "Background jobs that ended.", ["kind", "status"])
degraded = Gauge("aigo_degraded", "1 while a dependency is away.", ["dependency"], multiprocess_mode="livemax")


def render() -> bytes:
    """Return all processes' metrics in the text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget_process(pid: int) -> None:
    """Drop the gauges of a process that is gone."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
