#ifndef CAFFE_UTIL_IMAGE_LIST_HPP_
#define CAFFE_UTIL_IMAGE_LIST_HPP_

#include <functional>
#include <string>

#include "caffe/common.hpp"

namespace caffe {

/**
 * @brief Reads a list of images: a line is a file name, which may have blanks within, a blank and an integer
 * label. Empty lines are passed over.
 *
 * Calls use(number, name, label), with the number of the line from 1, until it returns false.
 *
 * @throws Error where the list cannot be read, or, with its number, where a line is something else.
 */
void ReadImageList(const string& source,
                   const std::function<bool(int number, const string& name, int label)>& use);

}  // namespace caffe

#endif  // CAFFE_UTIL_IMAGE_LIST_HPP_
