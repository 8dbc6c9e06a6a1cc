#!/usr/bin/env bash
# Takes the mean of the training images: imagenet_mean.binaryproto beside this file. The paper's nets do not need it
# (they subtract the mean color); those of Caffe's model zoo do. The first argument is the database, if it is another.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
compute_image_mean "${1:-$here/ilsvrc12_train_lmdb}" "${2:-$here/imagenet_mean.binaryproto}"
