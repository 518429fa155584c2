"""Turns text into vectors of length one, by an endpoint or by hashing words."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import structlog

from aigo.config.load import reveal
from aigo.config.material import Embedder as EmbedderSettings

if TYPE_CHECKING:
    import httpx2

log = structlog.get_logger()
_WORD = re.compile(r"[^\W_]+")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_STEM = 5


class EmbedderAway(Exception):
    """The endpoint didn't answer as it should; trying again makes sense."""


class Embedder(Protocol):
    """What the index and the search share. Vectors of embedders with other names can't be compared."""

    name: str
    dimensions: int

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector for each text; :raises EmbedderAway: when there are none to be had now."""

    async def close(self) -> None:
        """Let connections go."""


class Hashing:
    """Counts words by their hashes: finds texts that use the same words, and knows nothing of what they mean.

    Long words count once more by how they begin, which stands in for their stem; writing without spaces counts by
    pairs of characters.
    """

    def __init__(self, dimensions: int) -> None:
        self.name, self.dimensions = f"hashing-{dimensions}", dimensions

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector for each text, the same one on every machine."""
        return [self._vector(text) for text in texts]

    async def close(self) -> None:
        """Nothing is open."""

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dimensions
        for term, count in Counter(_terms(text)).items():
            digest = hashlib.blake2b(term.encode(), digest_size=8).digest()
            # The sign lets terms that share a place cancel out rather than add up.
            weight = (1 + math.log(count)) * (0.5 if term.endswith("*") else 1) * (1 if digest[0] & 1 else -1)
            vector[int.from_bytes(digest[1:]) % self.dimensions] += weight
        return unit(vector)


class EndpointEmbedder:
    """An OpenAI-compatible ``/embeddings``."""

    def __init__(self, settings: EmbedderSettings) -> None:
        self.name = f"{settings.model}-{settings.dimensions}"
        self.dimensions = settings.dimensions
        self._settings = settings
        self._client: httpx2.AsyncClient | None = None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Ask the endpoint, so many texts at a time."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), self._settings.batch):
            vectors += await self._ask(list(texts[start : start + self._settings.batch]))
        return vectors

    async def close(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.aclose()

    async def _ask(self, texts: list[str]) -> list[list[float]]:
        import httpx2

        if self._client is None:
            key = reveal(self._settings.api_key)
            self._client = httpx2.AsyncClient(
                timeout=self._settings.timeout_seconds,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                trust_env=False,
            )
        assert self._settings.base_url is not None
        url = f"{self._settings.base_url.rstrip('/')}/embeddings"
        try:
            answer = await self._client.post(url, json={"model": self._settings.model, "input": texts})
            answer.raise_for_status()
            rows = sorted(answer.json()["data"], key=lambda row: row["index"])
            vectors = [unit([float(number) for number in row["embedding"]]) for row in rows]
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("the embedder failed", error=str(error) or type(error).__name__)
            raise EmbedderAway("the embedding endpoint didn't answer as it should") from error
        if len(vectors) != len(texts) or any(len(vector) != self.dimensions for vector in vectors):
            sizes = sorted({len(vector) for vector in vectors})
            raise EmbedderAway(f"the embedding endpoint gave vectors of {sizes}, not of {self.dimensions}")
        return vectors


def build_embedder(settings: EmbedderSettings) -> Embedder:
    """Return the configured embedder."""
    return Hashing(settings.dimensions) if settings.kind == "hashing" else EndpointEmbedder(settings)


def unit(vector: list[float]) -> list[float]:
    """Scale a vector to the length of one; that of nothing stays nothing."""
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else vector


def _terms(text: str) -> list[str]:
    text = unicodedata.normalize("NFKC", text).casefold()
    terms = []
    for run in _WIDE.findall(text):
        terms += [run[at : at + 2] for at in range(max(len(run) - 1, 1))]
    for word in _WORD.findall(_WIDE.sub(" ", text)):
        terms.append(word)
        if len(word) > _STEM:
            terms.append(f"{word[:_STEM]}*")
    return terms
