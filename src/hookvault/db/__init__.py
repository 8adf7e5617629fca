"""The database: access, embedded Postgres, migrations."""
