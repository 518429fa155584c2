"""All that one process works with, opened and closed together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aigo.agent import AgentRunner
from aigo.agent.toolbox import Toolbox
from aigo.audit.log import AuditLog
from aigo.auth.oidc import Provider
from aigo.auth.service import Auth
from aigo.auth.signin import SignIn
from aigo.cache import Cache
from aigo.config import ConfigError, Settings, unusable
from aigo.config.load import reveal
from aigo.conversations.store import Conversations
from aigo.db import Database
from aigo.db.migrate import head_revision
from aigo.documents.indexing import Indexing
from aigo.documents.service import Documents
from aigo.ids import instance_name
from aigo.jobs.queue import Queue
from aigo.limits.limiter import Limiter
from aigo.runs.executor import Executor
from aigo.runs.follow import Follower
from aigo.runs.store import RunStore


@dataclass(frozen=True)
class Runtime:
    """The parts, wired. ``draining`` is set once the process is told to stop."""

    settings: Settings
    db: Database
    cache: Cache
    audit: AuditLog
    limiter: Limiter
    auth: Auth
    signin: SignIn
    provider: Provider | None
    conversations: Conversations
    documents: Documents
    agent: AgentRunner
    runs: RunStore
    executor: Executor
    follower: Follower
    queue: Queue
    draining: asyncio.Event
    head_revision: str | None

    @classmethod
    async def open(cls, settings: Settings, agent: AgentRunner) -> Runtime:
        """Wire everything up; neither PostgreSQL nor Redis has to be there yet."""
        if reveal(settings.auth.token_secret) is None:
            raise ConfigError(unusable(settings))
        db, cache = Database(settings.database), Cache(settings.redis)
        runs = RunStore(db, instance_name())
        indexing = Indexing(settings, db)
        documents = Documents(settings, db, indexing)
        executor = Executor(settings, runs, cache, agent, Toolbox(settings, db, documents))
        queue = Queue(db, runs, [indexing])
        audit, auth = AuditLog(db), Auth(db, cache, settings.auth)
        await db.open()
        await queue.open()
        return cls(
            settings=settings,
            db=db,
            cache=cache,
            audit=audit,
            limiter=Limiter(settings.limits, cache),
            auth=auth,
            signin=SignIn(auth, settings.auth, audit),
            provider=_provider(settings, auth),
            conversations=Conversations(db),
            documents=documents,
            agent=agent,
            runs=runs,
            executor=executor,
            follower=Follower(runs, cache, executor),
            queue=queue,
            draining=asyncio.Event(),
            head_revision=head_revision(),
        )

    async def close(self) -> None:
        """Interrupt what still runs, write that down, close the connections."""
        self.draining.set()
        await self.executor.drain(0)
        self.signin.close()
        if self.provider:
            await self.provider.close()
        await self.documents.close()
        await self.cache.close()
        await self.db.close()


def _provider(settings: Settings, auth: Auth) -> Provider | None:
    public = settings.server.public_url
    return Provider(settings.auth.oidc, public, auth.sealer) if settings.auth.oidc and public else None
