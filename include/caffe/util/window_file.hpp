#ifndef CAFFE_UTIL_WINDOW_FILE_HPP_
#define CAFFE_UTIL_WINDOW_FILE_HPP_

#include <functional>
#include <string>
#include <vector>

#include "caffe/util/image.hpp"

namespace caffe {

/// A window of an image: columns x1 ... x2 and rows y1 ... y2, from 0 and both included, with its class and
/// its overlap (intersection over union) with an object of it.
struct ImageWindow {
  int label;
  float overlap;
  int x1;
  int y1;
  int x2;
  int y2;
  /// Of the file it stands in, from 1.
  int line;
};

/// An image of a window file, with its windows.
struct WindowImage {
  string name;
  ImageShape shape;
  vector<ImageWindow> windows;
};

/**
 * @brief Reads a window file as R-CNN's tools write it. Of each image it holds
 *
 *     # INDEX
 *     FILE
 *     CHANNELS
 *     HEIGHT
 *     WIDTH
 *     NUMBER_OF_WINDOWS
 *     CLASS OVERLAP X1 Y1 X2 Y2      (for each window)
 *
 * separated by any blanks. Calls use(image) for each.
 *
 * @throws Error naming the file and the line where something else stands.
 */
void ReadWindowFile(const string& source, const std::function<void(const WindowImage& image)>& use);

}  // namespace caffe

#endif  // CAFFE_UTIL_WINDOW_FILE_HPP_
