"""How to install what is optional."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement

__all__ = ["how_to_install"]

_PACKAGE = "flwr-registry"


def how_to_install(extra: str) -> str:
    """Say how to install an extra, whatever this package was installed from.

    What the extra asks for is named, since no index need have this package: it may come
    from a checkout or a repository.
    """
    try:
        known = [Requirement(text) for text in requires(_PACKAGE) or ()]
    except PackageNotFoundError:
        known = []
    wanted = [
        each
        for each in known
        if each.marker is not None
        and each.marker.evaluate({"extra": extra})
        and not each.marker.evaluate({"extra": ""})
    ]
    if not wanted:
        return f"install the extra [{extra}] of {_PACKAGE}"
    return f"pip install {' '.join(map(_quoted, wanted))} (extra [{extra}])"


def _quoted(wanted: Requirement) -> str:
    wanted.marker = None
    return f"'{wanted}'"
