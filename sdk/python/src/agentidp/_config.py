"""Who asks, and for what."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from ._assertion import ASSERTION_TYPE, PrivateKey
from ._wire import FORM, USER_AGENT, Request
from .errors import ConfigurationError

_NAMES = (
    "AGENTIDP_URL",
    "AGENTIDP_CLIENT_ID",
    "AGENTIDP_CLIENT_SECRET",
    "AGENTIDP_CLIENT_SECRET_FILE",
    "AGENTIDP_PRIVATE_KEY_FILE",
    "AGENTIDP_KEY_ID",
    "AGENTIDP_CREDENTIALS_FILE",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Says who asks and for what. One of `client_secret` and `private_key` proves the client.

    Nothing is asked for yet; what is missing or contradictory is one `ConfigurationError`, when it is made where the
    environment or a file is read, else when something is made of it.
    """

    url: str
    """Base URL of the IdP, its issuer: `https://idp.example.com`."""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    private_key: PrivateKey | None = None
    resource: str | Sequence[str] = ()
    """The APIs that the token is for (RFC 8707). None: the IdP's own management API."""
    scope: str | Sequence[str] = ()
    """The capabilities asked for. None: all that the agent holds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.rstrip("/"))
        object.__setattr__(self, "resource", _tuple(self.resource, lambda text: [text]))
        object.__setattr__(self, "scope", _tuple(self.scope, str.split))

    @classmethod
    def from_environment(
        cls,
        *,
        resource: str | Sequence[str] = (),
        scope: str | Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Config:
        """Reads `AGENTIDP_URL`, `AGENTIDP_CLIENT_ID` and `AGENTIDP_CLIENT_SECRET`, `AGENTIDP_CLIENT_SECRET_FILE` or
        `AGENTIDP_PRIVATE_KEY_FILE` (with `AGENTIDP_KEY_ID`); or the file that `AGENTIDP_CREDENTIALS_FILE` names."""
        source = os.environ if environ is None else environ
        values = {name.removeprefix("AGENTIDP_").lower(): source.get(name, "") for name in _NAMES}
        config = _from_file(values) if values["credentials_file"] else _from_values(values)
        config = replace(config, resource=resource, scope=scope)
        config.validate()
        return config

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        url: str = "",
        resource: str | Sequence[str] = (),
        scope: str | Sequence[str] = (),
    ) -> Config:
        """Reads a credentials file: JSON with `clientId`, one of `clientSecret` and `privateKeyFile`, and perhaps `url`
        and `keyId`. The IdP's answer to a new or rotated credential is one; then `url` says where the IdP is."""
        return cls.from_environment(
            resource=resource,
            scope=scope,
            environ={"AGENTIDP_CREDENTIALS_FILE": os.fspath(path), "AGENTIDP_URL": url},
        )

    def for_resource(self, *resource: str) -> Config:
        """The same for other APIs; none: the IdP's management API."""
        return replace(self, resource=resource)

    def validate(self) -> None:
        """ConfigurationError when no token can be asked for so."""
        problems = self._url_problems()
        if not self.client_id:
            problems.append("the client id (AGENTIDP_CLIENT_ID) is missing")
        if not self.client_secret and self.private_key is None:
            problems.append(
                "the client secret (AGENTIDP_CLIENT_SECRET) or private key (AGENTIDP_PRIVATE_KEY_FILE) is missing"
            )
        if self.client_secret and self.private_key is not None:
            problems.append(
                "a client secret (AGENTIDP_CLIENT_SECRET) and a private key (AGENTIDP_PRIVATE_KEY_FILE) are both given"
            )
        if problems:
            raise ConfigurationError("; ".join(problems))

    def validate_url(self) -> None:
        """ConfigurationError when the IdP cannot be called there."""
        if problems := self._url_problems():
            raise ConfigurationError("; ".join(problems))

    def _url_problems(self) -> list[str]:
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if good and "@" not in parts.netloc and not parts.query and not parts.fragment:
            return []
        return ["the URL (AGENTIDP_URL) must be the IdP's absolute http(s) address"]

    def token_request(self, now: float) -> Request:
        """The request for a token (RFC 6749 section 4.4), good for one attempt."""
        form: list[tuple[str, str]] = [("grant_type", "client_credentials")]
        form += [("resource", resource) for resource in self.resource]
        if self.scope:
            form.append(("scope", " ".join(self.scope)))
        headers = {"Content-Type": FORM, "Accept": "application/json", "User-Agent": USER_AGENT}
        if self.private_key is not None:
            form.append(("client_assertion_type", ASSERTION_TYPE))
            form.append(("client_assertion", self.private_key.assertion(self.client_id, self.url, now)))
        else:  # RFC 6749 section 2.3.1: both parts are form-encoded first
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return Request("POST", f"{self.url}/api/v1/token", headers, urlencode(form).encode())


def _tuple(value: str | Sequence[str], split: Any) -> tuple[str, ...]:
    return tuple(split(value) if isinstance(value, str) else value)


def _from_values(values: Mapping[str, str]) -> Config:
    secret, secret_file, key_file = values["client_secret"], values["client_secret_file"], values["private_key_file"]
    proofs = {
        "AGENTIDP_CLIENT_SECRET": secret,
        "AGENTIDP_CLIENT_SECRET_FILE": secret_file,
        "AGENTIDP_PRIVATE_KEY_FILE": key_file,
    }
    given = [name for name, value in proofs.items() if value]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} are both set")
    if secret_file:
        secret = _read(Path(secret_file), "AGENTIDP_CLIENT_SECRET_FILE").strip()
    key = (
        PrivateKey.from_pem(_read(Path(key_file), "AGENTIDP_PRIVATE_KEY_FILE"), values["key_id"]) if key_file else None
    )
    return Config(url=values["url"], client_id=values["client_id"], client_secret=secret, private_key=key)


def _from_file(values: Mapping[str, str]) -> Config:
    name = "AGENTIDP_CREDENTIALS_FILE"
    beside = [n for n in _NAMES if values[n.removeprefix("AGENTIDP_").lower()] and n not in (name, "AGENTIDP_URL")]
    if beside:
        raise ConfigurationError(f"{name} and {' and '.join(beside)} are both set")
    path = Path(values["credentials_file"])
    try:
        content = json.loads(_read(path, name))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{name} is no JSON object")

    def member(key: str) -> str:
        value = content.get(key) or ""
        if not isinstance(value, str):
            raise ConfigurationError(f"{name}: {key} is no string")
        return value

    url, secret, key_file = member("url") or values["url"], member("clientSecret"), member("privateKeyFile")
    if values["url"] and url.rstrip("/") != values["url"].rstrip("/"):
        raise ConfigurationError(f"{name} names another IdP than AGENTIDP_URL")
    if bool(secret) == bool(key_file):
        raise ConfigurationError(f"{name} must have one of clientSecret and privateKeyFile")
    key = PrivateKey.from_pem(_read(path.parent / key_file, "privateKeyFile"), member("keyId")) if key_file else None
    return Config(url=url, client_id=member("clientId"), client_secret=secret, private_key=key)


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{name}: {reason}") from None
