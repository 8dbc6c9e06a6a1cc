#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "caffe/util/image_codecs.hpp"
// jpeglib.h needs size_t and FILE declared before it.
#include <jpeglib.h>

namespace caffe {

namespace {

constexpr int kQuality = 95;
/// A progressive image has about ten; each takes its time, however few bytes it has.
constexpr int kMostScans = 500;
/// A block of 8 x 8 pixels takes a bit at least.
constexpr int64_t kPixelsAByte = 8 * 64;

/// libjpeg's error handling: an error jumps back to `jump`, the first warning is kept. (libjpeg is C: an
/// exception may not pass through it. Functions that call it from below `setjmp` have no objects to destroy.)
struct ErrorHandler {
  jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  jmp_buf jump;
  char error[JMSG_LENGTH_MAX] = "";
  char warning[JMSG_LENGTH_MAX] = "";

  ErrorHandler() {
    jpeg_std_error(&manager);
    manager.error_exit = [](j_common_ptr codec) {
      ErrorHandler* self = reinterpret_cast<ErrorHandler*>(codec->err);
      self->manager.format_message(codec, self->error);
      longjmp(self->jump, 1);
    };
    manager.emit_message = [](j_common_ptr codec, int level) {
      ErrorHandler* self = reinterpret_cast<ErrorHandler*>(codec->err);
      if (level < 0 && self->warning[0] == '\0') self->manager.format_message(codec, self->warning);
    };
    manager.output_message = [](j_common_ptr) {};
  }
};

class Decoder {
 public:
  Decoder() {
    codec_.err = &handler_.manager;
    progress_.progress_monitor = [](j_common_ptr codec) {
      if (reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number <= kMostScans) return;
      ErrorHandler* handler = reinterpret_cast<ErrorHandler*>(codec->err);
      std::snprintf(handler->error, sizeof(handler->error), "it has more than %d scans", kMostScans);
      longjmp(handler->jump, 1);
    };
  }
  ~Decoder() { jpeg_destroy_decompress(&codec_); }

  /// @throws Error for a damaged header, or too large an image.
  void ReadCheckedHeader(const string& bytes) {
    LOG_IF(FATAL, !ReadHeader(bytes)) << error();
    CheckImageSize(codec_.image_height, codec_.image_width);
    CheckImageIsThere(codec_.image_height, codec_.image_width, bytes.size(), kPixelsAByte);
  }

  int height() const { return static_cast<int>(codec_.image_height); }
  int width() const { return static_cast<int>(codec_.image_width); }
  /// Whether the colors are those of print, with black.
  bool IsInk() const { return codec_.jpeg_color_space == JCS_CMYK || codec_.jpeg_color_space == JCS_YCCK; }
  /// Whether the image is to have one channel.
  bool MakesGray(ImageChannels channels) const {
    return channels == ImageChannels::GRAY ||
           (channels == ImageChannels::NATIVE && codec_.jpeg_color_space == JCS_GRAYSCALE);
  }
  const char* error() const { return handler_.error; }
  const char* warning() const { return handler_.warning; }

  /// Decodes into rows of `stride` bytes from `pixels` on.
  bool Decode(J_COLOR_SPACE color_space, uint8_t* pixels, size_t stride) {
    if (setjmp(handler_.jump)) return false;
    codec_.out_color_space = color_space;
    codec_.progress = &progress_;
    jpeg_start_decompress(&codec_);
    while (codec_.output_scanline < codec_.output_height) {
      JSAMPROW row = pixels + stride * codec_.output_scanline;
      jpeg_read_scanlines(&codec_, &row, 1);
    }
    jpeg_finish_decompress(&codec_);
    return true;
  }

