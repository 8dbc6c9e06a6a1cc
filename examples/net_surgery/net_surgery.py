#!/usr/bin/env python3
"""Net surgery: parameters are NumPy arrays, and nets are text, so a trained net can become another one.

A classifier of images of one size becomes a convolution over images of any size: its inner product is a
convolution with a kernel as large as its input. The weights are the same; only their shape differs.
"""

import argparse
import pathlib
import tempfile

import numpy as np
from google.protobuf import text_format

import caffe
from caffe.proto import caffe_pb2

TRAINED = pathlib.Path(__file__).resolve().parents[1] / "classification"


def fully_convolutional(definition, height, width):
    """The net over larger images, with a convolution for `score`: it scores each window."""
    net = caffe_pb2.NetParameter()
    net.CopyFrom(definition)
    for layer in net.layer:
        if layer.type == "Input":
            layer.input_param.shape[0].dim[2:] = [height, width]
        if layer.name == "score":
            layer.name, layer.type = "score-conv", "Convolution"
            layer.convolution_param.num_output = layer.inner_product_param.num_output
            layer.convolution_param.kernel_size.append(4)
            layer.ClearField("inner_product_param")
    return net


def main():
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    caffe.init_log(2)
    weights = str(TRAINED / "digits-hwgq.caffemodel")
    net = caffe.Net(str(TRAINED / "deploy.prototxt"), caffe.TEST, weights=weights)

    # A strip of three digits, as wide as three of the net's inputs.
    images = [caffe.io.load_image(str(path), color=False) for path in sorted(TRAINED.glob("images/*.png"))]
    strip = np.concatenate(images, axis=1)[:, :, 0] * (255 / 256)

    with tempfile.TemporaryDirectory() as folder:
        definition = text_format.Parse((TRAINED / "deploy.prototxt").read_text(), caffe_pb2.NetParameter())
        model = pathlib.Path(folder) / "score_conv.prototxt"
        model.write_text(text_format.MessageToString(fully_convolutional(definition, *strip.shape)))
        # Layers whose names are in the file get their weights; score-conv is not, and gets those of score.
        dense = caffe.Net(str(model), caffe.TEST, weights=weights)
    inner, conv = net.params["score"], dense.params["score-conv"]
    print(f"score      {inner[0].data.shape}  bias {inner[1].data.shape}")
    print(f"score-conv {conv[0].data.shape}  bias {conv[1].data.shape}")
    conv[0].data.flat = inner[0].data.flat
    conv[1].data[...] = inner[1].data

    dense.blobs["data"].data[...] = strip
    prob = dense.forward()["prob"][0]
    shape = f"{strip.shape[0]} x {strip.shape[1]} pixels"
    print(f"\nA strip of {shape} gives {prob.shape[1]} x {prob.shape[2]} windows:")
    print("digit ", " ".join(str(digit) for digit in prob[:, 0].argmax(0)))
    print("sure  ", " ".join(str(int(10 * p)) if p < 1 else "9" for p in prob[:, 0].max(0)))

    # The windows that hold one digit are what the classifier sees.
    step = 28 // 4  # windows are 4 pixels apart, as two poolings halve the size
    largest = 0.0
    for i, image in enumerate(images):
        net.blobs["data"].data[...] = image[:, :, 0] * (255 / 256)
        expected = net.forward()["prob"][0]
        largest = max(largest, np.abs(prob[:, 0, i * step] - expected).max())
        print(
            f"digit {i}: the classifier says {expected.argmax()}, the window {prob[:, 0, i * step].argmax()}"
        )
    print(f"their probabilities differ by at most {largest:.1e}")


if __name__ == "__main__":
    main()
