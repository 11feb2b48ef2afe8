#!/bin/sh
# A virtual environment in .venv with what requirements-dev.txt pins, made anew when that changes.
set -eu
cd "$(dirname "$0")"
mark=.venv/requirements
if ! cmp -s requirements-dev.txt "$mark"; then
  rm -rf .venv
  "${PYTHON:-python3}" -m venv .venv || { echo "install Python's venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  cp requirements-dev.txt "$mark"
fi
