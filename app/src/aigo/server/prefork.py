"""A parent that forks after the imports, replaces children that die or hang, and stops them gently.

The children share the memory of everything that was imported before. Each has a pipe to its parent on which it
writes a byte every second; the parent has nothing else to do, so that hardly anything in it can go wrong.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from aigo.obs.metrics import forget_process
from aigo.server.notify import Notifier

log = structlog.get_logger()
_HANG_SECONDS = 30.0
_START_SECONDS = 60.0
_GRACE_SECONDS = 15.0
_TICK = 0.25
Child = Callable[[Callable[[], None]], None]


@dataclass
class _Process:
    pid: int
    pipe: int
    started: float = field(default_factory=time.monotonic)
    beat: float | None = None

    def hangs(self, now: float) -> bool:
        if self.beat is None:
            return now - self.started > _START_SECONDS
        return now - self.beat > _HANG_SECONDS


class Parent:
    """Runs ``child`` in so many processes until it is told to stop. ``child`` gets a function to call as its beat."""

    def __init__(self, processes: int, child: Child, stop_seconds: float) -> None:
        self._wanted, self._child = processes, child
        self._stop_seconds = stop_seconds + _GRACE_SECONDS
        self._notifier = Notifier()
        self._processes: dict[int, _Process] = {}
        self._stopping = False
        self._ready = False
        self._fork_after = 0.0

    def run(self) -> int:
        """Return the exit status: 0 after a wish to stop, 1 when the children didn't start."""
        gc.collect()
        # What is there now stays: untouched by the collector, its pages stay shared.
        gc.freeze()
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while not self._stopping:
            self._fork_missing()
            self._wait(wake_read)
            failed = self._reap()
            if failed and not self._ready:
                log.error("a process didn't start", exit_status=failed)
                self._stop()
                return 1
            self._look_after()
        self._notifier.send("STOPPING=1")
        self._stop()
        return 0

    def _on_stop(self, *_: object) -> None:
        self._stopping = True

    def _fork_missing(self) -> None:
        while len(self._processes) < self._wanted and time.monotonic() >= self._fork_after:
            read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                self._be_child(read, write)
            os.close(write)
            self._processes[pid] = _Process(pid, read)

    def _be_child(self, read: int, write: int) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(read)
            for process in self._processes.values():
                os.close(process.pipe)
            self._child(lambda: _beat(write))
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            log.exception("a process ends")
        finally:
            sys.stdout.flush()
            # Not exit(): what the parent registered for its own end is not the child's business.
            os._exit(status)

    def _wait(self, wake_read: int) -> None:
        pipes = {process.pipe: process for process in self._processes.values()}
        readable, _, _ = select.select([wake_read, *pipes], [], [], _TICK)
        for descriptor in readable:
            with suppress(BlockingIOError):
                data = os.read(descriptor, 4096)
                if data and descriptor in pipes:
                    pipes[descriptor].beat = time.monotonic()

    def _reap(self) -> int | None:
        failed = None
        for pid in list(self._processes):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if not gone:
                continue
            process = self._processes.pop(pid)
            os.close(process.pipe)
            forget_process(pid)
            failed = os.waitstatus_to_exitcode(status) or 1
            if not self._stopping:
                log.error("a process ended and is replaced", pid=pid, exit_status=failed)
                if time.monotonic() - process.started < 5:
                    self._fork_after = time.monotonic() + 1
        return failed

    def _look_after(self) -> None:
        now = time.monotonic()
        for process in self._processes.values():
            if process.hangs(now):
                log.error("a process hangs and is killed", pid=process.pid)
                os.kill(process.pid, signal.SIGKILL)
        beating = [process for process in self._processes.values() if process.beat is not None]
        if not self._ready and len(beating) == self._wanted:
            self._ready = True
            self._notifier.send("READY=1", f"STATUS={self._wanted} processes")
            log.info("ready", processes=self._wanted)
        alive = any(not process.hangs(now) for process in beating)
        if self._ready and alive:
            self._notifier.watchdog()

    def _stop(self) -> None:
        deadline = time.monotonic() + self._stop_seconds
        self._signal(signal.SIGTERM)
        while self._processes and time.monotonic() < deadline:
            time.sleep(0.05)
            self._reap()
            self._notifier.watchdog()
        self._signal(signal.SIGKILL)
        for pid in self._processes:
            os.waitpid(pid, 0)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._processes:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _beat(write: int) -> None:
    try:
        os.write(write, b".")
    except BlockingIOError:
        # The parent is slow to read; what is in the pipe already says the same.
        return
    except BrokenPipeError:
        # The parent was killed. Nobody would ever stop this process: it stops itself, gently.
        os.kill(os.getpid(), signal.SIGTERM)
