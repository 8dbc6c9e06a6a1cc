#ifndef CAFFE_UTIL_NEAREST_NAMES_HPP_
#define CAFFE_UTIL_NEAREST_NAMES_HPP_

#include <string>
#include <vector>

namespace caffe {

/// The names most like `name` (small edit distance, case ignored), best first, at most `most`: what an error
/// suggests for a misspelling.
std::vector<std::string> NearestNames(const std::string& name, const std::vector<std::string>& known,
                                      int most = 3);

/// " (did you mean 'A' or 'B'?)", or nothing where no known name is near.
std::string DidYouMean(const std::string& name, const std::vector<std::string>& known);

/// "unknown KIND 'name' (did you mean 'A'?); known KINDs: A, B": the whole error about a misspelt name.
std::string UnknownName(const std::string& kind, const std::string& name,
                        const std::vector<std::string>& known);

}  // namespace caffe

#endif  // CAFFE_UTIL_NEAREST_NAMES_HPP_
