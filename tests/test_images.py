"""caffe.io's images: loading, resizing, cropping, the transformer."""

import numpy as np
import pytest
import skimage.io

from caffe import io

random = np.random.RandomState(3)
SHAPE = {"data": (10, 3, 6, 5)}


def bilinear(image, height, width):
    """Pixels are areas; what lies outside of the image is its least value."""
    low = image.min()
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), constant_values=low)
    out = np.empty((height, width, image.shape[2]))
    for i in range(height):
        y = (i + 0.5) * image.shape[0] / height - 0.5
        for j in range(width):
            x = (j + 0.5) * image.shape[1] / width - 0.5
            top, left = int(np.floor(y)), int(np.floor(x))
            dy, dx = y - top, x - left
            corner = padded[top + 1 : top + 3, left + 1 : left + 3]
            out[i, j] = (
                (1 - dy) * (1 - dx) * corner[0, 0]
                + (1 - dy) * dx * corner[0, 1]
                + dy * (1 - dx) * corner[1, 0]
                + dy * dx * corner[1, 1]
            )
    return out


@pytest.mark.parametrize("size", [(4, 9), (7, 3), (12, 14), (6, 5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_interpolates(size, channels):
    image = random.rand(6, 5, channels) * 300 - 100
    resized = io.resize_image(image, size)
    assert resized.dtype == np.float32 and resized.shape == (*size, channels)
    np.testing.assert_allclose(resized, bilinear(image, *size), atol=1e-3)


def test_resizing_other_numbers_of_channels_keeps_the_corners():
    image = random.rand(5, 7, 4)
    resized = io.resize_image(image, (9, 13))
    assert resized.shape == (9, 13, 4)
    np.testing.assert_allclose(resized[::8, ::12], image[::4, ::6], atol=1e-5)
    np.testing.assert_allclose(resized[::2, ::2], image, atol=1e-5)


def test_resizing_a_constant_and_by_the_nearest_pixel():
    np.testing.assert_array_equal(io.resize_image(np.full((2, 2, 3), 7.0), (3, 4)), np.full((3, 4, 3), 7))
    image = np.arange(4, dtype=float).reshape(2, 2, 1)
    np.testing.assert_allclose(
        io.resize_image(image, (4, 4), interp_order=0), image.repeat(2, 0).repeat(2, 1)
    )


def test_loading(tmp_path):
    pixels = random.randint(0, 256, (5, 4, 4)).astype(np.uint8)
    for channels, name in ((3, "color.png"), (4, "opacity.png")):
        skimage.io.imsave(tmp_path / name, pixels[:, :, :channels], check_contrast=False)
        image = io.load_image(str(tmp_path / name))
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, pixels[:, :, :3] / 255, atol=1e-6)
    skimage.io.imsave(tmp_path / "gray.png", pixels[:, :, 0], check_contrast=False)
    gray = pixels[:, :, :1] / 255
    np.testing.assert_allclose(io.load_image(tmp_path / "gray.png"), gray.repeat(3, 2), atol=1e-6)
    np.testing.assert_allclose(io.load_image(tmp_path / "gray.png", color=False), gray, atol=1e-6)
    luminance = (pixels[:, :, :3] / 255) @ [0.2125, 0.7154, 0.0721]
    np.testing.assert_allclose(
        io.load_image(tmp_path / "color.png", color=False), luminance[:, :, None], atol=1e-5
    )


def test_oversampling_takes_corners_center_and_mirrors():
    images = [random.rand(7, 6, 2) for _ in range(3)]
    crops = io.oversample(images, (4, 3))
    assert crops.shape == (30, 4, 3, 2) and crops.dtype == np.float32
    for n, image in enumerate(images):
        starts = [(0, 0), (0, 3), (3, 0), (3, 3), (1, 1)]
        for i, (top, left) in enumerate(starts):
            expected = image[top : top + 4, left : left + 3].astype(np.float32)
            np.testing.assert_array_equal(crops[10 * n + i], expected)
            np.testing.assert_array_equal(crops[10 * n + 5 + i], expected[:, ::-1])


def full_transformer():
    transformer = io.Transformer(SHAPE)
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 0, 1))
    transformer.set_raw_scale("data", 255)
    transformer.set_mean("data", np.array([10.0, 20.0, 30.0]))
    transformer.set_input_scale("data", 0.5)
    return transformer


def test_preprocessing_takes_its_steps_in_order():
    image = random.rand(6, 5, 3).astype(np.float32)
    before = image.copy()
    result = full_transformer().preprocess("data", image)
    expected = (image.transpose(2, 0, 1)[[2, 0, 1]] * 255 - np.reshape([10, 20, 30], (3, 1, 1))) * 0.5
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(image, before)


def test_preprocessing_resizes():
    image = random.rand(12, 11, 3)
    transformer = io.Transformer(SHAPE)
    np.testing.assert_allclose(transformer.preprocess("data", image), bilinear(image, 6, 5), atol=1e-5)


def test_deprocessing_goes_back():
    image = random.rand(6, 5, 3).astype(np.float32)
    transformer = full_transformer()
    data = transformer.preprocess("data", image)
    kept = data.copy()
    np.testing.assert_allclose(transformer.deprocess("data", data[None]), image, atol=1e-5)
    np.testing.assert_array_equal(data, kept)


def test_means_of_all_shapes():
    transformer = io.Transformer(SHAPE)
    whole = random.rand(3, 6, 5)
    transformer.set_mean("data", whole)
    np.testing.assert_array_equal(transformer.mean["data"], whole)
    transformer.set_mean("data", whole[0])
    assert transformer.mean["data"].shape == (1, 6, 5)
    larger = random.rand(3, 12, 10) * 100
    transformer.set_mean("data", larger)
    expected = bilinear(larger.transpose(1, 2, 0), 6, 5).transpose(2, 0, 1)
    np.testing.assert_allclose(transformer.mean["data"], expected, atol=1e-3)


def test_wrong_settings():
    transformer = io.Transformer(SHAPE)
    for action in (
        lambda: transformer.set_raw_scale("image", 1),
        lambda: transformer.preprocess("image", np.zeros((6, 5, 3))),
    ):
        with pytest.raises(Exception, match="image is not one of the net inputs: .*data"):
            action()
    with pytest.raises(Exception, match="must name 3 axes, not 2"):
        transformer.set_transpose("data", (0, 1))
    with pytest.raises(Exception, match="must name 3 channels, not 4"):
        transformer.set_channel_swap("data", (3, 2, 1, 0))
    with pytest.raises(ValueError, match="has 2 channels, but data has 3"):
        transformer.set_mean("data", np.zeros(2))
    with pytest.raises(ValueError, match="has 2 channels, but data has 3"):
        transformer.set_mean("data", np.zeros((2, 6, 5)))
    with pytest.raises(ValueError, match="1 to 3 axes"):
        transformer.set_mean("data", np.zeros((1, 3, 6, 5)))
