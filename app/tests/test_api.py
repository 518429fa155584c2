"""The HTTP API, against two serving processes and real PostgreSQL and Redis."""

from __future__ import annotations

import uuid

import httpx2
import pytest

from .chat import ask, conversation, events, numbers, text_of
from .site import PASSWORD, Site, wait_for


def test_health_touches_nothing_and_ready_names_each_dependency(site: Site, ada: httpx2.Client) -> None:
    with site.client() as anyone:
        assert anyone.get("/health").json() == {"status": "ok", "version": "0.1.0"}
        ready = anyone.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert {name: check["status"] for name, check in ready.json()["checks"].items()} == {
        "database": "up",
        "redis": "up",
        "models": "up",
    }


def test_metrics_are_summed_over_the_processes(site: Site, ada: httpx2.Client) -> None:
    def count() -> float:
        lines = ada.get("/metrics").text.splitlines()
        wanted = 'aigo_requests_total{method="GET",route="/api/v1/auth/me",status="200"} '
        return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))

    before = count()
    for _ in range(20):
        with httpx2.Client(base_url=site.url, headers=ada.headers) as fresh:
            fresh.get("/api/v1/auth/me")
    assert count() == before + 20


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/auth/me"),
        ("POST", "/api/v1/auth/logout"),
        ("GET", "/api/v1/keys"),
        ("POST", "/api/v1/keys"),
        ("GET", "/api/v1/conversations"),
        ("POST", "/api/v1/conversations"),
        ("GET", f"/api/v1/conversations/{uuid.uuid4()}"),
        ("GET", f"/api/v1/conversations/{uuid.uuid4()}/messages"),
        ("POST", f"/api/v1/conversations/{uuid.uuid4()}/runs"),
        ("GET", f"/api/v1/runs/{uuid.uuid4()}"),
        ("GET", f"/api/v1/runs/{uuid.uuid4()}/events"),
        ("POST", f"/api/v1/runs/{uuid.uuid4()}/cancel"),
        ("POST", "/api/v1/jobs"),
        ("GET", f"/api/v1/jobs/{uuid.uuid4()}"),
        ("GET", f"/api/v1/jobs/{uuid.uuid4()}/result"),
    ],
)
def test_nothing_is_told_to_strangers(site: Site, ada: httpx2.Client, method: str, path: str) -> None:
    with site.client() as stranger:
        for headers in ({}, {"Authorization": "Bearer forged.token.here"}, {"Authorization": "Basic eDp5"}):
            answer = stranger.request(method, path, headers=headers, json={})
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_user_sees_nothing_of_another(ada: httpx2.Client, bob: httpx2.Client) -> None:
    where = conversation(ada)
    run = ask(ada, where, "hello")
    list(events(ada, run["id"]))
    job = ada.post("/api/v1/jobs", json={"kind": "conversation.export", "conversation_id": where}).json()
    for method, path in (
        ("GET", f"/api/v1/conversations/{where}"),
        ("PATCH", f"/api/v1/conversations/{where}"),
        ("DELETE", f"/api/v1/conversations/{where}"),
        ("GET", f"/api/v1/conversations/{where}/messages"),
        ("POST", f"/api/v1/conversations/{where}/runs"),
        ("GET", f"/api/v1/runs/{run['id']}"),
        ("GET", f"/api/v1/runs/{run['id']}/events"),
        ("POST", f"/api/v1/runs/{run['id']}/cancel"),
        ("GET", f"/api/v1/jobs/{job['id']}"),
        ("GET", f"/api/v1/jobs/{job['id']}/result"),
    ):
        body = {"title": "mine", "input": "hi"} if method in ("PATCH", "POST") else None
        assert bob.request(method, path, json=body).status_code == 404, path
    export = {"kind": "conversation.export", "conversation_id": where}
    assert bob.post("/api/v1/jobs", json=export).status_code == 404
    assert where not in bob.get("/api/v1/conversations").text


def test_conversations_are_created_listed_renamed_and_deleted(bob: httpx2.Client) -> None:
    ids = [conversation(bob) for _ in range(3)]
    page = bob.get("/api/v1/conversations", params={"limit": 2}).json()
    assert [row["id"] for row in page] == [ids[2], ids[1]]
    rest = bob.get("/api/v1/conversations", params={"limit": 1, "before": ids[1]}).json()
    assert rest[0]["id"] == ids[0]
    assert bob.patch(f"/api/v1/conversations/{ids[0]}", json={"title": "Plans"}).json()["title"] == "Plans"
    assert bob.delete(f"/api/v1/conversations/{ids[0]}").status_code == 204
    assert bob.get(f"/api/v1/conversations/{ids[0]}").status_code == 404
    assert bob.delete(f"/api/v1/conversations/{ids[0]}").status_code == 404


