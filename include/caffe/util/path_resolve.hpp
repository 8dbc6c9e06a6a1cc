#ifndef CAFFE_UTIL_PATH_RESOLVE_HPP_
#define CAFFE_UTIL_PATH_RESOLVE_HPP_

#include <string>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/**
 * @brief Where a path is that the file `named_in` gives.
 *
 * A path that exists as it is (absolute, or from the working folder, which is Caffe's rule) is kept.
 * Otherwise, where it exists relative to the folder of `named_in`, that path is returned and one line of the
 * log says so. A path found in neither place comes back unchanged: whoever opens it reports the error.
 */
string ResolvePath(const string& path, const string& named_in);

/// Resolves what the layers of a net read: every `source`, `root_folder` and `mean_file`.
void ResolvePaths(const string& named_in, NetParameter* net);

/// Resolves the solver's net files and weights (each of a comma-separated list), and the paths in nets that
/// it holds itself. What it writes (`snapshot_prefix`) stays relative to the working folder.
void ResolvePaths(const string& named_in, SolverParameter* solver);

}  // namespace caffe

#endif  // CAFFE_UTIL_PATH_RESOLVE_HPP_
