#!/usr/bin/env bash
# Trains LeNet-HWGQ on MNIST as published; more options go to `caffe train`, such as -cpu.
# The snapshots, lenet-hwgq_iter_*, go into lenet-hwgq-3ne.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/lenet-hwgq-3ne"
exec "$here/../../build/tools/caffe" train -solver solver.prototxt "$@"