def test_an_answer_is_streamed_with_its_tool_call_and_stored(ada: httpx2.Client) -> None:
    where = conversation(ada)
    run = ask(ada, where, "What is 6 * 7?")
    stream = list(events(ada, run["id"]))
    assert [event["sequence"] for event in stream] == list(range(1, len(stream) + 1))
    kinds = [event["type"] for event in stream if event["type"] != "token"]
    assert kinds == ["run.started", "tool.call", "tool.result", "run.completed"]
    assert stream[1]["data"]["arguments"] == {"expression": "6 * 7"}
    assert stream[2]["data"]["result"] == "42"
    assert "scripted model" in text_of(stream)
    messages = ada.get(f"/api/v1/conversations/{where}/messages").json()
    assert [(message["role"], message["content"]) for message in messages] == [
        ("user", "What is 6 * 7?"),
        ("assistant", text_of(stream)),
    ]
    stored = ada.get(f"/api/v1/runs/{run['id']}").json()
    assert stored["status"] == "completed"
    assert stored["usage"]["tool_calls"] == 1


def test_a_stream_goes_on_after_the_last_event_that_was_seen(ada: httpx2.Client) -> None:
    run = ask(ada, conversation(ada), "count to 60")
    seen = []
    for event in events(ada, run["id"]):
        seen.append(event)
        if event["sequence"] == 20:
            break
    rest = list(events(ada, run["id"], after=20))
    assert rest[0]["sequence"] == 21
    assert text_of(seen + rest) == numbers(60)
    assert text_of(list(events(ada, run["id"]))) == numbers(60)


def test_followers_on_every_process_see_the_same(site: Site, ada: httpx2.Client) -> None:
    run = ask(ada, conversation(ada), "count to 30")
    told = set()
    for _ in range(6):
        with httpx2.Client(base_url=site.url, headers=ada.headers) as fresh:
            told.add(text_of(list(events(fresh, run["id"]))))
    assert told == {numbers(30)}


def test_a_run_can_be_cancelled_from_any_process(site: Site, ada: httpx2.Client) -> None:
    for _ in range(4):
        run = ask(ada, conversation(ada), "count to 2000")
        with httpx2.Client(base_url=site.url, headers=ada.headers) as fresh:
            assert fresh.post(f"/api/v1/runs/{run['id']}/cancel").status_code == 202
            last = list(events(fresh, run["id"]))[-1]
        assert last["type"] == "run.failed"
        assert last["data"]["error"] == {
            "code": "cancelled",
            "message": "The run was cancelled.",
            "retryable": False,
        }
        assert ada.get(f"/api/v1/runs/{run['id']}").json()["status"] == "cancelled"


def test_a_repeated_idempotency_key_asks_once(ada: httpx2.Client) -> None:
    where, key = conversation(ada), str(uuid.uuid4())
    first = ask(ada, where, "hello", **{"Idempotency-Key": key})
    again = ada.post(f"/api/v1/conversations/{where}/runs", json={"input": "hello"}, headers={"Idempotency-Key": key})
    assert again.status_code == 200
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["id"] == first["id"]
    other = ada.post(f"/api/v1/conversations/{where}/runs", json={"input": "bye"}, headers={"Idempotency-Key": key})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    list(events(ada, first["id"]))
    assert len(ada.get(f"/api/v1/conversations/{where}/messages").json()) == 2


def test_one_run_at_a_time_in_a_conversation(ada: httpx2.Client) -> None:
    where = conversation(ada)
    run = ask(ada, where, "count to 100")
    second = ada.post(f"/api/v1/conversations/{where}/runs", json={"input": "hello"})
    assert (second.status_code, second.json()["code"]) == (409, "run_in_progress")
    ada.post(f"/api/v1/runs/{run['id']}/cancel")
    list(events(ada, run["id"]))
    ask(ada, where, "hello")


def test_an_abandoned_run_is_ended_with_what_it_had_said(site: Site, ada: httpx2.Client) -> None:
    where, run_id = conversation(ada), str(uuid.uuid4())
    user = ada.get("/api/v1/auth/me").json()["id"]
    site.sql(
        "INSERT INTO runs (id, conversation_id, user_id, status, input, instance, heartbeat_at)"
        " VALUES (%s, %s, %s, 'running', 'hi', 'gone', now() - interval '1 minute')",
        run_id,
        where,
        user,
    )
    site.sql("INSERT INTO run_events VALUES (%s, 1, 'token', '{\"text\": \"half an\"}')", run_id)
    ask(ada, where, "hello")
    last = list(events(ada, run_id))[-1]
    assert last["data"]["error"]["code"] == "orphaned"
    assert last["data"]["error"]["retryable"] is True
    contents = [row["content"] for row in ada.get(f"/api/v1/conversations/{where}/messages").json()]
    assert "half an" in contents


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": ""}, 422),
        ({"input": " \n"}, 422),
        ({"input": "a\x00b"}, 422),
        ({"input": "x" * 32_001}, 422),
        ({"input": ["x"]}, 422),
        ({}, 422),
    ],
)
def test_bad_input_is_explained(ada: httpx2.Client, body: dict[str, object], status: int) -> None:
    answer = ada.post(f"/api/v1/conversations/{uuid.uuid4()}/runs", json=body)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["at"] == "body.input"


