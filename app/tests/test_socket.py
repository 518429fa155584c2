"""The WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .chat import ask, conversation, numbers, text_of
from .site import Site


def token(client: httpx2.Client) -> str:
    return str(client.headers["authorization"]).removeprefix("Bearer ")


@asynccontextmanager
async def signed_in(site: Site, client: httpx2.Client) -> AsyncIterator[ClientConnection]:
    async with connect(site.ws_url) as socket:
        await socket.send(json.dumps({"type": "authenticate", "token": token(client)}))
        assert json.loads(await socket.recv())["type"] == "authenticated"
        yield socket


async def receive(socket: ClientConnection, until: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while not messages or messages[-1]["type"] != until:
        messages.append(json.loads(await asyncio.wait_for(socket.recv(), 20)))
    return messages


async def test_a_run_is_asked_for_and_followed_over_the_socket(site: Site, ada: httpx2.Client) -> None:
    where = conversation(ada)
    async with signed_in(site, ada) as socket:
        command = {"type": "run", "conversation_id": where, "input": "What is 6 * 7?", "reference": "r1"}
        await socket.send(json.dumps(command))
        accepted, *stream = await receive(socket, "run.completed")
    assert accepted["type"] == "run.accepted"
    assert accepted["reference"] == "r1"
    assert [event["sequence"] for event in stream] == list(range(1, len(stream) + 1))
    assert "42" in text_of(stream)


async def test_a_header_authenticates_too(site: Site, ada: httpx2.Client) -> None:
    async with connect(site.ws_url, additional_headers={"Authorization": f"Bearer {token(ada)}"}) as socket:
        assert json.loads(await socket.recv())["user"]["name"] == "ada"


async def test_a_lost_connection_is_taken_up_where_it_broke(site: Site, ada: httpx2.Client) -> None:
    run = ask(ada, conversation(ada), "count to 60")
    seen: list[dict[str, Any]] = []
    async with signed_in(site, ada) as socket:
        await socket.send(json.dumps({"type": "resume", "run_id": run["id"]}))
        while len(seen) < 10:
            seen.append(json.loads(await socket.recv()))
    async with signed_in(site, ada) as socket:
        await socket.send(json.dumps({"type": "resume", "run_id": run["id"], "after": seen[-1]["sequence"]}))
        seen += await receive(socket, "run.completed")
    assert text_of(seen) == numbers(60)


async def test_a_run_is_cancelled_over_the_socket(site: Site, ada: httpx2.Client) -> None:
    async with signed_in(site, ada) as socket:
        await socket.send(json.dumps({"type": "run", "conversation_id": conversation(ada), "input": "count to 2000"}))
        run_id = (await receive(socket, "token"))[-1]["run_id"]
        await socket.send(json.dumps({"type": "cancel", "run_id": run_id}))
        assert (await receive(socket, "run.failed"))[-1]["data"]["status"] == "cancelled"


async def test_mistakes_are_answered_and_the_socket_lives_on(
    site: Site, ada: httpx2.Client, bob: httpx2.Client
) -> None:
    foreign = ask(ada, conversation(ada), "hello")["id"]
    async with signed_in(site, bob) as socket:
        for message, code in (
            ("not json", "invalid"),
            ('{"type": "dance"}', "invalid"),
            (json.dumps({"type": "resume", "run_id": foreign}), "not_found"),
            (json.dumps({"type": "cancel", "run_id": foreign}), "not_found"),
        ):
            await socket.send(message)
            assert json.loads(await socket.recv())["code"] == code
        await socket.send(json.dumps({"type": "run", "conversation_id": conversation(bob), "input": "hi"}))
        assert text_of(await receive(socket, "run.completed"))


@pytest.mark.parametrize("first", ['{"type": "authenticate", "token": "forged"}', '{"type": "run"}', "hello"])
async def test_strangers_are_sent_away(site: Site, ada: httpx2.Client, first: str) -> None:
    async with connect(site.ws_url) as socket:
        await socket.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


async def test_a_message_that_is_too_large_closes_the_socket(site: Site, ada: httpx2.Client) -> None:
    async with signed_in(site, ada) as socket:
        await socket.send("x" * 70_000)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_only_ws_is_served_there(site: Site, ada: httpx2.Client) -> None:
    with pytest.raises(InvalidStatus):
        await connect(site.ws_url.replace("/ws", "/elsewhere"))
