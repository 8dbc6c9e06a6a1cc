#!/usr/bin/env bash
# Makes ilsvrc12_train_lmdb and ilsvrc12_val_lmdb beside this file, of 256 x 256 pixels. The first argument, or
# IMAGENET_DIR, is the folder of ILSVRC2012's images: train/WNID/*.JPEG, and val/WNID/*.JPEG or val/*.JPEG with
# val.txt. Run it again after an interruption: it goes on. More arguments go to `caffe prepare-imagenet`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
images=${1:-${IMAGENET_DIR:-}}
if [ -z "$images" ]; then
  echo "create_imagenet.sh: give the folder of ILSVRC2012's images as argument, or in IMAGENET_DIR" >&2
  exit 1
fi
shift || true
caffe prepare-imagenet "$images" -out "$here" "$@"
