"""Stored files: sealed, whole or not there, and never a path from outside."""

from __future__ import annotations

import base64
import os
import resource
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from aigo.storage import DirectoryStorage, KeyRing, NoSuchFile, StorageFull, Unreadable

PIECE = 65_536


def key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


async def parts(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def sealed(ring: KeyRing, name: str, data: bytes) -> bytes:
    return b"".join([chunk async for chunk in ring.seal(name, parts(data))])


def opened(ring: KeyRing, name: str, data: bytes) -> bytes:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(data), 7_001):
            yield data[start : start + 7_001]

    return b"".join(ring.open(name, chunks()))


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
async def test_what_was_sealed_comes_back(size: int) -> None:
    ring, data = KeyRing({"k1": key()}), secrets.token_bytes(size)
    stored = await sealed(ring, "a", data)
    assert opened(ring, "a", stored) == data
    assert data == b"" or size == 1 or data[:16] not in stored


async def test_a_change_a_cut_an_exchange_and_another_name_are_noticed() -> None:
    ring, data = KeyRing({"k1": key()}), secrets.token_bytes(3 * PIECE)
    stored = await sealed(ring, "a", data)
    header, piece = len(stored) - 3 * (PIECE + 16), PIECE + 16
    first, second = stored[header : header + piece], stored[header + piece : header + 2 * piece]
    bad = [
        stored[:-1],
        stored[:-piece],
        stored[:header] + second + first + stored[header + 2 * piece :],
        stored[:header] + stored[header + piece :],
        stored[: header + 5] + bytes([stored[header + 5] ^ 1]) + stored[header + 6 :],
        stored[:10] + bytes([stored[10] ^ 1]) + stored[11:],
        stored[: header // 2],
        b"plain text",
        b"",
    ]
    for changed in bad:
        with pytest.raises(Unreadable):
            opened(ring, "a", changed)
    with pytest.raises(Unreadable):
        opened(ring, "b", stored)


async def test_old_keys_open_old_files_and_a_missing_one_is_named() -> None:
    old, new = key(), key()
    stored = await sealed(KeyRing({"k1": old}), "a", b"hello")
    ring = KeyRing({"k1": old, "k2": new}, "k2")
    assert opened(ring, "a", stored) == b"hello"
    assert b"k2" in await sealed(ring, "a", b"hello")
    with pytest.raises(Unreadable, match=r"secrets/storage\.keys\.k1"):
        opened(KeyRing({"k2": new}), "a", stored)
    with pytest.raises(ValueError, match="openssl rand -base64 32"):
        KeyRing({"k1": "too short"})


async def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    storage = DirectoryStorage(str(tmp_path), reserve=0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel refuses in the middle of the file, as it does when a disk or a quota is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(StorageFull):
            await storage.put(uuid4(), parts(bytes(200_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(storage.names(older_than=-1)) == []
    assert os.listdir(tmp_path / "incoming") == []
    with pytest.raises(StorageFull):
        await DirectoryStorage(str(tmp_path), reserve=2**62).put(uuid4(), parts(b"x"))


async def test_a_file_appears_when_it_is_whole_and_goes_when_it_is_told(tmp_path: Path) -> None:
    storage, name = DirectoryStorage(str(tmp_path), reserve=0), uuid4()

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await storage.put(name, broken())
    with pytest.raises(NoSuchFile):
        storage.read(name)
    await storage.put(name, parts(b"whole"))
    assert b"".join(storage.read(name)) == b"whole"
    (tmp_path / "incoming" / "forgotten").write_bytes(b"x")
    assert list(storage.names(older_than=-1)) == [name]
    assert os.listdir(tmp_path / "incoming") == []
    storage.delete(name)
    storage.delete(name)
    assert list(storage.names(older_than=-1)) == []
