"""What Alembic runs: the migrations, on the connection that it is handed.

The transaction is the caller's, so that a new schema is there whole or not at all.
"""

from alembic import context

from flwr_registry.registry.rows.registry_db import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata
)
context.run_migrations()
