#!/bin/sh
# The sdist and the wheel, into dist.
set -eu
cd "$(dirname "$0")"
./venv.sh
rm -rf dist
.venv/bin/python -m build --no-isolation --outdir dist . >/dev/null
ls -l dist
