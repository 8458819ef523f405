"""Recording what Flower's strategies aggregate; the only floor that knows Flower."""

from flwr_registry.strategy.registry_strategy import RegistryStrategy

__all__ = ["RegistryStrategy"]
