#ifndef CAFFE_UTIL_SPLIT_LIST_HPP_
#define CAFFE_UTIL_SPLIT_LIST_HPP_

#include <algorithm>
#include <string>
#include <vector>

namespace caffe {

/// The items of a comma-separated list ("a.caffemodel, b.caffemodel"), without the spaces around them and
/// without empty ones.
inline std::vector<std::string> SplitList(const std::string& list) {
  std::vector<std::string> items;
  for (size_t start = 0; start <= list.size();) {
    const size_t comma = std::min(list.find(',', start), list.size());
    const size_t first = list.find_first_not_of(" \t", start);
    if (first < comma) {
      items.push_back(list.substr(first, list.find_last_not_of(" \t", comma - 1) + 1 - first));
    }
    start = comma + 1;
  }
  return items;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_SPLIT_LIST_HPP_
