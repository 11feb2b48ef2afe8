"""private_key_jwt: a client proves itself with a signed assertion (RFC 7523)."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ._jws import encode_segment
from .errors import ConfigurationError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME = 60  # seconds


@dataclass(frozen=True)
class PrivateKey:
    """The key that an agent with a `private_key_jwt` credential signs with. Make it with `from_pem`."""

    key: RSAPrivateKey | EllipticCurvePrivateKey = field(repr=False)
    algorithm: str
    """`RS256` or `ES256`."""
    key_id: str

    @classmethod
    def from_pem(cls, pem: str | bytes, key_id: str = "") -> PrivateKey:
        """A PKCS#8 key: RSA of 2048 to 4096 bits, or P-256. The kid defaults to the RFC 7638 thumbprint."""
        try:
            key = load_pem_private_key(pem.encode() if isinstance(pem, str) else pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigurationError("the private key (AGENTIDP_PRIVATE_KEY_FILE) is no PKCS#8 key in PEM") from None
        if isinstance(key, RSAPrivateKey) and 2048 <= key.key_size <= 4096:
            return cls(key, "RS256", key_id or _thumbprint(key))
        if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
            return cls(key, "ES256", key_id or _thumbprint(key))
        raise ConfigurationError(
            "the private key (AGENTIDP_PRIVATE_KEY_FILE) must be RSA of 2048 to 4096 bits, or P-256"
        )

    def assertion(self, client_id: str, audience: str, now: float) -> str:
        """A new assertion, good for one request within a minute."""
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": int(now),
            "exp": int(now) + _LIFETIME,
            "jti": secrets.token_urlsafe(32),
        }
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers={"kid": self.key_id})


def _thumbprint(key: RSAPrivateKey | EllipticCurvePrivateKey) -> str:
    if isinstance(key, RSAPrivateKey):
        members = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        members = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    required = {name: members[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in members}
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":"))
    return encode_segment(hashlib.sha256(canonical.encode()).digest())
