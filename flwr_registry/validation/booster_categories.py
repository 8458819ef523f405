"""Whether the names of categories that an XGBoost model carries fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from flwr_registry.validation.booster_trees import integers

__all__ = ["category_errors"]


def category_errors(cats: Mapping[str, Any]) -> Iterator[str]:
    """Find categories of features that lie outside of their lists.

    Raises
    ------
    ValueError
        For a part that is of another kind.
    """
    borders = integers(cats.get("feature_segments", ()), "feature_segments")
    order = integers(cats.get("sorted_idx", ()), "sorted_idx")
    features = cats.get("enc", ())
    if not isinstance(features, list | tuple | np.ndarray):
        raise ValueError("enc is no list")
    if not len(borders):
        if len(order) or len(features):
            yield "feature_segments is empty, and there are categories"
        return
    rises = borders[0] == 0 and (np.diff(borders) >= 0).all()
    if not rises or borders[-1] != len(order) or len(borders) != len(features) + 1:
        yield "feature_segments does not cut sorted_idx into one part for each feature"
        return
    for place, feature in enumerate(features):
        begin, end = int(borders[place]), int(borders[place + 1])
        if sorted(order[begin:end].tolist()) != list(range(end - begin)):
            yield f"sorted_idx of feature {place} is no order of its categories"
        if not isinstance(feature, dict):
            raise ValueError(f"enc of feature {place} is no object")
        if _count_of(feature) != end - begin:
            yield f"enc of feature {place} has not its {end - begin} categories"


def _count_of(feature: Mapping[str, Any]) -> int:
    """Count the categories of a feature; -1 where texts lie outside of their list."""
    values = feature.get("values", ())
    if not isinstance(values, list | tuple | np.ndarray):
        raise ValueError("values of enc is no list")
    if "offsets" not in feature:
        return len(values)
    offsets = integers(feature["offsets"], "offsets")
    if not len(offsets):
        return 0
    rises = offsets[0] == 0 and (np.diff(offsets) >= 0).all()
    return len(offsets) - 1 if rises and offsets[-1] <= len(values) else -1
