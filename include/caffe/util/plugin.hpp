#ifndef CAFFE_UTIL_PLUGIN_HPP_
#define CAFFE_UTIL_PLUGIN_HPP_

#include <string>

namespace caffe {

/**
 * @brief Loads a shared library whose layers and solvers register themselves (REGISTER_LAYER_CLASS and its
 * like), so that nets may use them. It stays loaded; loading it again does nothing.
 *
 * The library is built against this Caffe and linked with it: see examples/plugin_layer.
 * @throws Error where the file is missing, is no shared library for this machine, needs symbols that are not
 * there, or registers a type that is there already; then none of its types are known.
 */
void LoadPlugin(const std::string& path);

}  // namespace caffe

#endif  // CAFFE_UTIL_PLUGIN_HPP_
