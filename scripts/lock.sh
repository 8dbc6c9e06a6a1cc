#!/usr/bin/env bash
# Makes requirements/ci.txt anew from pyproject.toml: each Python package that `.[dev]` and its build install, in one
# version for each Python, with the SHA-256 of all files of that release. Versions that are in the file stay unless
# pyproject.toml no longer allows them, or the arguments, which go to uv, say --upgrade or --upgrade-package NAME.
# What is installed from it needs no compiler: releases without wheels are passed over.
#
# It takes uv (pip install uv) and Python 3.11 or newer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-python3}

uv=(uv)
command -v uv >/dev/null || uv=("$PYTHON" -m uv)
"${uv[@]}" --version >/dev/null 2>&1 || {
  echo "lock: this takes uv: $PYTHON -m pip install uv" >&2
  exit 1
}
mkdir -p requirements
# What builds the package is no dependency of the package: it comes from the other table. Nothing of the machine's own
# configuration, as where its packages come from, may have a say.
"$PYTHON" -c 'import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], sep="\n")' |
  env -u UV_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS UV_CUSTOM_COMPILE_COMMAND="make lock" \
    "${uv[@]}" pip compile --quiet --no-config --default-index https://pypi.org/simple --universal \
    --python-version 3.10 --no-build --generate-hashes --extra dev --no-annotate \
    --output-file requirements/ci.txt "$@" pyproject.toml -
