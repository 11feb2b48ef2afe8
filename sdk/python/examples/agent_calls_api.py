"""An agent calls a protected API, whose sidecar verifies its token.

AGENTIDP_URL=… AGENTIDP_CLIENT_ID=… AGENTIDP_CLIENT_SECRET=… \\
        NOTES_URL=https://notes.example.com python agent_calls_api.py
"""

from __future__ import annotations

import os

import httpx

import agentidp


def main() -> None:
    api = os.environ["NOTES_URL"]
    source = agentidp.TokenSource(agentidp.Config.from_environment(resource=api, scope="notes:read notes:write"))
    with httpx.Client(base_url=api, auth=agentidp.TokenAuth(source)) as notes:
        written = notes.post("/notes", json={"text": "hello"}).raise_for_status().json()
        print("wrote", written["text"])
        read = notes.get("/notes").raise_for_status().json()
        print("read", len(read["notes"]), "as", read["caller"])


if __name__ == "__main__":
    main()
