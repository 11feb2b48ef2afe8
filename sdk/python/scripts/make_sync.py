"""Makes src/agentidp/_sync of src/agentidp/_async: one logic, two halves. With --check it only says what is old."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src" / "agentidp"
BY_HAND = {"__init__.py", "platform.py"}
HEAD = "# Made by scripts/make_sync.py of _async/{name}: edit that.\n"
RULES = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\basync_(\w+)\b", r"\1"),
    (r"\bAwaitable\[(.*)\]\]", r"\1]"),
    (r"from collections.abc import Awaitable, Callable", "from collections.abc import Callable"),
    (r"from collections.abc import Awaitable\n", ""),
    (r"\bAsyncIterator, Awaitable, Callable\b", "Callable, Iterator"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\bAsync(Iterator|Generator)\b", r"\1"),
    (r"\bAsync([A-Z]\w*)\b", r"\1"),
    (r"\b__aenter__\b", "__enter__"),
    (r"\b__aexit__\b", "__exit__"),
    (r"\baclose\b", "close"),
    (r"\baiter_bytes\b", "iter_bytes"),
    (r"\b_async\b", "_sync"),
    (r"\basynchronous\b", "synchronous"),
]


def made(path: Path) -> str:
    """The other half of a module, formatted."""
    text = path.read_text()
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return _ruff(["check", "--quiet", "--select", "I", "--fix"], _ruff(["format"], HEAD.format(name=path.name) + text))


def _ruff(arguments: list[str], text: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(PACKAGE / "_sync" / "x.py"), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=PACKAGE).stdout


def main() -> int:
    old = []
    for path in sorted((PACKAGE / "_async").glob("*.py")):
        if path.name in BY_HAND:
            continue
        target, text = PACKAGE / "_sync" / path.name, made(path)
        if not target.exists() or target.read_text() != text:
            old.append(path.name)
            if "--check" not in sys.argv:
                target.write_text(text)
    print("made:" if "--check" not in sys.argv else "old:", ", ".join(old) or "nothing")
    return 1 if old and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
