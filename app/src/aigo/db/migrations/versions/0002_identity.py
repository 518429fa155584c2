"""Where people come from, second factors, rotating sessions, scoped and signing keys, the audit log."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """
    ALTER TABLE users
        ADD COLUMN source text NOT NULL DEFAULT 'local' CHECK (source IN ('local', 'ldap', 'oidc')),
        ADD COLUMN external_id text,
        ADD COLUMN totp_secret bytea,
        ADD COLUMN totp_confirmed_at timestamptz,
        ADD COLUMN totp_last_step bigint NOT NULL DEFAULT 0
    """,
    "CREATE UNIQUE INDEX users_external ON users (source, external_id) WHERE external_id IS NOT NULL",
    """
    CREATE TABLE recovery_codes (
        user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
        code_hash bytea NOT NULL,
        PRIMARY KEY (user_id, code_hash)
    )
    """,
    """
    ALTER TABLE sessions
        ADD COLUMN method text NOT NULL DEFAULT 'password',
        ADD COLUMN strong boolean NOT NULL DEFAULT false,
        ADD COLUMN generation integer NOT NULL DEFAULT 1,
        ADD COLUMN refreshed_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN address text,
        ADD COLUMN client text
    """,
    """
    ALTER TABLE api_keys
        ADD COLUMN scopes text[],
        ADD COLUMN signing_secret bytea
    """,
    """
    CREATE TABLE request_nonces (
        key_id text NOT NULL,
        nonce text NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (key_id, nonce)
    )
    """,
    "CREATE INDEX request_nonces_expiry ON request_nonces (expires_at)",
    """
    CREATE TABLE audit_log (
        sequence bigint PRIMARY KEY,
        at timestamptz NOT NULL,
        actor_id uuid,
        actor_name text NOT NULL,
        action text NOT NULL,
        target text,
        outcome text NOT NULL CHECK (outcome IN ('success', 'failure')),
        address text,
        request_id text,
        details jsonb NOT NULL,
        previous_hash bytea NOT NULL,
        hash bytea NOT NULL
    )
    """,
    "CREATE INDEX audit_log_actor ON audit_log (actor_id, sequence DESC)",
    """
    CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the audit log can only be added to' USING ERRCODE = 'insufficient_privilege';
    END
    $$
    """,
    """
    CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()
    """,
)


def upgrade() -> None:
    """Add columns with constant defaults and new tables; nothing is rewritten, nothing is locked for long."""
    for statement in STATEMENTS:
        op.execute(statement)
