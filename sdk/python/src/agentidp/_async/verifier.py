"""Verifies access tokens where there is no sidecar."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import httpx

from .._claims import Claims, Rules
from ..errors import AgentIdPError, ConfigurationError, TokenRefusedError, UnavailableError
from .client import AsyncClient
from .keys import AsyncKeySource
from .platform import AsyncClock, AsyncHTTP
from .statuslists import AsyncStatusLists

_MAX_LIFETIME = 3600  # seconds from iat to exp
_LEEWAY = 5  # seconds that clocks may differ
_INTROSPECTION = 2.0  # seconds that a request waits for it


class AsyncVerifier:
    """Decides whether a string is a good access token for one API, by the sidecar's rules: RS256 and nothing else, its
    type, issuer, audience, times; keys from the issuer's JWKS, kept for a day when the IdP is away.

    `revocation` looks up whether a good token was revoked since: `"status_list"` in the issuer's signed lists, which
    are half a minute old at most unless the IdP is away, or a client that introspects every token and has two seconds.
    Without it a token lives to its `exp`.
    There is nothing to close.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        revocation: AsyncClient | Literal["status_list"] | None = None,
        jwks_url: str = "",
        http_client: httpx.AsyncClient | None = None,
        clock: AsyncClock | None = None,
    ) -> None:
        address = jwks_url or f"{issuer.rstrip('/')}/.well-known/jwks.json"
        if not audience or urlsplit(address).scheme not in ("http", "https"):
            raise ConfigurationError("a verifier needs the issuer, an http(s) address, and the audience")
        time, http = clock or AsyncClock(), AsyncHTTP(http_client)
        self._keys = AsyncKeySource(address, http, time)
        self._rules = Rules(issuer, audience, _MAX_LIFETIME, _LEEWAY, lambda: time.now().wall)
        self._lists = AsyncStatusLists(issuer, self._keys, http, time) if revocation == "status_list" else None
        self._client = revocation if isinstance(revocation, AsyncClient) else None

    async def verify(self, token: str) -> Claims:
        """What a good token says. TokenRefusedError: answer 401. UnavailableError: it cannot be judged now, answer
        503."""
        document, claims = self._rules.read(token)
        try:
            key = await self._keys.key(document.kid)
        except KeyError:
            raise TokenRefusedError("unknown_key") from None
        document.verify({document.kid: key}.__getitem__)
        self._rules.check(claims)
        if self._lists is not None:
            await self._lists.check(claims.status)
        if self._client is not None:
            await self._introspect(self._client, token)
        return claims

    async def _introspect(self, client: AsyncClient, token: str) -> None:
        try:
            state = await client.introspect(token, timeout=_INTROSPECTION)
        except AgentIdPError as error:
            raise UnavailableError("revocations_stale", "the token cannot be introspected") from error
        if not state.active:
            raise TokenRefusedError("token_revoked")
