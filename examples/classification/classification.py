#!/usr/bin/env python3
"""Classification with a trained net, in Python: what `caffe classify` does.

The net that lies beside this script reads handwritten digits. Its weights are 1 bit and its activations 2
bits; it was trained on MNIST, and gets 98.7 % of MNIST's test images right.
"""

import argparse
import pathlib

import numpy as np

import caffe

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", default=sorted(HERE.glob("images/*.png")), help="image files")
    arguments = parser.parse_args()
    caffe.init_log(1)  # not how the net is made

    net = caffe.Net(str(HERE / "deploy.prototxt"), caffe.TEST, weights=str(HERE / "digits-hwgq.caffemodel"))

    # A transformer makes of an image, H x W x C in [0, 1], what the net was trained on: C x H x W in [0, 1).
    transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_raw_scale("data", 255)
    transformer.set_input_scale("data", 1 / 256)

    # All images in one batch.
    images = [caffe.io.load_image(str(path), color=False) for path in arguments.images]
    net.blobs["data"].reshape(len(images), *net.blobs["data"].shape[1:])
    net.blobs["data"].data[...] = [transformer.preprocess("data", image) for image in images]
    prob = net.forward()["prob"]
    for path, row in zip(arguments.images, prob, strict=True):
        best = np.argsort(-row)[:3]
        print(f"{pathlib.Path(path).name}: " + ", ".join(f"{digit} {row[digit]:.3f}" for digit in best))

    print("\nWhat lies between the layers, for the first image:")
    for name, blob in net.blobs.items():
        values = np.unique(blob.data)
        levels = f", {len(values)} levels: {', '.join(f'{value + 0:.3f}' for value in values)}"
        print(f"  {name:8} {' x '.join(map(str, blob.shape))}{levels if len(values) <= 4 else ''}")

    print("\nThe parameters, and the two values that an output's weights are computed with:")
    for name, blobs in net.params.items():
        print(f"  {name:8} {', '.join(' x '.join(map(str, blob.shape)) for blob in blobs)}", end="")
        if net.layer_dict[name].type.startswith("Binary"):
            print(f": +-{np.abs(blobs[0].data[0]).mean():.4f} in the first output", end="")
        print()


if __name__ == "__main__":
    main()
