#!/usr/bin/env bash
# Makes requirements/ci.txt anew from pyproject.toml: each Python package that `.[dev]` and its build install, in one
# version for each Python, with the SHA-256 of all files of that release. Versions that are in the file stay unless
# pyproject.toml no longer allows them, or the arguments, which go to uv, say --upgrade or --upgrade-package NAME.
# What is installed from it needs no compiler: releases without wheels are passed over.
#
# requirements/torch.txt is PyTorch's build for CPUs, and what it needs.
#
# Environment: PIP_FIND_LINKS, a folder with that build. It takes uv (pip install uv) and Python 3.11 or newer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-python3}
torch=2.13.0

uv=(uv)
command -v uv >/dev/null || uv=("$PYTHON" -m uv)
"${uv[@]}" --version >/dev/null 2>&1 || {
  echo "lock: this takes uv: $PYTHON -m pip install uv" >&2
  exit 1
}
mkdir -p requirements
# Nothing of the machine's own configuration, as where its packages come from, may have a say.
compile() {
  env -u UV_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS UV_CUSTOM_COMPILE_COMMAND="make lock" \
    "${uv[@]}" pip compile --quiet --no-config --default-index https://pypi.org/simple --universal \
    --python-version 3.10 --no-build --generate-hashes --no-annotate "$@"
}
# What builds the package is no dependency of the package: it comes from the other table.
"$PYTHON" -c 'import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], sep="\n")' |
  compile --extra dev --output-file requirements/ci.txt "$@" pyproject.toml -
# PyPI's PyTorch needs gigabytes of CUDA; the build for CPUs alone lies where PIP_FIND_LINKS says, if anywhere.
if [ -n "${PIP_FIND_LINKS:-}" ]; then
  echo "torch==$torch+cpu" | compile --find-links "$PIP_FIND_LINKS" --constraint requirements/ci.txt \
    --output-file requirements/torch.txt -
else
  echo "lock: requirements/torch.txt stays: PIP_FIND_LINKS names no folder with torch $torch+cpu"
fi
