"""Tokens on every request of a requests session. Needs requests: `agentidp[requests]`."""

from __future__ import annotations

from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from ._sync.source import TokenSource


class TokenAuth(AuthBase):
    """For `requests.get(…, auth=…)` and `Session.auth`: every request carries a fresh token. After a 401 another token
    is tried once, if the request can be sent again."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        token = self._source.token().access_token
        request.headers["Authorization"] = f"Bearer {token}"

        def answered(response: Response, **kwargs: Any) -> Response:
            return self._again(response, token, kwargs)

        request.register_hook("response", answered)  # type: ignore[no-untyped-call]
        return request

    def _again(self, response: Response, token: str, kwargs: dict[str, Any]) -> Response:
        rejected = response.request
        body: object = rejected.body  # of a streamed request none of the types it is said to have
        if response.status_code != 401 or rejected.headers.get("Authorization") != f"Bearer {token}":
            return response  # not ours, or redirected elsewhere without it
        if not isinstance(body, (bytes, str, type(None))) or not self._source.reject(token):
            return response
        _ = response.content  # the connection is free again
        response.close()
        repeat = rejected.copy()
        repeat.headers["Authorization"] = f"Bearer {self._source.token().access_token}"
        second: Response = response.connection.send(repeat, **kwargs)
        second.history.append(response)
        second.request = repeat
        return second
