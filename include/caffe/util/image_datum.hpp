#ifndef CAFFE_UTIL_IMAGE_DATUM_HPP_
#define CAFFE_UTIL_IMAGE_DATUM_HPP_

#include <string>

#include "caffe/proto/caffe.pb.h"
#include "caffe/util/image.hpp"

namespace caffe {

/// How an image file becomes a Datum.
struct ImageDatumOptions {
  /// The size to bring the image to; 0 and 0 keep its own.
  int height = 0;
  int width = 0;
  /// Blue, green and red, or gray.
  bool color = true;
  /// Whether the datum holds the bytes of an image file, in place of pixels.
  bool encoded = false;
  /// The format of these bytes, "jpg" or "png"; empty for the one that the file has.
  string encoding;
};

/// @throws Error for an encoding that is not known, or for one of height and width without the other.
void CheckImageDatumOptions(const ImageDatumOptions& options);

/**
 * @brief Makes a Datum of an image file: C x H x W bytes, channels in the order blue, green, red, or encoded.
 *
 * Encoded, the file's bytes are kept where the image is not resized and its format is the wanted one, by the
 * file's content or by its name; otherwise the image is encoded, as JPEG of quality 95 or PNG.
 *
 * @return the shape of the image, after resizing.
 * @throws Error with the file's name where it cannot be read or is no image.
 */
ImageShape MakeImageDatum(const string& filename, int label, const ImageDatumOptions& options, Datum* datum);

/// Makes the datum hold the image as C x H x W bytes.
void SetDatumToImage(const Image& image, Datum* datum);
/// Makes the datum hold the bytes of an image file.
void SetDatumToEncoded(string bytes, Datum* datum);

}  // namespace caffe

#endif  // CAFFE_UTIL_IMAGE_DATUM_HPP_
