"""The real product on free ports: IdP, sidecar, notes API (deploy/dev/cmd/stage), or an IdP alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

import agentidp
from agentidp.models import CredentialWithSecret

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(os.environ.get("AGENTIDP_PROGRAMS") or ROOT / ".cache" / "programs").resolve()
_numbers = count(1)


def program(name: str) -> str:
    path = PROGRAMS / name
    if not path.exists():
        raise AssertionError(
            f"{path} is missing: build it with `go build -o .cache/programs/ ./idp/cmd/agentidp "
            "./sidecar/cmd/agentidp-sidecar ./deploy/dev/cmd/notes ./deploy/dev/cmd/stage`, or set AGENTIDP_PROGRAMS"
        )
    return str(path)


@dataclass
class Registered:
    """An agent with a credential."""

    agent_id: str
    credential: CredentialWithSecret

    def config(self, url: str, **members: Any) -> agentidp.Config:
        secret = self.credential.client_secret or ""
        return agentidp.Config(url=url, client_id=self.credential.client_id, client_secret=secret, **members)


def register(admin: agentidp.Client, *capabilities: str) -> Registered:
    agent = admin.create_agent(
        email=f"py-{os.getpid()}-{next(_numbers)}@example.com",
        agent_type="custom",
        version="1.0.0",
        owner="e2e",
        deployment_env="development",
        capabilities=capabilities,
    )
    return Registered(agent.agent_id, admin.create_credential(agent.agent_id))


class Stage:
    """Runs until it is closed."""

    def __init__(self) -> None:
        routes = str(ROOT / "deploy" / "dev" / "routes.yaml")
        self._process = subprocess.Popen(
            [program("stage"), "-bin", str(PROGRAMS), "-routes", routes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._read()
        assert line, "the stage ended"
        at = json.loads(line)
        self.idp: str = at["idp"]
        self.sidecar: str = at["sidecar"]
        self.resource: str = at["resource"]
        self.admin_file: str = at["adminFile"]
        self.admin_config = agentidp.Config.from_file(self.admin_file, url=self.idp)
        self.admin = agentidp.Client(self.admin_config)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def tell(self, command: str) -> None:
        """stop-idp or start-idp; returns when it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        assert self._read() == "ok"

    def register(self, *capabilities: str) -> Registered:
        return register(self.admin, *(capabilities or ("notes:read",)))

    def close(self) -> None:
        self.admin.close()
        self._process.communicate(timeout=120)


@dataclass
class Idp:
    """An IdP alone."""

    url: str
    admin_config: agentidp.Config


@contextmanager
def idp(folder: Path, **environment: str) -> Iterator[Idp]:
    main, management = free(), free()
    environ = {
        "PATH": os.environ["PATH"],
        "AGENTIDP_ADDR": main,
        "AGENTIDP_ADMIN_ADDR": management,
        "AGENTIDP_DATA_DIR": str(folder),
        **environment,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program("agentidp"), "serve"], env=environ, stdout=log, stderr=log)
    try:
        url = f"http://{main}"
        for _ in range(600):
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield Idp(url, agentidp.Config.from_file(folder / "admin.json", url=url))
    finally:
        process.terminate()
        process.wait(60)


def free() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"
