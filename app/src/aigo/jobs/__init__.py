"""Background jobs: asked for over HTTP, done by ``aigo worker``, kept in PostgreSQL."""
