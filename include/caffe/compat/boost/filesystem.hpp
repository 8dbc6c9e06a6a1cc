#ifndef CAFFE_COMPAT_BOOST_FILESYSTEM_HPP_
#define CAFFE_COMPAT_BOOST_FILESYSTEM_HPP_

#if __has_include_next(<boost/filesystem.hpp>)
#include_next <boost/filesystem.hpp>
#else

#include <filesystem>
#include <random>
#include <string>
#include <system_error>

namespace boost {
namespace filesystem {
using namespace std::filesystem;  // NOLINT(build/namespaces)
/// A name in which hexadecimal digits, picked at random, stand for the model's percent signs.
inline path unique_path(const path& model = "%%%%-%%%%-%%%%-%%%%") {
  std::random_device random;
  std::string name = model.string();
  for (char& c : name) {
    if (c == '%') c = "0123456789abcdef"[random() % 16];
  }
  return name;
}
}  // namespace filesystem
namespace system {
using std::error_code;
}  // namespace system
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_FILESYSTEM_HPP_
