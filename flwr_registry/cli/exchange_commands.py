"""Commands that bring versions in and out: register, export, import."""

from __future__ import annotations
