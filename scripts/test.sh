#!/usr/bin/env bash
# Sets up what is missing and passes the tests: the C++ units first, then the Python package, the command line
# and the end-to-end run. Arguments go to pytest. Environment: see setup.sh; MNIST_DIR adds the tests on MNIST.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
make --no-print-directory runtest
make --no-print-directory pytest PYTEST_ARGS="$*"
