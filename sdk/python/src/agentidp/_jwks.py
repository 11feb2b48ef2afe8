"""Key sets (RFC 7517) with what can verify RS256."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from ._json import NotStrictError, read_object, texts
from ._jws import MAX_KEY_ID, decode_segment
from .errors import InvalidAnswerError

MAX_JWKS = 256 << 10
MIN_KEY_BITS = 2048
MAX_KEY_BITS = 4096
_EXPONENT = 65537
_EXPONENT_TEXT = "AQAB"
_PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
# The odd primes below 168: they divide the primorial of the flawed generator of CVE-2017-15361.
_ROCA_PRIMES = [p for p in range(3, 168, 2) if all(p % d for d in range(3, p, 2))]
_ROCA_RESIDUES = [(p, {pow(_EXPONENT, power, p) for power in range(p)}) for p in _ROCA_PRIMES]

KeySet = dict[str, RSAPublicKey]


def parse_jwks(document: bytes) -> KeySet:
    """The usable keys of a set by kid. Keys that cannot, or should not, verify RS256 are left out. Of several with one
    kid only the first counts, even if that one is left out. A set that is ambiguous or has no usable key is an
    InvalidAnswerError: keep the one you have."""
    if len(document) > MAX_JWKS:
        raise InvalidAnswerError("the key set is longer than 256 KiB")
    try:
        listed = read_object(document).get("keys")
    except NotStrictError as error:
        raise InvalidAnswerError("the key set is not strict JSON") from error
    if not isinstance(listed, list):
        raise InvalidAnswerError("the key set has no array of keys")
    keys: KeySet = {}
    seen: set[str] = set()
    for member in listed:
        if not isinstance(member, dict) or not isinstance(kid := member.get("kid"), str):
            continue
        key = _rsa_key(member) if 0 < len(kid.encode()) <= MAX_KEY_ID and kid not in seen else None
        seen.add(kid)
        if key is not None:
            keys[kid] = key
    if not keys:
        raise InvalidAnswerError("the key set has no usable key")
    return keys


def _rsa_key(member: dict[str, Any]) -> RSAPublicKey | None:
    if _PRIVATE & member.keys() or member.get("kty") != "RSA":
        return None
    if member.get("use", "sig") != "sig" or member.get("alg", "RS256") != "RS256":
        return None
    if "key_ops" in member and "verify" not in (texts(member["key_ops"]) or ()):
        return None
    n, e = member.get("n"), member.get("e")
    if not isinstance(n, str) or e != _EXPONENT_TEXT:
        return None
    modulus = decode_segment(n)
    if not modulus or modulus[0] == 0:  # Base64urlUInt has one spelling (RFC 7518 section 2)
        return None
    number = int.from_bytes(modulus, "big")
    if not MIN_KEY_BITS <= number.bit_length() <= MAX_KEY_BITS or number % 2 == 0 or is_roca(number):
        return None
    return RSAPublicNumbers(_EXPONENT, number).public_key()


def is_roca(modulus: int) -> bool:
    """Whether the modulus has the fingerprint of CVE-2017-15361: modulo each prime it is a power of 65537."""
    return all(modulus % prime in residues for prime, residues in _ROCA_RESIDUES)
