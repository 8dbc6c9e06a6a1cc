"""Detection by classifying windows of images (R-CNN, Girshick et al., CVPR 2014)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from . import io
from .classifier import make_transformer
from .proto.caffe_pb2 import TEST
from .pycaffe import Net


class Detector(Net):
    """A net that scores windows of images.

    Args:
        model_file: the net's deploy prototxt.
        pretrained_file: its weights.
        mean, input_scale, raw_scale, channel_swap: see :class:`caffe.io.Transformer`.
        context_pad: how many pixels of a window's surroundings its crop shows on each side, in pixels of the
            net's input. What lies outside the image is filled with the mean.
    """

    def __init__(
        self,
        model_file,
        pretrained_file,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        Net.__init__(self, model_file, TEST, weights=pretrained_file)
        self.transformer = make_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(
        self, images_windows: Iterable[tuple[str | os.PathLike, Sequence[Sequence[int]]]]
    ) -> list[dict[str, Any]]:
        """Scores windows.

        Args:
            images_windows: pairs of an image file and its windows, each (ymin, xmin, ymax, xmax).

        Returns:
            A dictionary for each window: ``window``, ``prediction`` (its scores) and ``filename``.
        """
        in_ = self.inputs[0]
        found, crops = [], []
        for filename, windows in images_windows:
            image = io.load_image(filename)
            for window in windows:
                crops.append(self.transformer.preprocess(in_, self.crop(image, window)))
                found.append({"window": window, "filename": filename})
        if not found:
            return []
        predictions = self.forward_all(**{in_: np.array(crops)})[self.outputs[0]]
        for detection, prediction in zip(found, predictions, strict=True):
            detection["prediction"] = prediction
        return found

    def detect_selective_search(self, image_fnames: Sequence[str]) -> list[dict[str, Any]]:
        """Scores the windows that selective search proposes, as :meth:`detect_windows` does.

        Needs the package ``selective_search_ijcv_with_python``, which is MATLAB underneath.
        """
        try:
            import selective_search_ijcv_with_python as selective_search
        except ImportError as error:
            raise ImportError(
                "windows by selective search need the package selective_search_ijcv_with_python "
                "(https://github.com/sergeyk/selective_search_ijcv_with_python); with windows of your own, "
                "call detect_windows"
            ) from error
        names = [os.path.abspath(name) for name in image_fnames]
        return self.detect_windows(
            zip(names, selective_search.get_windows(names, cmd="selective_search_rcnn"), strict=True)
        )

    def crop(self, im: np.ndarray, window: Sequence[int]) -> np.ndarray:
        """A window (ymin, xmin, ymax, xmax) of an image H x W x C, with its surroundings if there is a
        ``context_pad``: then of the size of the net's input."""
        window = np.asarray(window)
        if not self.context_pad:
            top, left, bottom, right = (int(edge) for edge in window)
            return im[top:bottom, left:right]

        # The window grows around its center until the padding is the same part of it as of the net's input.
        size = self.blobs[self.inputs[0]].width
        grow = size / (size - 2.0 * self.context_pad)
        half = (window[2:] - window[:2] + 1) / 2.0
        center = window[:2] + half
        box = np.round(np.concatenate([center - grow * half, center + grow * half]))
        scale = size / (box[2:] - box[:2] + 1)

        # What of it lies in the image goes where it belongs in a crop that is otherwise mean.
        start = np.round(np.maximum(0, -box[:2]) * scale).astype(int)
        box = np.clip(box, 0, np.tile(im.shape[:2], 2))
        inside = box[2:] - box[:2] + 1
        if not (inside > 1).any():
            raise ValueError(f"the window {tuple(window)} lies outside the image, of shape {im.shape}")
        extent = np.minimum(np.round(inside * scale).astype(int), size - start)
        top, left, bottom, right = box.astype(int)
        crop = np.ones(self.crop_dims, dtype=np.float32) * self.crop_mean
        crop[start[0] : start[0] + extent[0], start[1] : start[1] + extent[1]] = io.resize_image(
            im[top:bottom, left:right], extent
        )
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Sets how much context crops show, and the mean, as an image to load would hold it, for what lies
        outside."""
        in_ = self.inputs[0]
        back = np.argsort(self.transformer.transpose[in_])
        self.crop_dims = np.array(self.blobs[in_].data.shape[1:])[back]
        self.context_pad = context_pad
        if not context_pad:
            return
        mean = self.transformer.mean.get(in_)
        if mean is None:
            self.crop_mean = np.zeros(self.crop_dims, dtype=np.float32)
            return
        crop_mean = mean.transpose(back)
        if in_ in self.transformer.channel_swap:
            crop_mean = crop_mean[:, :, np.argsort(self.transformer.channel_swap[in_])]
        self.crop_mean = crop_mean / self.transformer.raw_scale.get(in_, 1)
