#include "caffe/util/engine_choice.hpp"

#include <cstdlib>

#include "caffe/common.hpp"
#include "caffe/util/logging.hpp"

namespace caffe {

bool MayUseLibraries(bool wants_caffe) {
  const char* const value = std::getenv("CAFFE_ENGINE");
  const string engine = value ? value : "DEFAULT";
  CHECK(engine == "DEFAULT" || engine == "CAFFE")
      << "the environment variable CAFFE_ENGINE is '" << engine << "': it may be DEFAULT or CAFFE";
  return !wants_caffe && engine == "DEFAULT";
}

}  // namespace caffe
