#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/test/emulated_kernels.hpp"
#include "caffe/test/packed_interpreter.hpp"
#include "caffe/test/random_convolution.hpp"

// The stage with imitated tiles. Only of libhwgq and GoogleTest.

namespace caffe {
namespace lowbit {

namespace {

using Images = RandomConvolution::Images;

RandomConvolution MakeConvolution(unsigned seed) { return {seed, static_cast<int>(seed % 3)}; }

std::unique_ptr<Stage> MakeTiles(const Plan& plan, const StageInfo& stage) {
  std::unique_ptr<Stage> made = MakeFloatTileConvolution(plan, stage, *EmulatedFloatKernels()[0]);
  EXPECT_STREQ(made->Kernel(), "amx_bf16");
  return made;
}

}  // namespace

TEST(FloatTileConvolutionTest, ComputesWhatTheFormatSays) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution = MakeConvolution(seed);
    const int count = 1 + static_cast<int>(seed % 4);
    const Images images = convolution.DrawImages(count);
    PackedInterpreter interpreter(convolution.plan());
    interpreter.Run(count, {images});
    const Images results = convolution.Run(MakeTiles, images);
    const std::vector<double>& expected = interpreter.at(convolution.output());
    ASSERT_EQ(results.size(), expected.size());
    for (size_t i = 0; i < results.size(); ++i) {
      ASSERT_NEAR(results[i], expected[i], 1e-6 * interpreter.scale(convolution.output())) << "element " << i;
    }
  }
}

TEST(FloatTileConvolutionTest, NumberOfThreadsDoesNotMatter) {
  for (unsigned seed = 200; seed < 210; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution = MakeConvolution(seed);
    const Images images = convolution.DrawImages(3), expected = convolution.Run(MakeTiles, images);
    for (const int threads : {2, 3, 7}) EXPECT_EQ(convolution.Run(MakeTiles, images, threads), expected);
  }
}

// The parts that another image of the batch needs make no difference.
TEST(FloatTileConvolutionTest, ImagesDoNotSeeEachOther) {
  for (unsigned seed = 100; seed < 110; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomConvolution convolution = MakeConvolution(seed);
    const Images images = convolution.DrawImages(3);
    EXPECT_EQ(convolution.Run(MakeTiles, images), convolution.RunEach(MakeTiles, images));
  }
}

}  // namespace lowbit
}  // namespace caffe
