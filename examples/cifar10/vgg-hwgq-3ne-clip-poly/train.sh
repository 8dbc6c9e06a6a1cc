#!/usr/bin/env bash
# Trains this net, as published on one GPU. More flags go to `caffe train`: -snapshot X.solverstate
# resumes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
caffe train -solver solver.prototxt -gpu 0 "$@"
