#ifndef CAFFE_TEST_TEST_SHARED_DATA_HPP_
#define CAFFE_TEST_TEST_SHARED_DATA_HPP_

#include <cstdlib>
#include <filesystem>
#include <string>

namespace caffe {

/// The path of a file or folder of the shared test data (folder CAFFE_SHARED in the environment, or `shared`
/// beside the checkout); empty where it is not on this machine, and the test is to be skipped.
inline std::string SharedData(const std::string& name) {
  const char* folder = std::getenv("CAFFE_SHARED");
  const std::filesystem::path path =
      std::filesystem::path(folder ? folder : EXAMPLES_SOURCE_DIR "../../shared") / name;
  return std::filesystem::exists(path) ? path.string() : "";
}

}  // namespace caffe

#endif  // CAFFE_TEST_TEST_SHARED_DATA_HPP_
