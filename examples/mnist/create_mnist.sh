#!/usr/bin/env bash
# Makes mnist_train_lmdb and mnist_test_lmdb from the four MNIST idx files, plain or .gz, which are looked for in
# MNIST_DIR, by default data/mnist in the checkout. They go beside this file, or into the folder given as argument.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
data=${MNIST_DIR:-$root/data/mnist}
databases=${1:-$here}
convert=$root/build/examples/mnist/convert_mnist_data.bin

if [ ! -x "$convert" ]; then
  echo "create_mnist.sh: build first: bash scripts/setup.sh, or make tools" >&2
  exit 1
fi

idx_file() {
  local candidate
  for candidate in "$data/$1" "$data/$1.gz"; do
    if [ -f "$candidate" ]; then
      echo "$candidate"
      return
    fi
  done
  echo "create_mnist.sh: there is no $1 (or $1.gz) in $data: put the four MNIST files there," \
    "or name their folder in MNIST_DIR" >&2
  return 1
}

make_database() {
  local images labels
  images=$(idx_file "$1-images-idx3-ubyte")
  labels=$(idx_file "$1-labels-idx1-ubyte")
  rm -rf "$2"
  "$convert" -backend lmdb "$images" "$labels" "$2"
}

mkdir -p "$databases"
make_database train "$databases/mnist_train_lmdb"
make_database t10k "$databases/mnist_test_lmdb"
