"""Connections, transactions and the schema of the database."""
