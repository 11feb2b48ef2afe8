"""An agent replaces its own secret, and keeps the new one in its credentials file.

AGENTIDP_URL=… AGENTIDP_CREDENTIALS_FILE=credentials.json python rotate_secret.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import agentidp
from agentidp.models import CredentialWithSecret


def store(credential: CredentialWithSecret) -> None:
    path = Path(os.environ["AGENTIDP_CREDENTIALS_FILE"])
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps({"clientId": credential.client_id, "clientSecret": credential.client_secret}))
    new.replace(path)


def main() -> None:
    with agentidp.Client(agentidp.Config.from_environment()) as client:
        rotated = agentidp.rotate_own_credential(client, store, overlap_seconds=3600)
        if rotated.store_error is not None:
            raise SystemExit(f"rotated, and not stored: {rotated.store_error}")
        print("rotated", rotated.credential.client_id)


if __name__ == "__main__":
    main()