def test_malformed_and_oversized_bodies_are_refused(ada: httpx2.Client) -> None:
    headers = {"Content-Type": "application/json"}
    assert ada.post("/api/v1/conversations", content=b"{", headers=headers).status_code == 422
    assert ada.post("/api/v1/conversations", content=b'{"title": "\\ud800"}', headers=headers).status_code == 422
    assert ada.post("/api/v1/conversations", content=b"x" * 1_048_577, headers=headers).status_code == 413
    pieces = (b"x" * 65_536 for _ in range(17))
    assert ada.post("/api/v1/conversations", content=pieces, headers=headers).status_code == 413
    assert ada.get(f"/api/v1/runs/{uuid.uuid4()}/events", headers={"Last-Event-ID": "x"}).status_code in (400, 404)


def test_request_ids_travel_through_answer_and_log(site: Site, ada: httpx2.Client, server: object) -> None:
    answer = ada.get("/api/v1/auth/me", headers={"X-Request-ID": "trace-77"})
    assert answer.headers["x-request-id"] == "trace-77"
    line = wait_for(
        "the log line",
        lambda: next((row for row in server.lines() if row.get("request_id") == "trace-77"), None),  # type: ignore[attr-defined]
    )
    assert line["service"] == "aigo-api"
    assert line["instance"] == "test"
    assert line["status_code"] == 200
    assert line["user_id"] == answer.json()["id"]
    assert {"timestamp", "level", "message", "latency_ms"} <= set(line)


def test_the_fifth_wrong_password_locks_the_account_and_setting_one_unlocks_it(site: Site, ada: httpx2.Client) -> None:
    site.run("user", "create", "frank", text=PASSWORD)
    with site.client() as client:

        def login(password: str) -> int:
            answer = client.post("/api/v1/auth/login", json={"name": "frank", "password": password})
            return answer.status_code

        assert [login("wrong password") for _ in range(5)] == [401] * 5
        assert login(PASSWORD) == 401
        assert site.run("user", "set-password", "frank", text="another good one").returncode == 0
        assert login("another good one") == 200


def test_signing_out_ends_the_session(site: Site, ada: httpx2.Client) -> None:
    with site.client("bob") as client:
        assert client.get("/api/v1/auth/me").status_code == 200
        assert client.post("/api/v1/auth/logout").status_code == 204
        assert client.get("/api/v1/auth/me").status_code == 401


def test_a_disabled_user_and_a_revoked_key_are_out_within_seconds(site: Site, ada: httpx2.Client) -> None:
    site.run("user", "create", "grace", text=PASSWORD)
    with site.client("grace") as grace:
        key = grace.post("/api/v1/keys", json={"name": "script"}).json()
        with httpx2.Client(base_url=site.url, headers={"Authorization": f"Bearer {key['key']}"}) as program:
            assert program.get("/api/v1/auth/me").json()["name"] == "grace"
            assert grace.delete(f"/api/v1/keys/{key['id']}").status_code == 204
            assert program.get("/api/v1/auth/me").status_code == 401
        assert [row["revoked"] for row in grace.get("/api/v1/keys").json()] == [True]
        site.run("user", "disable", "grace")
        wait_for("the cache forgets her", lambda: grace.get("/api/v1/auth/me").status_code == 401)


def test_a_key_with_a_wrong_secret_or_past_its_end_is_refused(site: Site, ada: httpx2.Client) -> None:
    good = ada.post("/api/v1/keys", json={"name": "a"}).json()
    old = ada.post("/api/v1/keys", json={"name": "b", "expires_at": "2020-01-01T00:00:00Z"}).json()
    for text in (good["key"][:-1] + "x", old["key"]):
        with httpx2.Client(base_url=site.url, headers={"Authorization": f"Bearer {text}"}) as program:
            assert program.get("/api/v1/auth/me").status_code == 401


def test_each_socket_serves_its_own_kind_only(site: Site, ada: httpx2.Client) -> None:
    answer = httpx2.get(f"http://127.0.0.1:{site.ports[1]}/health")
    assert answer.status_code == 404
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert ada.get("/ws", headers=upgrade | key).status_code == 403
