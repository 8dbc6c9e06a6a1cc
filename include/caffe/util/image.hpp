#ifndef CAFFE_UTIL_IMAGE_HPP_
#define CAFFE_UTIL_IMAGE_HPP_

#include <cstdint>
#include <string>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/// An image in memory: height x width x channels bytes, where 1 channel is gray, 3 are blue, green, red, and
/// 4 these and alpha.
struct Image {
  int height = 0;
  int width = 0;
  int channels = 0;
  vector<uint8_t> pixels;

  Image() = default;
  Image(int height, int width, int channels);

  const uint8_t* row(int y) const { return pixels.data() + row_bytes() * y; }
  uint8_t* row(int y) { return pixels.data() + row_bytes() * y; }
  size_t row_bytes() const { return size_t{1} * width * channels; }
};

/// The numbers of an image's channels, rows and columns.
struct ImageShape {
  int channels = 0;
  int height = 0;
  int width = 0;
  bool operator==(const ImageShape& other) const {
    return channels == other.channels && height == other.height && width == other.width;
  }
};

/// Channels of a decoded image: as in the file, 1, or 3.
enum class ImageChannels { NATIVE = 0, GRAY = 1, COLOR = 3 };

enum class ImageFormat { UNKNOWN, JPEG, PNG };

/// Pixels of the largest image that is decoded: a small file may claim a size that would fill the memory.
constexpr int64_t kMaxImagePixels = int64_t{1} << 27;

/// The format of an image file, by its first bytes.
ImageFormat FormatOfImage(const string& bytes);

/**
 * @brief Decodes the bytes of a JPEG or PNG file.
 *
 * Pixels are those of OpenCV's cv::imread (gray of a CMYK JPEG may differ by 1). 16-bit images become 8-bit.
 * NATIVE gives 1 channel for a gray image, 4 where there is transparency, otherwise 3; the others drop
 * transparency. An EXIF orientation is not applied. A JPEG that is cut short or damaged in part is decoded as
 * far as it goes, with a warning.
 *
 * @param name of the image, for messages; may be empty.
 * @throws Error with the name where the bytes are no image, damaged, of more than kMaxImagePixels, or of far
 * more pixels than so many bytes can hold.
 */
Image DecodeImage(const string& bytes, ImageChannels channels, const string& name);

/// The shape that DecodeImage would give the image, by what its file begins with. @throws Error as it.
ImageShape ShapeOfImage(const string& bytes, ImageChannels channels, const string& name);

/// Reads and decodes a file. @throws Error as DecodeImage, and where the file cannot be read.
Image ReadImage(const string& filename, ImageChannels channels);

/// The bytes of a file. @throws Error with the name and the system's reason.
string ReadFileBytes(const string& filename);

/// The bytes of an image file: JPEG of quality 95, or PNG (lossless). JPEG has no 4 channels.
string EncodeImage(const Image& image, ImageFormat format);

/// The luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) in 15-bit fixed point, rounded, as OpenCV computes it.
Image GrayOf(const Image& image);

/// Bilinear resize, bit for bit as OpenCV's cv::resize (INTER_LINEAR, 8-bit, 11-bit fixed-point weights; the
/// mean of 2 x 2 pixels where both sides are halved).
Image ResizeImage(const Image& image, int height, int width);

}  // namespace caffe

#endif  // CAFFE_UTIL_IMAGE_HPP_
