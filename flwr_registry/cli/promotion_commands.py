"""Commands that govern versions: promote, rollback, history, alias, tag."""

from __future__ import annotations
