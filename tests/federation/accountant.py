"""A privacy accountant that adds up a made-up cost, since Flower's needs an extra."""

from flwr.supercore.privacy_accounting import (
    GaussianPrivacyEvent,
    NeighboringRelation,
    PrivacyConfig,
    PrivacySpent,
    SamplingMethod,
)

__all__ = ["LinearAccountant"]


class LinearAccountant:
    """Charges ``1 / noise_multiplier`` of epsilon a release: simple, not sound.

    Flower's `PrivacyAccountant` protocol without the `dp-accounting` package.
    """

    def __init__(self, population_size: int, max_epsilon: float | None = None) -> None:
        self.spent = 0.0
        self.releases = 0
        self._config = PrivacyConfig(
            target_delta=1e-5,
            population_size=population_size,
            neighboring_relation=NeighboringRelation.ADD_OR_REMOVE_ONE,
            sampling_method=SamplingMethod.NO_AMPLIFICATION,
            max_epsilon=max_epsilon,
        )

    @property
    def config(self) -> PrivacyConfig:
        """The privacy configuration."""
        return self._config

    @property
    def num_releases(self) -> int:
        """The number of releases so far."""
        return self.releases

    def compose(self, event: GaussianPrivacyEvent, count: int = 1) -> None:
        """Charge for `count` releases."""
        self.spent += count / event.noise_multiplier
        self.releases += count

    def get_epsilon(self, delta: float) -> float:
        """Return the epsilon spent, whatever the delta."""
        return self.spent

    def get_delta(self, epsilon: float) -> float:
        """Return the target delta."""
        return self._config.target_delta

    def get_privacy_spent(self, delta: float | None = None) -> PrivacySpent:
        """Return what was spent."""
        target = self._config.target_delta if delta is None else delta
        return PrivacySpent(self.spent, target, self.releases, "linear")

    def would_exceed(
        self,
        event: GaussianPrivacyEvent,
        max_epsilon: float | None = None,
        count: int = 1,
    ) -> bool:
        """Return whether `count` more releases break the limit."""
        limit = self._config.max_epsilon if max_epsilon is None else max_epsilon
        cost = self.spent + count / event.noise_multiplier
        return limit is not None and cost > limit

    def state_dict(self) -> dict[str, object]:
        """Return what `load_state_dict` takes."""
        return {"spent": self.spent, "releases": self.releases}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from a saved state."""
        self.spent = float(str(state["spent"]))
        self.releases = int(str(state["releases"]))
