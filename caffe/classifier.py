"""Image classification with a trained net."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import io
from .hwgq.packed_net import PackedNet
from .proto.caffe_pb2 import TEST
from .pycaffe import Net


def make_transformer(net, mean=None, input_scale=None, raw_scale=None, channel_swap=None) -> io.Transformer:
    """The transformer of images H x W x C for a net's first input, with the steps that are given."""
    in_ = net.inputs[0]
    return _transformer(in_, net.blobs[in_].data.shape, mean, input_scale, raw_scale, channel_swap)


def _transformer(
    in_, shape, mean=None, input_scale=None, raw_scale=None, channel_swap=None
) -> io.Transformer:
    transformer = io.Transformer({in_: shape})
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


class ImageScorer:
    """What scores images, whichever engine computes the scores.

    Attributes: ``transformer`` for the input, (height, width) that images are resized to, ``image_dims``, and
    that are cut out for the input, ``crop_dims``.
    """

    transformer: io.Transformer
    image_dims: Sequence[int]
    crop_dims: np.ndarray

    def _scores(self, data: np.ndarray) -> np.ndarray:
        """The scores of preprocessed images."""
        raise NotImplementedError

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
        in_ = next(iter(self.transformer.inputs))
        predictions = self._scores(np.array([self.transformer.preprocess(in_, image) for image in images]))
        if oversample:
            predictions = predictions.reshape(len(predictions) // 10, 10, -1).mean(1)
        return predictions


class PackedClassifier(ImageScorer):
    """A packed model that classifies images; see :class:`caffe.hwgq.PackedNet`.

    Args:
        packed: the model, which takes one input, N x C x H x W.

    Raises:
        ValueError: it takes another input.
    """

    def __init__(self, packed: PackedNet) -> None:
        self._net = packed
        if len(packed.inputs) != 1 or any(len(shape) != 3 for shape in packed.inputs.values()):
            raise ValueError(f"classifying needs a net with one input of images, not {packed.inputs}")
        ((in_, shape),) = packed.inputs.items()
        self.transformer = _transformer(in_, (1, *shape))
        self.crop_dims = np.array(shape[1:])
        self.image_dims = self.crop_dims

    def _scores(self, data: np.ndarray) -> np.ndarray:
        scores = self._net.forward(data)
        return next(iter(scores.values())) if isinstance(scores, dict) else scores


class Classifier(ImageScorer, Net):
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

    def _scores(self, data: np.ndarray) -> np.ndarray:
        return self.forward_all(**{self.inputs[0]: data})[self.outputs[0]]
