#include "caffe/util/cudnn.hpp"

#ifdef USE_CUDNN

#include <algorithm>
#include <cstring>
#include <map>

namespace caffe {

namespace {

class Handle {
 public:
  Handle() = default;
  ~Handle() {
    if (raw_) cudnnDestroy(raw_);
  }
  cudnnHandle_t get() {
    if (!raw_) {
      CUDNN_CHECK(cudnnCreate(&raw_));
      CUDNN_CHECK(cudnnSetStream(raw_, cudaStreamPerThread));
    }
    return raw_;
  }

 private:
  cudnnHandle_t raw_ = nullptr;

  DISABLE_COPY_AND_ASSIGN(Handle);
};

}  // namespace

cudnnHandle_t CudnnHandle() {
  // One for each device that the thread has worked on: making one takes a while.
  static thread_local std::map<int, Handle> handles;
  return handles[Caffe::device()].get();
}

namespace cudnn {

void ThrowError(cudnnStatus_t status, const char* call) {
  ostringstream text;
  text << "cuDNN error " << ::cudnnGetErrorString(status) << " (" << call << ")";
  char reason[512] = "";
  cudnnGetLastErrorString(reason, sizeof(reason));
  std::replace(reason, reason + std::strlen(reason), '\n', ' ');
  if (reason[0]) text << ": " << reason;
  throw Error(text.str());
}

float dataType<float>::oneval = 1;
float dataType<float>::zeroval = 0;
const void* dataType<float>::one = &dataType<float>::oneval;
const void* dataType<float>::zero = &dataType<float>::zeroval;
double dataType<double>::oneval = 1;
double dataType<double>::zeroval = 0;
const void* dataType<double>::one = &dataType<double>::oneval;
const void* dataType<double>::zero = &dataType<double>::zeroval;

}  // namespace cudnn

}  // namespace caffe

#endif  // USE_CUDNN
