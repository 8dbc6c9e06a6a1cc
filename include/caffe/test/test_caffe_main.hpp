#ifndef CAFFE_TEST_TEST_CAFFE_MAIN_HPP_
#define CAFFE_TEST_TEST_CAFFE_MAIN_HPP_

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "caffe/common.hpp"

// The build says where the tests' files are; without it they are where Caffe has them, seen from its root.
#ifndef ABS_TEST_DATA_DIR
#define ABS_TEST_DATA_DIR "src/caffe/test/test_data"
#endif
#ifndef EXAMPLES_SOURCE_DIR
#define EXAMPLES_SOURCE_DIR "examples/"
#endif
#ifndef CMAKE_SOURCE_DIR
#define CMAKE_SOURCE_DIR "src/"
#endif
#ifndef CMAKE_EXT
#define CMAKE_EXT ""
#endif
/// The GPU to test on; -1 lets the tests choose.
#ifndef CUDA_TEST_DEVICE
#define CUDA_TEST_DEVICE -1
#endif

using std::cout;
using std::endl;

int main(int argc, char** argv);

namespace caffe {

#ifndef CPU_ONLY
/// Keeps the test that is being made from running where it computes on a GPU and there is none.
inline void SkipWithoutGpu() {
  static const bool has_gpu = Caffe::FindDevice() >= 0;
  if (Caffe::mode() == Caffe::GPU && !has_gpu) {
    GTEST_SKIP() << "no GPU: there is none that this build can use";
  }
}
#endif

/// Base of typed tests that run in the mode of their device, with the same random numbers every time. Those
/// for a GPU are skipped where there is none.
template <typename TypeParam>
class MultiDeviceTest : public ::testing::Test {
 public:
  typedef typename TypeParam::Dtype Dtype;

 protected:
  MultiDeviceTest() {
    Caffe::set_mode(TypeParam::device);
    Caffe::set_random_seed(1701);
#ifndef CPU_ONLY
    // Here and not in SetUp, which tests have one of their own of.
    SkipWithoutGpu();
#endif
  }
  ~MultiDeviceTest() override { Caffe::set_mode(Caffe::CPU); }
};

typedef ::testing::Types<float, double> TestDtypes;

template <typename TypeParam>
struct CPUDevice {
  typedef TypeParam Dtype;
  static const Caffe::Brew device = Caffe::CPU;
};

template <typename Dtype>
class CPUDeviceTest : public MultiDeviceTest<CPUDevice<Dtype>> {};

#ifdef CPU_ONLY

typedef ::testing::Types<CPUDevice<float>, CPUDevice<double>> TestDtypesAndDevices;

#else

template <typename TypeParam>
struct GPUDevice {
  typedef TypeParam Dtype;
  static const Caffe::Brew device = Caffe::GPU;
};

template <typename Dtype>
class GPUDeviceTest : public MultiDeviceTest<GPUDevice<Dtype>> {};

typedef ::testing::Types<CPUDevice<float>, CPUDevice<double>, GPUDevice<float>, GPUDevice<double>>
    TestDtypesAndDevices;

#endif

}  // namespace caffe

#endif  // CAFFE_TEST_TEST_CAFFE_MAIN_HPP_
