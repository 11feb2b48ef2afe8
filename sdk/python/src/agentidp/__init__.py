"""Python SDK of AgentIdP.

An agent gets an access token with its credential, keeps it fresh and calls APIs with it:

    import agentidp, httpx

    config = agentidp.Config.from_environment(resource="https://notes.example.com")
    with httpx.Client(auth=agentidp.TokenAuth(agentidp.TokenSource(config))) as api:
        print(api.get("https://notes.example.com/notes").json())

`Client` calls the management API, `Verifier` verifies tokens where there is no sidecar. Everything that waits has an
async twin: `AsyncTokenSource`, `AsyncTokenAuth`, `AsyncClient`, `AsyncVerifier`. What frameworks need is in
`agentidp.asgi`, `agentidp.fastapi`, `agentidp.requests` and `agentidp.httpx2`.
"""

from . import errors, models
from ._assertion import PrivateKey
from ._async.client import AsyncClient
from ._async.rotation import async_rotate_own_credential
from ._async.source import AsyncTokenSource
from ._async.verifier import AsyncVerifier
from ._claims import Claims, Status
from ._config import Config
from ._rotation import Rotated
from ._sync.client import Client
from ._sync.rotation import rotate_own_credential
from ._sync.source import TokenSource
from ._sync.verifier import Verifier
from ._token import Token
from ._version import __version__
from .auth import AsyncTokenAuth, TokenAuth
from .errors import (
    AgentIdPError,
    APIError,
    ConfigurationError,
    InvalidAnswerError,
    RequestTimeoutError,
    SecretLostError,
    TokenRefusedError,
    TransportError,
    UnavailableError,
)

__all__ = [
    "APIError",
    "AgentIdPError",
    "AsyncClient",
    "AsyncTokenAuth",
    "AsyncTokenSource",
    "AsyncVerifier",
    "Claims",
    "Client",
    "Config",
    "ConfigurationError",
    "InvalidAnswerError",
    "PrivateKey",
    "RequestTimeoutError",
    "Rotated",
    "SecretLostError",
    "Status",
    "Token",
    "TokenAuth",
    "TokenRefusedError",
    "TokenSource",
    "TransportError",
    "UnavailableError",
    "Verifier",
    "__version__",
    "async_rotate_own_credential",
    "errors",
    "models",
    "rotate_own_credential",
]
