#ifndef CAFFE_UTIL_IMAGE_CODECS_HPP_
#define CAFFE_UTIL_IMAGE_CODECS_HPP_

#include <string>

#include "caffe/util/image.hpp"

// The formats behind DecodeImage and EncodeImage. The decoders' errors do not name the image.
namespace caffe {

Image DecodeJpeg(const string& bytes, ImageChannels channels, const string& name);
ImageShape ShapeOfJpeg(const string& bytes, ImageChannels channels);
string EncodeJpeg(const Image& image);

Image DecodePng(const string& bytes, ImageChannels channels);
ImageShape ShapeOfPng(const string& bytes, ImageChannels channels);
string EncodePng(const Image& image);

/// Throws where an image of this size would not be decoded.
void CheckImageSize(int64_t height, int64_t width);
/// Throws where a file of `bytes` cannot hold a large image of this size, with at most so many pixels a byte.
void CheckImageIsThere(int64_t height, int64_t width, size_t bytes, int64_t pixels_a_byte);

}  // namespace caffe

#endif  // CAFFE_UTIL_IMAGE_CODECS_HPP_
