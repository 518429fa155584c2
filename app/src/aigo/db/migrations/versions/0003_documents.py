"""Documents and their passages, and what a run was told to do and cites."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """
    ALTER TABLE runs
        ADD COLUMN strategy text CHECK (strategy IN ('react', 'plan')),
        ADD COLUMN sources jsonb
    """,
    """
    CREATE TABLE documents (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
        name text NOT NULL,
        media_type text NOT NULL,
        size bigint NOT NULL,
        sha256 text NOT NULL,
        status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'indexing', 'ready', 'failed')),
        error text,
        embedder text,
        passages integer,
        created_at timestamptz NOT NULL DEFAULT now(),
        indexed_at timestamptz
    )
    """,
    "CREATE INDEX documents_user ON documents (user_id, id DESC)",
    "CREATE INDEX documents_open ON documents (created_at) WHERE status IN ('queued', 'indexing')",
    # Plain arrays can be kept where pgvector is missing, and are cast where it is there.
    """
    CREATE TABLE passages (
        document_id uuid NOT NULL REFERENCES documents ON DELETE CASCADE,
        ordinal integer NOT NULL,
        user_id uuid NOT NULL,
        page integer,
        text text NOT NULL,
        embedder text NOT NULL,
        embedding real[] NOT NULL,
        PRIMARY KEY (document_id, ordinal)
    )
    """,
    "CREATE INDEX passages_user ON passages (user_id, embedder)",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in STATEMENTS:
        op.execute(statement)
