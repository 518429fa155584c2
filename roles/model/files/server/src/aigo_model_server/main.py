"""The command `aigo-model-server`: load the model, listen, drain on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from aigo_model_server.gateway import Gateway, server_context
from aigo_model_server.settings import Settings, SettingsError, load
from aigo_model_server.supervisor import keep_alive, notify

log = logging.getLogger("aigo-model-server")

# Generation is bounded by `parallel`; these further threads answer health checks and hold kept-alive connections.
_SPARE_HTTP_THREADS = 16


def start(settings: Settings, backend: Path) -> Any:
    """Load the model and serve it on a Unix socket; returns the server, which stops when it is let go."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(settings.model)
    params.model_alias = {settings.name}
    params.hostnames = [str(backend)]
    params.api_keys = [settings.api_key.read_text().strip()]
    params.n_parallel = settings.parallel
    params.n_ctx = settings.context * settings.parallel
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    params.n_threads_http = settings.parallel + _SPARE_HTTP_THREADS
    params.cache_ram_mib = settings.prompt_cache_mb
    params.fit_params = False
    params.n_gpu_layers = 0
    params.offline = True
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_metrics = True
    params.verbosity = 2
    return xllamacpp.Server(params)


async def serve(settings: Settings, backend: Path) -> None:
    """Pass TLS clients on to the loaded model until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(backend, server_context(settings.certificate, settings.key))
    port = await gateway.listen(settings.address, settings.port)
    log.info("serving %s at https://%s:%d/v1", settings.name, settings.address, port)
    notify("READY=1", f"STATUS=Serving {settings.name}")
    watchdog = asyncio.create_task(keep_alive(backend))
    await stop.wait()
    notify("STOPPING=1")
    watchdog.cancel()
    await gateway.close(settings.drain_seconds)


def main(argv: list[str] | None = None) -> int:
    """Run the command; 2 means a configuration that can't be served."""
    parser = argparse.ArgumentParser(description="Serve a GGUF model with llama.cpp behind TLS and an API key.")
    parser.add_argument("--config", type=Path, default=Path("/etc/aigo/model.json"))
    parser.add_argument("--check", action="store_true", help="only validate the configuration")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        settings = load(arguments.config)
    except SettingsError as error:
        log.error("%s", error)
        return 2
    if arguments.check:
        return 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("RUNTIME_DIRECTORY")) as directory:
        backend = Path(directory) / "llama.sock"
        try:
            server = start(settings, backend)
        except RuntimeError as error:
            log.error("%s can't be served: %s", settings.model, error)
            return 1
        asyncio.run(serve(settings, backend))
        del server
    return 0


if __name__ == "__main__":
    sys.exit(main())
