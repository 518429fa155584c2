"""``aigo serve`` and ``aigo worker``."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from aigo.config import ConfigError, load_settings, unusable
from aigo.config.schema import Tls

Pem = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file; overrides server.tls.")]
_JOBS_SECONDS = 25.0


def serve(ssl_cert: Pem = None, ssl_key: Pem = None) -> None:
    """Serve the API and the WebSocket until SIGTERM, then drain."""
    settings = load_settings()
    if (ssl_cert is None) != (ssl_key is None):
        raise typer.BadParameter("--ssl-cert and --ssl-key go together")
    if ssl_cert and ssl_key:
        tls = Tls(certificate=str(ssl_cert), key=str(ssl_key))
        settings = settings.model_copy(update={"server": settings.server.model_copy(update={"tls": tls})})
    if problems := unusable(settings):
        raise ConfigError(problems)
    with _shared_metrics():
        from aigo.obs import logs
        from aigo.server.sockets import listeners

        logs.configure(settings.logging, "aigo-api")
        # Before the long imports, so that a taken port is known at once.
        sockets = listeners(settings.server)
        from aigo.main import build_app
        from aigo.server.http import serve as serve_child
        from aigo.server.prefork import Parent

        app = build_app(settings)

        def child(beat: Callable[[], None]) -> None:
            serve_child(app, settings, [sockets["api"], sockets["ws"]], beat)

        status = Parent(settings.server.processes, child, settings.server.drain_seconds).run()
    raise typer.Exit(status)


def worker() -> None:
    """Do background jobs until SIGTERM, then finish those at hand."""
    settings = load_settings()
    with _shared_metrics():
        from aigo.obs import logs

        logs.configure(settings.logging, "aigo-worker")
        from aigo.jobs.worker import run_worker
        from aigo.server.prefork import Parent

        def child(beat: Callable[[], None]) -> None:
            run_worker(settings, beat)

        status = Parent(settings.worker.processes, child, _JOBS_SECONDS).run()
    raise typer.Exit(status)


@contextmanager
def _shared_metrics() -> Iterator[None]:
    # Must be known before anything imports the metrics.
    base = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or None
    folder = tempfile.mkdtemp(prefix="aigo-metrics-", dir=base)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
