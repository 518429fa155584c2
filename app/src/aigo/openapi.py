"""Makes the API document say what is really answered: problem documents, limits and permissions."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

_TEXT = {
    400: "What was sent can't be used.",
    401: "Nobody is signed in: the token, key or signature is missing, wrong or over.",
    403: "Whoever is signed in may not do that.",
    404: "There is no such thing, or it is somebody else's.",
    409: "It doesn't fit with how things are.",
    410: "It is gone.",
    413: "That is too large.",
    415: "Documents of this type can't be read.",
    422: "The request doesn't have the form that is asked for.",
    429: "Too many requests: wait as long as Retry-After says.",
    503: "Something that is needed can't be reached: try again after Retry-After.",
    507: "There is no room for it at the moment.",
}


class ProblemBody(BaseModel):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of an endpoint that answers with these problems, besides those of every endpoint."""
    return {status: {"description": _TEXT[status], "content": _content()} for status in statuses}


def install(app: FastAPI) -> None:
    """Make the application's document complete, once, when it is first asked for."""
    generate = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["components"]["schemas"]["Problem"] = ProblemBody.model_json_schema()
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    _complete(path, operation)
            for name in ("HTTPValidationError", "ValidationError"):
                document["components"]["schemas"].pop(name, None)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _complete(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    usual = [422] if "422" in responses else []
    if path.startswith("/api/"):
        usual += [429, 503]
        usual += [413] if "requestBody" in operation else []
        usual += [401, 403] if operation.get("security") else []
    for status in usual:
        if status == 422 or str(status) not in responses:
            responses[str(status)] = {"description": _TEXT[status], "content": _content()}


def _content() -> dict[str, Any]:
    return {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
