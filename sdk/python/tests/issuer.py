"""Signs as the issuer of the vectors does."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import jwt

from conftest import URL, vectors

DOCUMENTS = {document["name"]: document for document in vectors("jwks.json")["documents"]}
KIDS = {name: DOCUMENTS[name]["usable"][0] for name in ("a", "b")}
_KEYS = vectors("keys.json")["privateKeys"]
LIST = f"{URL}/statuslists/0"


def key_set(name: str) -> bytes:
    body: bytes = DOCUMENTS[name]["body"].encode()
    return body


def status_list(exp: float, *, uri: str = LIST, revoked: bool = False, ttl: int = 15, key: str = "a") -> bytes:
    packed = base64.urlsafe_b64encode(zlib.compress(bytes([revoked]))).rstrip(b"=").decode()
    claims: dict[str, Any] = {"sub": uri, "exp": int(exp), "ttl": ttl, "status_list": {"bits": 1, "lst": packed}}
    return jwt.encode(claims, _KEYS[key], "RS256", {"typ": "statuslist+jwt", "kid": KIDS[key]}).encode()
