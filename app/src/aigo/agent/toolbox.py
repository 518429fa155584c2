"""Finds out what the tools of a run may reach, for the user whose run it is."""

from __future__ import annotations

from uuid import UUID

from aigo.agent.context import Context
from aigo.agent.sources import PostgresSource
from aigo.agent.web import AllowedWeb
from aigo.config import Settings
from aigo.db import Database
from aigo.documents.service import Documents


class Toolbox:
    """What this site's agents can reach at all."""

    def __init__(self, settings: Settings, db: Database, documents: Documents) -> None:
        self._db, self._documents = db, documents
        self._web = AllowedWeb(settings.web) if settings.web.allow else None
        self._sources = [PostgresSource(source) for source in settings.sources]

    async def for_user(self, user_id: UUID) -> Context:
        """Return what a run of that user may reach: one's own documents, and databases granted to one."""
        library = await self._documents.library(user_id)
        return Context(library=library, web=self._web, sources=await self._granted(user_id))

    async def _granted(self, user_id: UUID) -> list[PostgresSource]:
        if not self._sources:
            return []
        row = await self._db.one("SELECT name, role FROM users WHERE id = %s AND disabled_at IS NULL", (user_id,))
        return [source for source in self._sources if row and source.granted(row["name"], row["role"])]
