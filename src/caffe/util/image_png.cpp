#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>

#include "caffe/util/image_codecs.hpp"

namespace caffe {

namespace {

/// Deflate's.
constexpr int64_t kMostCompression = 1032;

/// libpng's error handling: the message is kept, and the error jumps back. (libpng is C: an exception may not
/// pass through it. Functions that call it from below `setjmp` have no objects to destroy.)
struct ErrorHandler {
  char error[256] = "";

  static void OnError(png_structp png, png_const_charp message) {
    ErrorHandler* self = static_cast<ErrorHandler*>(png_get_error_ptr(png));
    std::snprintf(self->error, sizeof(self->error), "%s", message);
    png_longjmp(png, 1);
  }
  static void OnWarning(png_structp, png_const_charp) {}
};

class Decoder {
 public:
  explicit Decoder(const string& bytes)
      : bytes_(bytes),
        png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, &handler_, ErrorHandler::OnError,
                                    ErrorHandler::OnWarning)),
        info_(png_ ? png_create_info_struct(png_) : nullptr) {}
  ~Decoder() { png_destroy_read_struct(&png_, &info_, nullptr); }

  const char* error() const { return info_ ? handler_.error : "out of memory"; }
  int height() const { return png_get_image_height(png_, info_); }
  int width() const { return png_get_image_width(png_, info_); }
  int channels() const { return png_get_channels(png_, info_); }

  /// Reads the header, and asks for 8 bits a channel: gray, BGR or BGRA.
  /// @throws Error for a damaged header, or too large an image.
  void ReadCheckedHeader(ImageChannels channels) {
    LOG_IF(FATAL, !ReadHeader()) << error();
    CheckImageSize(height(), width());
    const int stored_bits = png_get_bit_depth(png_, info_) * png_get_channels(png_, info_);
    CheckImageIsThere(height(), width(), bytes_.size(), kMostCompression * 8 / stored_bits);
    LOG_IF(FATAL, !SetOutput(channels)) << error();
  }

  bool Decode(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
    return true;
  }

 private:
  bool ReadHeader() {
    if (!info_ || setjmp(png_jmpbuf(png_))) return false;
    png_set_read_fn(png_, this, [](png_structp png, png_bytep out, png_size_t count) {
      Decoder* self = static_cast<Decoder*>(png_get_io_ptr(png));
      if (count > self->bytes_.size() - self->position_) png_error(png, "it is cut short");
      std::memcpy(out, self->bytes_.data() + self->position_, count);
      self->position_ += count;
    });
    png_read_info(png_, info_);
    return true;
  }

  bool SetOutput(ImageChannels channels) {
    if (setjmp(png_jmpbuf(png_))) return false;
    const int type = png_get_color_type(png_, info_);
    const bool transparent = (type & PNG_COLOR_MASK_ALPHA) || png_get_valid(png_, info_, PNG_INFO_tRNS);
    const bool keep_alpha = channels == ImageChannels::NATIVE && transparent;
    png_set_strip_16(png_);
    // Palettes to colors, few bits to 8, and a transparent color to alpha.
    png_set_expand(png_);
    if (!keep_alpha && transparent) png_set_strip_alpha(png_);
    if (!(type & PNG_COLOR_MASK_COLOR) && (keep_alpha || channels == ImageChannels::COLOR))
      png_set_gray_to_rgb(png_);
    // As OpenCV asks for it: libpng cuts off what GrayOf rounds.
    if ((type & PNG_COLOR_MASK_COLOR) && channels == ImageChannels::GRAY) {
      png_set_rgb_to_gray_fixed(png_, PNG_ERROR_ACTION_NONE, 29900, 58700);
    }
    png_set_bgr(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  const string& bytes_;
  size_t position_ = 0;
  ErrorHandler handler_;
  png_structp png_;
  png_infop info_;

  DISABLE_COPY_AND_ASSIGN(Decoder);
};

vector<png_bytep> RowsOf(Image* image) {
  vector<png_bytep> rows(image->height);
  for (int y = 0; y < image->height; ++y) rows[y] = image->row(y);
  return rows;
}

class Encoder {
 public:
  Encoder()
      : png_(png_create_write_struct(PNG_LIBPNG_VER_STRING, &handler_, ErrorHandler::OnError,
                                     ErrorHandler::OnWarning)),
        info_(png_ ? png_create_info_struct(png_) : nullptr) {}
  ~Encoder() { png_destroy_write_struct(&png_, &info_); }

  const char* error() const { return info_ ? handler_.error : "out of memory"; }
  const string& bytes() const { return bytes_; }

  bool Encode(const Image& image) {
    if (!info_ || setjmp(png_jmpbuf(png_))) return false;
    png_set_write_fn(
        png_, &bytes_,
        [](png_structp png, png_bytep data, png_size_t count) {
          static_cast<string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(data), count);
        },
        [](png_structp) {});
    const int type = image.channels == 1   ? PNG_COLOR_TYPE_GRAY
                     : image.channels == 3 ? PNG_COLOR_TYPE_RGB
                                           : PNG_COLOR_TYPE_RGB_ALPHA;
    png_set_IHDR(png_, info_, image.width, image.height, 8, type, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png_, info_);
    png_set_bgr(png_);
    for (int y = 0; y < image.height; ++y) png_write_row(png_, image.row(y));
    png_write_end(png_, info_);
    return true;
  }

 private:
  string bytes_;
  ErrorHandler handler_;
  png_structp png_;
  png_infop info_;

  DISABLE_COPY_AND_ASSIGN(Encoder);
};

}  // namespace

ImageShape ShapeOfPng(const string& bytes, ImageChannels channels) {
  Decoder decoder(bytes);
  decoder.ReadCheckedHeader(channels);
  return {decoder.channels(), decoder.height(), decoder.width()};
}

Image DecodePng(const string& bytes, ImageChannels channels) {
  Decoder decoder(bytes);
  decoder.ReadCheckedHeader(channels);
  Image image(decoder.height(), decoder.width(), decoder.channels());
  vector<png_bytep> rows = RowsOf(&image);
  LOG_IF(FATAL, !decoder.Decode(rows.data())) << decoder.error();
  return image;
}

string EncodePng(const Image& image) {
  CHECK(image.channels == 1 || image.channels == 3 || image.channels == 4)
      << "a PNG has 1, 3 or 4 channels; the image has " << image.channels;
  Encoder encoder;
  LOG_IF(FATAL, !encoder.Encode(image)) << "cannot encode a PNG: " << encoder.error();
  return encoder.bytes();
}

}  // namespace caffe
