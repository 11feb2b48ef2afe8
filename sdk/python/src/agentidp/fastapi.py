"""A dependency for FastAPI. Needs FastAPI: `agentidp[fastapi]`."""

from __future__ import annotations

from fastapi import HTTPException, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from ._async.verifier import AsyncVerifier
from ._bearer import credential, demand, refused
from ._claims import Claims
from .errors import AgentIdPError


class BearerToken(SecurityBase):
    """Gives the claims of a request's token: `claims: Annotated[Claims, Depends(BearerToken(verifier, "notes:read"))]`.

    A token that is not good, or lacks the capability, is answered with 401, 403 or 503. It is in the OpenAPI document.
    """

    def __init__(self, verifier: AsyncVerifier, capability: str = "") -> None:
        self._verifier = verifier
        self._capability = capability
        self.model = HTTPBearer(bearerFormat="JWT")
        self.scheme_name = "agentidp"

    async def __call__(self, request: Request) -> Claims:
        try:
            claims = await self._verifier.verify(credential(request.headers.getlist("authorization")))
            demand(claims, self._capability)
        except AgentIdPError as error:
            refusal = refused(error)
            raise HTTPException(refusal.status, refusal.body, refusal.headers) from error
        return claims
