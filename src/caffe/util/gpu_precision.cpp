#include "caffe/util/gpu_precision.hpp"

#include <cstdlib>
#include <string>

#include "caffe/util/logging.hpp"

namespace caffe {

bool AllowTF32() {
  const char* const value = std::getenv("CAFFE_TF32");
  if (!value) return false;
  const std::string text = value;
  CHECK(text == "0" || text == "1") << "the environment variable CAFFE_TF32 is '" << text
                                    << "': it may be 0 or 1";
  return text == "1";
}

}  // namespace caffe
