"""Documents, from the upload to the citation, inside one process against a real PostgreSQL."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio

from aigo.config import load_settings
from aigo.config.material import Embedder
from aigo.db.migrate import check, migrate
from aigo.documents.embedder import EndpointEmbedder, Hashing
from aigo.documents.extract import NoText, pages_of
from aigo.documents.passages import passages
from aigo.documents.search import Search

from .inprocess import Served, served
from .site import Site
from .test_models import Endpoint, endpoint

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TEXT = "The warehouse in Lyon opens at seven.\n\nRefunds are paid within fourteen days.\n\n仓库在里昂, 周日关门。"


def pdf(text: str) -> bytes:
    """Write a PDF with one page."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    body, places = b"%PDF-1.4\n", []
    for number, item in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, item)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + b"xref\n0 5\n0000000000 65535 f \n%strailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(body),
    )


def docx(xml: bytes) -> bytes:
    """Write a word processor's document around its XML."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", xml)
    return file.getvalue()


WORDS = (
    b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
    b"<w:p><w:r><w:t>Holidays need </w:t></w:r><w:r><w:t>approval.</w:t></w:r></w:p></w:body></w:document>"
)


@pytest_asyncio.fixture(scope="module")
async def app(inner_site: Site) -> AsyncIterator[Served]:
    folder = inner_site.directory.parent / "files"
    storage = {"directory": str(folder), "reserve_bytes": 0}
    inner_site.secret("storage.keys.k1", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    bounds = {"max_bytes": 2_000_000, "user_bytes": 3_000_000, "passage_characters": 200}
    async with served(inner_site, storage=storage, documents=bounds) as app:
        yield app


@pytest_asyncio.fixture(scope="module")
async def uwe(app: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with await app.signed_in("uwe") as client:
        yield client


@pytest_asyncio.fixture(scope="module")
async def root(app: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with await app.signed_in("root") as client:
        yield client


async def work(app: Served) -> None:
    """Do what is queued."""
    await app.runtime.queue.app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)


async def upload(client: httpx2.AsyncClient, name: str, content: bytes, kind: str = "text/plain") -> httpx2.Response:
    return await client.post(
        "/api/v1/documents", params={"name": name}, content=content, headers={"Content-Type": kind}
    )


async def uploaded(app: Served, client: httpx2.AsyncClient, name: str, content: bytes, kind: str = "text/plain") -> Any:
    """Upload and index a document, and return it."""
    answer = await upload(client, name, content, kind)
    assert answer.status_code == 201, answer.text
    await work(app)
    return (await client.get(answer.headers["location"])).json()


async def found(client: httpx2.AsyncClient, query: str) -> list[dict[str, Any]]:
    answer = await client.post("/api/v1/documents/search", json={"query": query, "limit": 3})
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["hits"]
    return hits


def files(site: Site) -> list[Path]:
    return [path for path in (site.directory.parent / "files").glob("*/*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "kind", "content", "query", "page"),
    [
        ("hours.txt", "text/plain; charset=utf-8", TEXT.encode(), "when does the warehouse open", None),
        ("zh.txt", "application/octet-stream", TEXT.encode("gb18030"), "里昂仓库", None),
        ("page.html", "text/html", b"<p>Parking is <b>free</b></p><script>evil()</script>", "parking", None),
        ("rules.pdf", "application/pdf", pdf("Invoices are archived yearly"), "archived invoices", 1),
        ("leave.docx", DOCX, docx(WORDS), "holidays approval", None),
    ],
)
async def test_a_document_is_stored_sealed_indexed_found_returned_and_deleted(
    app: Served,
    uwe: httpx2.AsyncClient,
    root: httpx2.AsyncClient,
    inner_site: Site,
    name: str,
    kind: str,
    content: bytes,
    query: str,
    page: int | None,
) -> None:
    document = await uploaded(app, uwe, name, content, kind)
    assert (document["status"], document["error"]) == ("ready", None)
    assert (document["name"], document["size"], document["embedder"]) == (name, len(content), "hashing-384")
    where = f"/api/v1/documents/{document['id']}"
    hit = (await found(uwe, query))[0]
    assert (hit["document_id"], hit["page"]) == (document["id"], page)
    assert "evil" not in hit["text"]
    download = await uwe.get(f"{where}/content")
    assert download.content == content
    assert download.headers["content-type"] == "application/octet-stream"
    assert download.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"
    assert all(content[:30] not in path.read_bytes() for path in files(inner_site))
    # It is nobody else's, not even an administrator's.
    assert await found(root, query) == []
    others = [await root.get(where), await root.get(f"{where}/content"), await root.delete(where)]
    assert [answer.status_code for answer in others] == [404, 404, 404]
    assert (await root.get("/api/v1/documents")).json() == []
    assert document["id"] in [row["id"] for row in (await uwe.get("/api/v1/documents")).json()]
    assert (await uwe.delete(where)).status_code == 204
    assert (await uwe.get(where)).status_code == 404
    assert await found(uwe, query) == []
    assert files(inner_site) == []


async def test_pgvector_and_the_exact_search_find_the_same(
    app: Served, uwe: httpx2.AsyncClient, root: httpx2.AsyncClient, inner_site: Site
) -> None:
    settings = load_settings(inner_site.directory)
    text = "\n\n".join(f"Paragraph {n} is about {'apples' if n % 7 else 'oranges'} and number {n}." for n in range(60))
    mine, theirs = [(await uploaded(app, client, "fruit.txt", text.encode()))["id"] for client in (uwe, root)]
    exact = await found(uwe, "oranges number 14")
    assert exact[0]["text"].find("number 14") >= 0
    assert check(settings.database, 384).names == []
    inner_site.sql("CREATE EXTENSION vector SCHEMA aigo")
    assert check(settings.database, 384).names == ["passages_vector_384"]
    assert migrate(settings.database, 384).names == ["passages_vector_384"]
    assert check(settings.database, 384).names == []
    app.runtime.documents.search = Search(app.runtime.db, Hashing(384))
    near = await found(uwe, "oranges number 14")
    assert near[0]["ordinal"] == exact[0]["ordinal"]
    assert {hit["document_id"] for hit in near} == {hit["document_id"] for hit in exact} == {mine}
    assert [hit["score"] for hit in near] == pytest.approx([hit["score"] for hit in exact], abs=0.001)
    for client, document in ((uwe, mine), (root, theirs)):
        await client.delete(f"/api/v1/documents/{document}")


async def test_an_answer_cites_the_passages_that_it_used(app: Served, uwe: httpx2.AsyncClient) -> None:
    document = await uploaded(app, uwe, "hours.txt", TEXT.encode())
    where = (await uwe.post("/api/v1/conversations", json={})).json()["id"]
    asked = await uwe.post(
        f"/api/v1/conversations/{where}/runs", json={"input": "What do my documents say about refunds?"}
    )
    stream = await uwe.get(f"/api/v1/runs/{asked.json()['id']}/events")
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
    assert [event["data"]["name"] for event in events if event["type"] == "tool.call"] == ["search_documents"]
    sources = events[-1]["data"]["sources"]
    assert (sources[0]["number"], sources[0]["document_id"]) == (1, document["id"])
    assert "Refunds are paid" in sources[0]["excerpt"]
    run = (await uwe.get(f"/api/v1/runs/{asked.json()['id']}")).json()
    assert run["sources"] == sources
    assert run["usage"]["endpoints"] == ["scripted"]
    await uwe.delete(f"/api/v1/documents/{document['id']}")


async def test_what_cannot_be_stored_is_refused_with_the_reason(app: Served, uwe: httpx2.AsyncClient) -> None:
    async def many() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield bytes(100_000)

    refused = [
        (await upload(uwe, "x.exe", b"MZ", "application/x-msdownload"), 415, "unsupported_type"),
        (await upload(uwe, "x.bin", b"MZ", "application/octet-stream"), 415, "unsupported_type"),
        (await upload(uwe, "empty.txt", b""), 422, "empty"),
        (await upload(uwe, "../../etc/passwd", b"x"), 422, "invalid"),
        (await upload(uwe, "a\r\nSet-Cookie: x", b"x"), 422, "invalid"),
        (await upload(uwe, "large.txt", bytes(2_000_001)), 413, "too_large"),
        (await upload(uwe, "endless.txt", many()), 413, "too_large"),  # type: ignore[arg-type]
        (await uwe.get("/api/v1/documents/..%2f..%2fetc%2fpasswd"), 404, "not_found"),
        (await uwe.get(f"/api/v1/documents/{uuid4()}/content"), 404, "not_found"),
        (await uwe.post("/api/v1/documents/search", json={"query": "\x00"}), 422, "invalid"),
    ]
    told = [(answer.status_code, answer.json()["code"]) for answer, _, _ in refused]
    assert told == [(status, code) for _, status, code in refused]
    first = await upload(uwe, "a.txt", b"a" * 1_900_000)
    over = await upload(uwe, "b.txt", b"b" * 1_900_000)
    assert (first.status_code, over.status_code, over.json()["code"]) == (201, 413, "quota")
    await uwe.delete(first.headers["location"])
    await work(app)


async def test_without_room_or_without_a_key_uploads_are_refused(
    app: Served, uwe: httpx2.AsyncClient, inner_site: Site
) -> None:
    documents = app.runtime.documents
    indexing = documents._indexing
    storage, active = indexing.storage, indexing.keys.active
    try:
        indexing.storage = type(storage)(str(inner_site.directory.parent / "files"), reserve=2**62)
        full = await upload(uwe, "a.txt", b"x")
        indexing.storage = type(storage)("/proc/nowhere", reserve=0)
        away = await upload(uwe, "a.txt", b"x")
        indexing.keys.active = None
        off = await upload(uwe, "a.txt", b"x")
    finally:
        indexing.storage, indexing.keys.active = storage, active
    told = [(answer.status_code, answer.json()["code"]) for answer in (full, away, off)]
    assert told == [(507, "storage_full"), (503, "unavailable"), (409, "storage_off")]
    assert files(inner_site) == []


async def test_a_file_that_was_changed_is_never_handed_out(
    app: Served, uwe: httpx2.AsyncClient, inner_site: Site
) -> None:
    document = await uploaded(app, uwe, "hours.txt", TEXT.encode())
    where = f"/api/v1/documents/{document['id']}"
    (path,) = files(inner_site)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    assert (await uwe.get(f"{where}/content")).status_code == 503
    path.unlink()
    assert (await uwe.get(f"{where}/content")).status_code == 410
    await uwe.delete(where)


async def test_what_is_left_over_goes_and_what_another_embedder_made_is_made_again(
    app: Served, uwe: httpx2.AsyncClient, inner_site: Site
) -> None:
    document = await uploaded(app, uwe, "hours.txt", TEXT.encode())
    indexing = app.runtime.documents._indexing
    inner_site.sql("UPDATE documents SET embedder = 'another' WHERE id = %s", document["id"])
    inner_site.sql("UPDATE passages SET embedder = 'another' WHERE document_id = %s", document["id"])
    assert await found(uwe, "refunds") == []
    assert (await app.runtime.queue.tidy())["outdated_documents"] == 1
    await work(app)
    assert (await found(uwe, "refunds"))[0]["document_id"] == document["id"]
    inner_site.sql("DELETE FROM documents WHERE id = %s", document["id"])
    assert await indexing.sweep() == 0
    assert await indexing.sweep(older_than=-1) == 1
    assert files(inner_site) == []


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("application/pdf", b"%PDF-1.4 nonsense", "damaged"),
        (DOCX, b"PK nonsense", "damaged"),
        (DOCX, docx(b"<a>" + b"0" * 100_000_000), "damaged"),
        (DOCX, docx(b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'), "damaged"),
        ("text/plain", bytes(range(256)), "neither UTF-8"),
    ],
)
async def test_a_document_that_is_a_trap_is_only_unreadable(kind: str, content: bytes, reason: str) -> None:
    with pytest.raises(NoText, match=reason):
        await pages_of(kind, iter([content]))


async def test_an_unreadable_document_says_why_and_the_queue_goes_on(app: Served, uwe: httpx2.AsyncClient) -> None:
    document = await uploaded(app, uwe, "broken.pdf", b"%PDF-1.4 nonsense", "application/pdf")
    assert document["status"] == "failed"
    assert document["error"].startswith("The document can't be searched: it is damaged")
    blank = await uploaded(app, uwe, "blank.txt", b"   \n  ")
    assert blank["error"] == "The document can't be searched: there is no text in it."
    for failed in (document, blank):
        await uwe.delete(f"/api/v1/documents/{failed['id']}")


class Vectors(Endpoint):
    """Gives each text a vector that says how long it is."""

    def do_POST(self) -> None:
        """Answer in another order than asked."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body | {"authorization": self.headers["Authorization"]})
        rows = [
            {"index": at, "embedding": [float(len(text))] + [0.0] * 62 + [1.0]} for at, text in enumerate(body["input"])
        ]
        answer = json.dumps({"data": rows[::-1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


async def test_an_endpoint_embeds_in_batches_and_says_when_it_is_away(app: Served, uwe: httpx2.AsyncClient) -> None:
    with endpoint(Vectors) as (url, asked):
        settings = Embedder(kind="openai", base_url=url, model="e", dimensions=64, batch=2, api_key="k")  # type: ignore[arg-type]
        embedder = EndpointEmbedder(settings)
        vectors = await embedder.embed(["a", "bb", "ccc"])
        assert [round(vector[0] / vector[-1]) for vector in vectors] == [1, 2, 3]
        assert [entry["input"] for entry in asked] == [["a", "bb"], ["ccc"]]
        assert asked[0]["authorization"] == "Bearer k"
        assert sum(number * number for number in vectors[2]) == pytest.approx(1)
    search = app.runtime.documents.search
    app.runtime.documents.search = Search(app.runtime.db, embedder)
    try:
        answer = await uwe.post("/api/v1/documents/search", json={"query": "x"})
    finally:
        app.runtime.documents.search = search
        await embedder.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def test_the_api_document_tells_of_uploads_and_their_refusals(app: Served) -> None:
    paths = app.app.openapi()["paths"]
    operation = paths["/api/v1/documents"]["post"]
    assert "application/pdf" in operation["requestBody"]["content"]
    assert {"201", "400", "401", "409", "413", "415", "422", "429", "503", "507"} <= set(operation["responses"])
    assert "410" in paths["/api/v1/documents/{document_id}/content"]["get"]["responses"]


def test_passages_end_with_sentences_and_pages_and_overlap_a_little() -> None:
    text = "One is 3.14 long. Two follows it. " + "Three has many words in it. " * 8
    cut = list(passages([(1, text), (2, "x" * 500)], 200))
    assert all(len(part) <= 250 for _, part in cut)
    assert cut[0][1].startswith("One is 3.14 long. Two follows it. Three")
    assert cut[1][1].startswith("Three has many words in it. Three")
    assert [page for page, _ in cut] == [1, 1, 2, 2, 2]
    assert list(passages([(None, " \n ")], 200)) == []
