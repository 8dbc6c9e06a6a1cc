"""Image classification with a trained net."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import io
from .proto.caffe_pb2 import TEST
from .pycaffe import Net


def make_transformer(net, mean=None, input_scale=None, raw_scale=None, channel_swap=None) -> io.Transformer:
    """The transformer of images H x W x C for a net's first input, with the steps that are given."""
    in_ = net.inputs[0]
    transformer = io.Transformer({in_: net.blobs[in_].data.shape})
    transformer.set_transpose(in_, (2, 0, 1))
    if mean is not None:
        transformer.set_mean(in_, mean)
    if input_scale is not None:
        transformer.set_input_scale(in_, input_scale)
    if raw_scale is not None:
        transformer.set_raw_scale(in_, raw_scale)
    if channel_swap is not None:
        transformer.set_channel_swap(in_, channel_swap)
    return transformer


class Classifier(Net):
    """A net that classifies images.

    Args:
        model_file: the net's deploy prototxt.
        pretrained_file: its weights.
        image_dims: (height, width) that images are resized to before they are cropped to the net's input;
            the input's own size where it is not given.
        mean, input_scale, raw_scale, channel_swap: see :class:`caffe.io.Transformer`.
    """

    def __init__(
        self,
        model_file,
        pretrained_file,
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        Net.__init__(self, model_file, TEST, weights=pretrained_file)
        self.transformer = make_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].data.shape[2:])
        self.image_dims = self.crop_dims if image_dims is None else image_dims

    def predict(self, inputs: Sequence[np.ndarray], oversample: bool = True) -> np.ndarray:
        """The scores of images, each H x W x C with values in [0, 1]: N x number of classes.

        With ``oversample`` they are the mean over ten crops of each image (:func:`caffe.io.oversample`),
        otherwise those of the center crop.
        """
        images = np.array([io.resize_image(image, self.image_dims) for image in inputs], dtype=np.float32)
        if oversample:
            images = io.oversample(images, self.crop_dims)
        else:
            height, width = self.crop_dims
            top, left = (int(start) for start in np.array(self.image_dims) / 2.0 - self.crop_dims / 2.0)
            images = images[:, top : top + height, left : left + width]
        in_ = self.inputs[0]
        data = np.array([self.transformer.preprocess(in_, image) for image in images])
        predictions = self.forward_all(**{in_: data})[self.outputs[0]]
        if oversample:
            predictions = predictions.reshape(len(predictions) // 10, 10, -1).mean(1)
        return predictions
