#!/usr/bin/env bash
# Sets up what is missing, then trains LeNet-HWGQ, converts it for deployment and classifies with it.
# Environment: see setup.sh; MNIST_DIR: folder of the MNIST idx files to use in place of scikit-learn's digits.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec .venv/bin/python examples/mnist/demo.py "$@"