 private:
  bool ReadHeader(const string& bytes) {
    if (setjmp(handler_.jump)) return false;
    jpeg_create_decompress(&codec_);
    jpeg_mem_src(&codec_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_read_header(&codec_, TRUE);
    return true;
  }

  ErrorHandler handler_;
  jpeg_progress_mgr progress_ = {};
  jpeg_decompress_struct codec_ = {};

  DISABLE_COPY_AND_ASSIGN(Decoder);
};

class Encoder {
 public:
  Encoder() { codec_.err = &handler_.manager; }
  ~Encoder() {
    jpeg_destroy_compress(&codec_);
    // Only now is it ours: as the output grows libjpeg frees it, and says so at the end.
    if (finished_) std::free(bytes_);
  }

  const char* error() const { return handler_.error; }
  string bytes() const { return string(reinterpret_cast<const char*>(bytes_), size_); }

  bool Encode(const Image& image) {
    if (setjmp(handler_.jump)) return false;
    jpeg_create_compress(&codec_);
    jpeg_mem_dest(&codec_, &bytes_, &size_);
    codec_.image_width = image.width;
    codec_.image_height = image.height;
    codec_.input_components = image.channels;
    codec_.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_EXT_BGR;
    jpeg_set_defaults(&codec_);
    jpeg_set_quality(&codec_, kQuality, TRUE);
    jpeg_start_compress(&codec_, TRUE);
    while (codec_.next_scanline < codec_.image_height) {
      JSAMPROW row = const_cast<JSAMPROW>(image.row(codec_.next_scanline));
      jpeg_write_scanlines(&codec_, &row, 1);
    }
    jpeg_finish_compress(&codec_);
    finished_ = true;
    return true;
  }

 private:
  ErrorHandler handler_;
  jpeg_compress_struct codec_ = {};
  unsigned char* bytes_ = nullptr;
  unsigned long size_ = 0;
  bool finished_ = false;

  DISABLE_COPY_AND_ASSIGN(Encoder);
};

/// CMYK as Adobe writes it in JPEGs, 255 for no ink.
Image ColorOfInk(const Image& cmyk) {
  Image color(cmyk.height, cmyk.width, 3);
  const uint8_t* ink = cmyk.pixels.data();
  for (uint8_t *pixel = color.pixels.data(), *end = pixel + color.pixels.size(); pixel != end;
       pixel += 3, ink += 4) {
    const int key = ink[3];
    for (int c = 0; c < 3; ++c) pixel[c] = static_cast<uint8_t>(key - (((255 - ink[2 - c]) * key) >> 8));
  }
  return color;
}

}  // namespace

ImageShape ShapeOfJpeg(const string& bytes, ImageChannels channels) {
  Decoder decoder;
  decoder.ReadCheckedHeader(bytes);
  return {decoder.MakesGray(channels) ? 1 : 3, decoder.height(), decoder.width()};
}

Image DecodeJpeg(const string& bytes, ImageChannels channels, const string& name) {
  Decoder decoder;
  decoder.ReadCheckedHeader(bytes);
  const bool ink = decoder.IsInk(), gray = decoder.MakesGray(channels);
  Image image(decoder.height(), decoder.width(), ink ? 4 : gray ? 1 : 3);
  LOG_IF(FATAL, !decoder.Decode(ink    ? JCS_CMYK
                                : gray ? JCS_GRAYSCALE
                                       : JCS_EXT_BGR,
                                image.pixels.data(), image.row_bytes()))
      << decoder.error();
  if (decoder.warning()[0] != '\0')
    LOG(WARNING) << "the image " << name << " is damaged: " << decoder.warning();
  if (!ink) return image;
  const Image color = ColorOfInk(image);
  return gray ? GrayOf(color) : color;
}

string EncodeJpeg(const Image& image) {
  CHECK(image.channels == 1 || image.channels == 3)
      << "a JPEG has 1 or 3 channels; the image has " << image.channels << ": encode it as PNG";
  Encoder encoder;
  LOG_IF(FATAL, !encoder.Encode(image)) << "cannot encode a JPEG: " << encoder.error();
  return encoder.bytes();
}

}  // namespace caffe
