"""Commands that search: by an expression, and in the audit log."""

from __future__ import annotations
