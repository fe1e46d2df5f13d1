"""The migrations of the database, by Alembic: from the tables of any earlier version to those of this one."""
