"""Commands that look after bytes: verify, doctor, gc."""

from __future__ import annotations
