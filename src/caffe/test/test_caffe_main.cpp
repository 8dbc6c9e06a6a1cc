#include "caffe/test/test_caffe_main.hpp"

#include <cstdlib>
#include <iostream>

namespace {

#ifndef CPU_ONLY
// Chooses the GPU to test on: CUDA_TEST_DEVICE, or else the first that can be used.
void ChooseGpu() {
  const int device = CUDA_TEST_DEVICE >= 0 ? CUDA_TEST_DEVICE : caffe::Caffe::FindDevice();
  if (device >= 0) caffe::Caffe::SetDevice(device);
}
#endif

}  // namespace

int main(int argc, char** argv) {
  // What nets log as they are built would bury the tests' own lines.
  if (!std::getenv("GLOG_minloglevel")) caffe::logging::SetMinSeverity(caffe::logging::WARNING);
  ::testing::InitGoogleTest(&argc, argv);
  caffe::GlobalInit(&argc, &argv);
#ifndef CPU_ONLY
  try {
    ChooseGpu();
  } catch (const caffe::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
#endif
  return RUN_ALL_TESTS();
}
