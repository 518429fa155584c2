"""``/api/v1/documents``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, Field
from starlette.requests import ClientDisconnect

from aigo.deps import CurrentUser, Running
from aigo.documents.extract import READERS
from aigo.openapi import problems
from aigo.problems import Problem
from aigo.text import Prose

router = APIRouter(prefix="/api/v1/documents", tags=["documents"])
_BODY = {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in READERS}, "required": True}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


def _one_line(value: str) -> str:
    # A name is shown and never used as a path, but people may save the file under it.
    if any(not character.isprintable() or character in "/\\" for character in value):
        raise ValueError("a name has neither slashes nor characters that can't be seen")
    return value


Name = Annotated[Prose, AfterValidator(_one_line), Query(min_length=1, max_length=200)]


class Document(BaseModel):
    """A document; it can be searched once it is ``ready``."""

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    status: Literal["queued", "indexing", "ready", "failed"]
    error: str | None
    embedder: str | None
    passages: int | None
    created_at: datetime
    indexed_at: datetime | None


class SearchFor(BaseModel):
    """What to look for."""

    query: Annotated[Prose, Field(min_length=1, max_length=2000)]
    limit: Annotated[int, Field(ge=1, le=50)] = 8


class Hit(BaseModel):
    """A passage, and how near it is (1 is the same)."""

    document_id: UUID
    name: str
    ordinal: int
    page: int | None
    text: str
    score: float


class Hits(BaseModel):
    """The nearest passages, and the embedder that says so: ``hashing-…`` compares words, not meaning."""

    embedder: str
    hits: list[Hit]


@router.post("", status_code=201, openapi_extra={"requestBody": _BODY}, responses=problems(400, 409, 413, 415, 507))
async def upload(request: Request, response: Response, name: Name, user: CurrentUser, runtime: Running) -> Document:
    """Upload a document as the body of the request, under a name."""
    declared = request.headers.get("content-type", "")
    try:
        row = await runtime.documents.upload(user.id, name, declared, request.stream())
    except ClientDisconnect:
        raise Problem(400, "interrupted", "The upload broke off.") from None
    response.headers["Location"] = f"/api/v1/documents/{row['id']}"
    return Document(**row)


@router.get("")
async def list_documents(
    user: CurrentUser, runtime: Running, limit: Annotated[int, Query(ge=1, le=200)] = 50, before: UUID | None = None
) -> list[Document]:
    """List one's documents, newest first; ``before`` is the last id of the page that came before."""
    return [Document(**row) for row in await runtime.documents.store.page(user.id, limit, before)]


@router.post("/search")
async def search(body: SearchFor, user: CurrentUser, runtime: Running) -> Hits:
    """Search one's documents."""
    found = await runtime.documents.find(user.id, body.query, body.limit)
    return Hits(embedder=runtime.documents.embedder, hits=[Hit(**vars(passage)) for passage in found])


@router.get("/{document_id}", responses=problems(404))
async def get(document_id: UUID, user: CurrentUser, runtime: Running) -> Document:
    """Return a document, without its content."""
    return Document(**await runtime.documents.store.get(user.id, document_id))


@router.get("/{document_id}/content", response_class=StreamingResponse, responses={**_FILE, **problems(404, 410)})
async def content(document_id: UUID, user: CurrentUser, runtime: Running) -> StreamingResponse:
    """Download a document as it was uploaded."""
    row = await runtime.documents.store.get(user.id, document_id)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(row['name'], safe='')}",
        "Content-Length": str(row["size"]),
        "Cache-Control": "no-store",
    }
    # Never as its own type: a page that somebody uploaded must not run as a part of this one.
    plain = await runtime.documents.content(document_id)
    return StreamingResponse(plain, media_type="application/octet-stream", headers=headers)


@router.delete("/{document_id}", status_code=204, responses=problems(404))
async def delete(document_id: UUID, user: CurrentUser, runtime: Running) -> Response:
    """Delete a document with all that was made of it."""
    await runtime.documents.delete(user.id, document_id)
    return Response(status_code=204)
