"""The command line of the registry."""

from flwr_registry.cli.commands import app

__all__ = ["app"]
