#include "caffe/util/gpu_precision.hpp"

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "environment_for_test.hpp"
#ifdef CAFFE_GPU_EMULATOR
#include <thread>

#include "caffe/blob.hpp"
#include "caffe/util/math_functions.hpp"
#endif

namespace caffe {

TEST(GpuPrecisionTest, FloatsAreFloatsUnlessTF32IsAskedFor) {
  EXPECT_FALSE(AllowTF32());
  {
    const EnvironmentForTest tf32("CAFFE_TF32", "1");
    EXPECT_TRUE(AllowTF32());
  }
  const EnvironmentForTest tf32("CAFFE_TF32", "on");
  EXPECT_TRUE(Contains(ErrorOf([] { AllowTF32(); }), "'on'"));
}

#ifdef CAFFE_GPU_EMULATOR

// 1 + 2^-12, times 1, by a thread that had no handle yet.
float ProductOfANewThread() {
  float product = 0;
  std::thread([&] {
    Blob<float> a(1, 1, 1, 1), b(1, 1, 1, 1), c(1, 1, 1, 1);
    a.mutable_cpu_data()[0] = 1 + 1.0f / 4096;
    b.mutable_cpu_data()[0] = 1;
    caffe_gpu_gemm<float>(CblasNoTrans, CblasNoTrans, 1, 1, 1, 1, a.gpu_data(), b.gpu_data(), 0,
                          c.mutable_gpu_data());
    product = c.cpu_data()[0];
  }).join();
  return product;
}

TEST(GpuPrecisionTest, ProductsAreOfTF32WhereItIsAskedFor) {
  EXPECT_EQ(1 + 1.0f / 4096, ProductOfANewThread());
  const EnvironmentForTest tf32("CAFFE_TF32", "1");
  EXPECT_EQ(1, ProductOfANewThread());
}

#endif  // CAFFE_GPU_EMULATOR

}  // namespace caffe
