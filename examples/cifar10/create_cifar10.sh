#!/usr/bin/env bash
# Makes cifar10_train_lmdb, cifar10_test_lmdb and mean.binaryproto of CIFAR-10, and, for training with crops, the
# training images with a border of 4 pixels, 40 x 40: cifar10_pad_train_lmdb and mean_pad.binaryproto. CIFAR-10
# comes as binary files (data_batch_1.bin to data_batch_5.bin, test_batch.bin) or as images in folders train/CLASS
# and test/CLASS. The first argument, or CIFAR10_DIR, by default data/cifar10 in the checkout, is the folder of
# either. What is made goes beside this file, or into the folder given as second argument.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
data=${1:-${CIFAR10_DIR:-$root/data/cifar10}}
databases=${2:-$here}
tools=$root/build/tools

if [ ! -x "$tools/convert_imageset" ]; then
  echo "create_cifar10.sh: build first: bash scripts/setup.sh, or make tools" >&2
  exit 1
fi

# The images of a part with the number of their class, the classes in the order of their names.
list_images() {
  local class label=0
  for class in "$data/$1"/*/; do
    class=${class%/}
    find -L "$class" -type f -printf "${class##*/}/%f $label\n" | LC_ALL=C sort
    label=$((label + 1))
  done
}

make_database() {
  local list
  list=$(mktemp)
  # shellcheck disable=SC2064 # the name as it is now
  trap "rm -f '$list'" EXIT
  list_images "$1" >"$list"
  "$tools/convert_imageset" -resize_width 32 -resize_height 32 -shuffle -seed 1 \
    "$data/$1/" "$list" "$databases/cifar10_$1_lmdb"
  rm -f "$list"
}

mkdir -p "$databases"
rm -rf "$databases"/cifar10_{train,test,pad_train}_lmdb
if [ -f "$data/data_batch_1.bin" ]; then
  "$tools/convert_cifar_data" "$data" "$databases" lmdb
elif [ -d "$data/train" ] && [ -d "$data/test" ]; then
  make_database train
  make_database test
else
  echo "create_cifar10.sh: there is no data_batch_1.bin, nor are there folders train and test, in $data: give the" \
    "folder of CIFAR-10's binary files or images as argument, or in CIFAR10_DIR" >&2
  exit 1
fi
"$tools/pad_images" -pad 4 "$databases/cifar10_train_lmdb" "$databases/cifar10_pad_train_lmdb"
"$tools/compute_image_mean" -backend lmdb "$databases/cifar10_train_lmdb" "$databases/mean.binaryproto"
"$tools/compute_image_mean" -backend lmdb "$databases/cifar10_pad_train_lmdb" "$databases/mean_pad.binaryproto"
