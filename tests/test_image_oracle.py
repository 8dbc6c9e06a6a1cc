"""Images as OpenCV reads and resizes them; skipped where OpenCV is not installed (opencv-python-headless)."""

import numpy as np
import pytest

import caffe

cv2 = pytest.importorskip("cv2")

NET = """
name: "images"
layer {{
  name: "images" type: "ImageData" top: "data" top: "label"
  image_data_param {{
    source: "{source}" batch_size: 1 is_color: {color} new_height: {height} new_width: {width}
  }}
}}
"""


def read(folder, image, height, width, color):
    """The image as the ImageData layer serves it, height x width x channels."""
    (folder / "list.txt").write_text(f"{image} 0\n")
    net_file = folder / "net.prototxt"
    net_file.write_text(
        NET.format(source=folder / "list.txt", color=str(color).lower(), height=height, width=width)
    )
    net = caffe.Net(str(net_file), caffe.TEST)
    net.forward()
    return net.blobs["data"].data[0].transpose(1, 2, 0).astype(np.uint8)


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("extension", ["png", "jpg"])
@pytest.mark.parametrize(
    "size, resized",
    [
        ((40, 30), (0, 0)),
        ((41, 33), (64, 64)),
        ((256, 340), (227, 227)),
        ((64, 48), (32, 24)),
        ((7, 1), (3, 9)),
    ],
)
def test_pixels_are_those_of_opencv(tmp_path, size, resized, extension, color):
    random = np.random.default_rng(sum(size))
    small = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    pixels = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    image = tmp_path / f"image.{extension}"
    cv2.imwrite(str(image), pixels)
    expected = cv2.imread(str(image), cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE)
    if resized[0]:
        expected = cv2.resize(expected, resized[::-1])
    expected = expected.reshape(expected.shape[0], expected.shape[1], -1)
    np.testing.assert_array_equal(expected, read(tmp_path, image, *resized, color))
