"""Makes documents searchable, in the worker; keeps the index and the files in step with the table of documents."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog
from procrastinate import App, JobContext, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued

from aigo.config import Settings
from aigo.config.load import reveal
from aigo.db import Database, Row
from aigo.documents.embedder import EmbedderAway, build_embedder
from aigo.documents.extract import NoText, pages_of
from aigo.documents.passages import passages
from aigo.documents.store import DocumentStore, Piece
from aigo.obs import metrics
from aigo.obs.context import reset
from aigo.storage import DirectoryStorage, KeyRing, NoSuchFile, Unreadable

log = structlog.get_logger()
_TASK = "aigo.document"
_ATTEMPTS = 5
_OUTDATED = 20
# A file is stored before its row: until then it must not be taken for left over.
_LEFT_OVER_SECONDS = 86_400
_SWEPT = 500


class Indexing:
    """The part of the queue that is about documents."""

    def __init__(self, settings: Settings, db: Database, queue: str = "default") -> None:
        keys = {name: reveal(key) or "" for name, key in settings.storage.keys.items()}
        self.keys = KeyRing(keys, settings.storage.key_id)
        self.storage = DirectoryStorage(settings.storage.directory, settings.storage.reserve_bytes)
        self.embedder = build_embedder(settings.documents.embedder)
        self.store = DocumentStore(db)
        self._size, self._queue = settings.documents.passage_characters, queue
        self._app: App

    def attach(self, app: App) -> None:
        """Make the tasks known to the queue."""
        self._app = app
        retry = RetryStrategy(max_attempts=_ATTEMPTS, exponential_wait=3)
        app.task(name=_TASK, queue=self._queue, retry=retry, pass_context=True)(self._run)
        sweep = app.task(name="aigo.sweep", queue=self._queue, queueing_lock="sweep")(self._sweep)
        app.periodic(cron="17 3 * * *")(sweep)

    async def put(self, document_id: UUID) -> None:
        """Queue a document to be indexed; one that waits there already isn't queued twice."""
        lock = f"document-{document_id}"
        try:
            await self._app.configure_task(_TASK, queueing_lock=lock).defer_async(document_id=str(document_id))
        except AlreadyEnqueued:
            log.debug("the document is queued already", document_id=str(document_id))

    async def tidy(self) -> dict[str, int]:
        """Take up documents that the queue has forgotten, and some that another embedder has indexed."""
        waiting = await self.store.forgotten(60)
        outdated = await self.store.outdated(self.embedder.name, _OUTDATED)
        for document_id in {*waiting, *outdated}:
            await self.put(document_id)
        return {"forgotten_documents": len(waiting), "outdated_documents": len(outdated)}

    async def sweep(self, older_than: float = _LEFT_OVER_SECONDS) -> int:
        """Delete files without a document (their owner or their upload is gone); return how many."""
        names = await asyncio.to_thread(lambda: list(self.storage.names(older_than)))
        removed = 0
        for start in range(0, len(names), _SWEPT):
            batch = names[start : start + _SWEPT]
            known = await self.store.known(batch)
            for name in batch:
                if name not in known:
                    await asyncio.to_thread(self.storage.delete, name)
                    removed += 1
        if removed:
            log.info("files without a document were deleted", files=removed)
        return removed

    async def _sweep(self, timestamp: int) -> None:
        await self.sweep()

    async def _run(self, context: JobContext, document_id: str) -> None:
        reset(request_id=f"document-{document_id}")
        document = await self.store.claim(UUID(document_id))
        if document is None:
            return
        try:
            count = await self._index(document)
        except (NoText, NoSuchFile, Unreadable) as error:
            reason = str(error) if isinstance(error, NoText) else "its file can't be read"
            log.warning("document not indexed", document_id=document_id, error=str(error))
            await self._fail(document["id"], f"The document can't be searched: {reason}.")
        except Exception as error:
            if context.job.attempts + 1 < _ATTEMPTS:
                raise
            log.exception("document not indexed", document_id=document_id)
            reason = str(error) if isinstance(error, EmbedderAway) else type(error).__name__
            await self._fail(document["id"], f"The document couldn't be indexed in {_ATTEMPTS} attempts: {reason}.")
        else:
            metrics.jobs.labels("document.index", "completed").inc()
            log.info("document indexed", document_id=document_id, passages=count)

    async def _index(self, document: Row) -> int:
        name = document["id"]
        sealed = await asyncio.to_thread(self.storage.read, name)
        pages = await pages_of(document["media_type"], self.keys.open(str(name), sealed))
        cut = list(passages(pages, self._size))
        if not cut:
            raise NoText("there is no text in it")
        vectors = await self.embedder.embed([text for _, text in cut])
        pieces = [Piece(page, text, vector) for (page, text), vector in zip(cut, vectors, strict=True)]
        await self.store.indexed(document, self.embedder.name, pieces)
        return len(pieces)

    async def _fail(self, document_id: UUID, reason: str) -> None:
        await self.store.failed(document_id, reason)
        metrics.jobs.labels("document.index", "failed").inc()
