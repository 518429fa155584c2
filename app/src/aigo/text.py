"""Text as people write it and as the database can keep it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator


def _prose(value: str) -> str:
    if "\x00" in value:
        raise ValueError("the text has a NUL character, which can't be stored")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("the text has half a character (a lone surrogate)") from None
    if not value.strip():
        raise ValueError("the text is empty")
    return value


Prose = Annotated[str, AfterValidator(_prose)]


def storable(value: Any) -> Any:
    """Return the value without what PostgreSQL refuses and a model may produce: NUL and half characters."""
    match value:
        case str():
            return value.replace("\x00", "").encode(errors="replace").decode()
        case dict():
            return {storable(key): storable(item) for key, item in value.items()}
        case list():
            return [storable(item) for item in value]
    return value
