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

}  // namespace caffe

#endif  // CAFFE_UTIL_IMAGE_CODECS_HPP_
