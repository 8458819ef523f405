"""Who may ask: a token, and names that the server is called by."""

from __future__ import annotations

import hmac
import re

from fastapi import Depends, HTTPException, Request
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from flwr_registry.serving.server_options import ServerOptions

__all__ = ["Access"]

# A name or an IPv4 address, or an IPv6 address in brackets; then a port.
_HOST = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


class Access:
    """Lets a request pass, or refuses it, before its body is read.

    Parameters
    ----------
    options : ServerOptions
        With the token.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._host_names = options.host_names
        self._bearer = _TokenBearer(options.token) if options.token else None

    @property
    def dependencies(self) -> list[Dependency]:
        """What routes depend on that are not for everybody."""
        token = [] if self._bearer is None else [Depends(self._bearer)]
        return [Depends(self.check_host), *token]

    async def allows(self, request: Request) -> bool:
        """Tell whether a request would pass."""
        try:
            await self.check_host(request)
            if self._bearer is not None:
                await self._bearer(request)
        except HTTPException:
            return False
        return True

    async def check_host(self, request: Request) -> None:
        """Refuse a request to another server.

        Raises
        ------
        HTTPException
            400 for a Host that is none, 421 for a foreign one.
        """
        hosts = request.headers.getlist("host")
        if not hosts and self._host_names is None:
            return
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None:
            raise HTTPException(
                400, "the request has not one Host of the form NAME:PORT"
            )
        name = found[1].strip("[]").lower()
        if self._host_names is not None and name not in self._host_names:
            raise HTTPException(421, "the server is not called by this name")


class _TokenBearer(HTTPBearer):
    """The bearer scheme, with the one token that is right."""

    def __init__(self, token: str) -> None:
        super().__init__(
            scheme_name="token", description="The server's token.", auto_error=False
        )
        self._token = token.encode()

    async def __call__(self, request: Request) -> HTTPAuthorizationCredentials | None:
        shown = await super().__call__(request)
        if shown is None or not hmac.compare_digest(
            shown.credentials.strip().encode(), self._token
        ):
            raise HTTPException(
                401,
                "show the server's token as 'Authorization: Bearer TOKEN'",
                {"WWW-Authenticate": "Bearer"},
            )
        return shown
