"""Commands about nodes: contributors, withdraw; and diff of two versions."""

from __future__ import annotations
