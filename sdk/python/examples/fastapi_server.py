"""An API that verifies tokens itself, without a sidecar. Needs `agentidp[fastapi]` and uvicorn.

AGENTIDP_URL=… AUDIENCE=https://api.example.com PORT=8000 python fastapi_server.py
"""

from __future__ import annotations

import os
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI

import agentidp
from agentidp.fastapi import BearerToken

verifier = agentidp.AsyncVerifier(
    issuer=os.environ["AGENTIDP_URL"], audience=os.environ["AUDIENCE"], revocation="status_list"
)
app = FastAPI()


@app.get("/whoami")
async def whoami(claims: Annotated[agentidp.Claims, Depends(BearerToken(verifier, "notes:read"))]) -> dict[str, str]:
    return {"agent": claims.subject, "scope": claims.scope}


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), log_level="warning")
