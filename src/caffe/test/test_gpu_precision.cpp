#include "caffe/util/gpu_precision.hpp"

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "environment_for_test.hpp"

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

}  // namespace caffe
