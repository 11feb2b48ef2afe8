#!/bin/sh
# Everything that must hold of the Python SDK: a virtual environment with the pinned requirements, lint, format, types,
# tests with their coverage. Needs Python 3.10 or later (on Debian with python3-venv) and the programs of the product,
# built into AGENTIDP_PROGRAMS (default ../../.cache/programs). PYTHON names another interpreter.
set -eu
cd "$(dirname "$0")"
./venv.sh
bin=.venv/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/python" scripts/make_sync.py --check
"$bin/mypy"
"$bin/pytest" -q --cov --cov-report=term "$@"
