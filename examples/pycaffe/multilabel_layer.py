"""A data layer in Python: images of two digits, with a label for each of the ten digits."""

import json

import digits
import numpy as np

import caffe


class TwoDigitsLayer(caffe.Layer):
    """Tops: images N x 1 x 28 x 56 in [0, 1], and labels N x 10, 1 for each digit that is on the image.

    param_str is JSON: {"part": "train" or "test", "batch_size": N, "seed": number}.
    """

    def setup(self, bottom, top):
        if bottom or len(top) != 2:
            raise ValueError("the layer has no bottoms and two tops, images and labels")
        settings = json.loads(self.param_str)
        self.batch_size = settings["batch_size"]
        self.random = np.random.default_rng(settings.get("seed", 0))
        _, train, test = digits.load()
        self.images, self.labels = train if settings["part"] == "train" else test
        top[0].reshape(self.batch_size, 1, 28, 56)
        top[1].reshape(self.batch_size, 10)

    def reshape(self, bottom, top):
        pass  # all batches have one shape

    def forward(self, bottom, top):
        pairs = self.random.integers(len(self.images), size=(self.batch_size, 2))
        top[0].data[:, 0] = np.concatenate([self.images[pairs[:, 0]], self.images[pairs[:, 1]]], axis=2) / 256
        top[1].data[...] = 0
        for side in (0, 1):
            top[1].data[np.arange(self.batch_size), self.labels[pairs[:, side]]] = 1

    def backward(self, top, propagate_down, bottom):
        pass  # data have no gradient
