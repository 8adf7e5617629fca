"""Alembic's entry: runs the migrations on the connection that hookvault.db.migrate hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
