"""Reads the text of a document, in a process of its own.

Documents come from anywhere, and their formats are intricate: what reads them has bounded memory and time, can write
no file, and takes nothing with it when it dies. ``python -m aigo.documents.extract TYPE`` reads the document from
standard input and writes one JSON line a page.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

_MEMORY = 2 * 1024**3
_SECONDS = 120
_CHARACTERS = 20_000_000
_WORDS = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
Page = tuple[int | None, str]


class NoText(Exception):
    """The document can't be read; the sentence is for its owner."""


async def pages_of(media_type: str, data: Iterator[bytes]) -> list[Page]:
    """Return the pages of a document as (number, text); :raises NoText: with the reason."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "aigo.documents.extract",
        media_type,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in ("PYTHONPATH", "LANG") if name in os.environ},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_SECONDS * 2):
            reading = asyncio.create_task(process.stdout.read())
            with suppress(BrokenPipeError, ConnectionResetError):
                while chunk := await asyncio.to_thread(next, data, b""):
                    process.stdin.write(chunk)
                    await process.stdin.drain()
            process.stdin.close()
            lines = (await reading).splitlines()
            status = await process.wait()
    except TimeoutError:
        raise NoText("reading it took too long") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    told = [json.loads(line) for line in lines] if status in (0, 1) else []
    if status == 1 and told:
        raise NoText(told[-1]["error"])
    if status != 0:
        raise NoText("reading it took more memory or time than a document may")
    return [(row["page"], row["text"]) for row in told]


def main() -> int:
    """Read standard input; exit with 1 and a reason when it can't be understood."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        left = _CHARACTERS
        for page, text in READERS[sys.argv[1]](sys.stdin.buffer.read()):
            text = text[:left].replace("\x00", "").encode(errors="replace").decode()
            left -= len(text)
            _tell({"page": page, "text": text})
    except NoText as error:
        _tell({"error": str(error)})
        return 1
    except Exception as error:
        _tell({"error": f"it is damaged, or not what its type says ({type(error).__name__})"})
        return 1
    return 0


def _tell(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def _plain(data: bytes) -> Iterator[Page]:
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            yield None, data.decode(encoding)
            return
    raise NoText("its text is neither UTF-8 nor UTF-16 nor GB 18030")


def _html(data: bytes) -> Iterator[Page]:
    from aigo.documents.markup import text_of_html

    for page, text in _plain(data):
        yield page, text_of_html(text)


def _pdf(data: bytes) -> Iterator[Page]:
    from pypdf import PdfReader

    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise NoText("it is protected by a password")
    for number, page in enumerate(reader.pages, 1):
        yield number, page.extract_text()


def _docx(data: bytes) -> Iterator[Page]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open("word/document.xml") as document:
        # An archive may unfold to a thousand times its size.
        text = document.read(_CHARACTERS * 4)
    paragraphs = []
    # Memory and time of this process are bounded, which is what an attack by XML is after.
    for paragraph in ElementTree.fromstring(text).iter(f"{_WORDS}p"):  # noqa: S314
        paragraphs.append("".join(node.text or "" for node in paragraph.iter(f"{_WORDS}t")))
    yield None, "\n".join(paragraphs)


READERS: dict[str, Callable[[bytes], Iterator[Page]]] = {
    "text/plain": _plain,
    "text/markdown": _plain,
    "text/csv": _plain,
    "application/json": _plain,
    "text/html": _html,
    "application/pdf": _pdf,
    _DOCX: _docx,
}
BY_SUFFIX = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".json": "application/json",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
    ".docx": _DOCX,
}

if __name__ == "__main__":
    sys.exit(main())
