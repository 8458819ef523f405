"""Who may ask: a token, and names that the server is called by."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from flwr_registry.serving.server_options import ServerOptions

__all__ = ["Access"]


class Access:
    """Lets a request pass, or refuses it; a dependency of routes.

    Parameters
    ----------
    options : ServerOptions
        With the token.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._token = options.token.encode()
        self._host_names = options.host_names

    def allows(self, request: Request) -> bool:
        """Tell whether a request would pass."""
        try:
            self._check(request)
        except HTTPException:
            return False
        return True

    async def __call__(self, request: Request) -> None:
        """Refuse what is not allowed.

        Raises
        ------
        HTTPException
            401 without the token, 403 under a foreign name.
        """
        self._check(request)

    def _check(self, request: Request) -> None:
        self._check_host(request.headers.get("host", ""))
        if not self._token:
            return
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        is_known = hmac.compare_digest(shown.strip().encode(), self._token)
        if scheme.lower() != "bearer" or not is_known:
            raise HTTPException(
                401,
                "show the server's token as 'Authorization: Bearer TOKEN'",
                {"WWW-Authenticate": "Bearer"},
            )

    def _check_host(self, host: str) -> None:
        if self._host_names is None:
            return
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            name = None
        if name not in self._host_names:
            raise HTTPException(403, "the server is not called by this name")
