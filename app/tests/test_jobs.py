"""Background jobs, done by a real worker."""

from __future__ import annotations

import functools
import json
import os
import signal
import uuid
from typing import Any

import httpx2

from aigo.config import load_settings
from aigo.db import Database
from aigo.jobs.queue import Queue
from aigo.runs.store import RunStore

from .chat import ask, conversation, events
from .site import Process, Site, wait_for


async def tidy(site: Site) -> dict[str, int]:
    """Do the housekeeping, which otherwise comes every minute."""
    db = Database(load_settings(site.directory).database)
    await db.open()
    try:
        queue = Queue(db, RunStore(db, "test"))
        await queue.open()
        return await queue.tidy()
    finally:
        await db.close()


def has_request(process: Process, request_id: str) -> bool:
    """Whether the process has logged something about that request."""
    return any(row.get("request_id") == request_id for row in process.lines())


def finished(client: httpx2.Client, job_id: str) -> Any:
    def look() -> Any:
        job = client.get(f"/api/v1/jobs/{job_id}").json()
        return job if job["status"] in ("completed", "failed") else None

    return wait_for("the job is done", look)


def test_a_conversation_is_exported_by_the_worker(site: Site, ada: httpx2.Client, worker: Process) -> None:
    where = conversation(ada)
    list(events(ada, ask(ada, where, "What is 2 + 3?")["id"]))
    for kind, check in (("json", lambda text: json.loads(text)["messages"][0]["content"]), ("markdown", str)):
        body = {"kind": "conversation.export", "conversation_id": where, "format": kind}
        asked = ada.post("/api/v1/jobs", json=body, headers={"X-Request-ID": f"export-{kind}"})
        assert asked.status_code == 202
        job = finished(ada, asked.json()["id"])
        assert job["status"] == "completed"
        result = ada.get(job["result_url"])
        assert "attachment" in result.headers["content-disposition"]
        assert "What is 2 + 3?" in check(result.text)
        wait_for(
            "the worker's log has the request's id",
            functools.partial(has_request, worker, f"export-{kind}"),
        )


async def test_a_job_that_never_reached_the_queue_is_found_and_fails_with_a_reason(
    site: Site, ada: httpx2.Client, worker: Process
) -> None:
    where = conversation(ada)
    user = ada.get("/api/v1/auth/me").json()["id"]
    job_id = str(uuid.uuid4())
    ada.delete(f"/api/v1/conversations/{where}")
    site.sql(
        "INSERT INTO jobs (id, user_id, kind, input, created_at)"
        " VALUES (%s, %s, 'conversation.export', %s, now() - interval '2 minutes')",
        job_id,
        user,
        json.dumps({"conversation_id": where, "format": "json"}),
    )
    assert ada.get(f"/api/v1/jobs/{job_id}/result").status_code == 409
    assert (await tidy(site))["forgotten_jobs"] == 1
    assert (await tidy(site))["forgotten_jobs"] == 0
    job = finished(ada, job_id)
    assert (job["status"], job["error"]) == ("failed", "There is no such conversation.")


def test_a_worker_that_dies_is_replaced_and_its_job_is_done_once(
    site: Site, ada: httpx2.Client, worker: Process
) -> None:
    before = worker.children()
    os.kill(before[0], signal.SIGKILL)
    wait_for("another process works", lambda: worker.children() and worker.children() != before)
    where = conversation(ada)
    asked = ada.post("/api/v1/jobs", json={"kind": "conversation.export", "conversation_id": where}).json()
    assert finished(ada, asked["id"])["status"] == "completed"
    rows = site.sql("SELECT count(*) FROM procrastinate_jobs WHERE queueing_lock = %s", asked["id"])
    assert rows == [(1,)]


async def test_the_housekeeping_takes_up_jobs_whose_worker_is_gone_and_runs_whose_process_is(
    site: Site, ada: httpx2.Client, worker: Process
) -> None:
    where, run_id = conversation(ada), str(uuid.uuid4())
    user = ada.get("/api/v1/auth/me").json()["id"]
    asked = ada.post("/api/v1/jobs", json={"kind": "conversation.export", "conversation_id": where}).json()
    finished(ada, asked["id"])
    site.sql("UPDATE jobs SET status = 'running', result = NULL WHERE id = %s", asked["id"])
    site.sql(
        "UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL"
        " WHERE queueing_lock = %s AND status <> 'doing'",
        asked["id"],
    )
    site.sql(
        "INSERT INTO runs (id, conversation_id, user_id, status, input, instance, heartbeat_at)"
        " VALUES (%s, %s, %s, 'running', 'hi', 'gone', now() - interval '1 minute')",
        run_id,
        where,
        user,
    )
    done = await tidy(site)
    assert (done["stalled_jobs"], done["orphaned_runs"]) == (1, 1)
    assert finished(ada, asked["id"])["status"] == "completed"
    assert list(events(ada, run_id))[-1]["data"]["error"]["code"] == "orphaned"
