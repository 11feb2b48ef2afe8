"""Another secret, without a failed call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .._rotation import DEFAULT_OVERLAP, Rotated, subject_of
from ..errors import AgentIdPError, ConfigurationError
from ..models import CredentialWithSecret
from .client import AsyncClient
from .source import AsyncTokenSource


async def async_rotate_own_credential(
    client: AsyncClient,
    store: Callable[[CredentialWithSecret], Awaitable[None]],
    *sources: AsyncTokenSource,
    overlap_seconds: float = DEFAULT_OVERLAP,
) -> Rotated:
    """Replaces the secret that the client authenticates with. The old one stays good for the overlap, so that no call
    under way fails; the client and the sources of the same credential use the new one from now on, and `store` keeps
    it. When that fails the result holds the credential and the error. Tokens that are kept stay.

    ConfigurationError before anything is called: the client has a private key, or a source another credential.
    SecretLostError: the new secret was lost on its way. Nothing has changed here; the old one is good for the overlap.
    """
    own = client.tokens.config
    if own.private_key is not None:
        raise ConfigurationError("a private_key_jwt credential has no secret to rotate")
    if any(source.config.client_id != own.client_id for source in sources):
        raise ConfigurationError("a source has another credential than the client")
    agent_id = subject_of((await client.tokens.token()).access_token)
    credential_id = await _credential_id(client, agent_id, own.client_id)
    credential = await client.rotate_credential(agent_id, credential_id, overlap_seconds=overlap_seconds)
    if not credential.client_secret:
        raise AgentIdPError("the rotated credential has no secret")
    for source in (client.tokens, *sources):
        source.use_secret(credential.client_secret)
    try:
        await store(credential)
    except Exception as error:  # noqa: BLE001 - the new secret must not be lost with it
        return Rotated(credential, error)
    return Rotated(credential)


async def _credential_id(client: AsyncClient, agent_id: str, client_id: str) -> str:
    async for credential in client.credentials(agent_id):
        if credential.client_id == client_id:
            return credential.credential_id
    raise AgentIdPError("the agent has no credential with the client id")
