"""The steps that make and change the registry's schema.

The names of the revisions are repeated here, so that an up-to-date database opens
without Alembic.
"""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
"""All revisions, oldest first."""

HEAD = REVISIONS[-1]
