#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/window_filter.hpp"
#include "caffe/test/packed_interpreter.hpp"
#include "caffe/test/random_convolution.hpp"

// The stage that filters windows. Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it
// for another processor.

namespace caffe {
namespace lowbit {

namespace {

using Images = RandomConvolution::Images;

std::vector<const FloatKernel*> KernelsToTest() {
  std::vector<const FloatKernel*> kernels = {&kFloatPlain};
#ifdef __x86_64__
  if (kFloatAvx2.available()) kernels.push_back(&kFloatAvx2);
  if (kFloatAvx512.available()) kernels.push_back(&kFloatAvx512);
#endif
  return kernels;
}

RandomConvolution::Make Maker(const FloatKernel& kernel) {
  return [&kernel](const Plan& plan, const StageInfo& stage) {
    std::unique_ptr<Stage> made = MakeFilteredConvolution(plan, stage, kernel);
    EXPECT_EQ(made->Kernel(), std::string(kernel.name) + "_winograd");
    return made;
  };
}

// Of 3 to 5 taps each way, at several strides, with windows that lie in the padding alone and pixels that no
// window sees.
RandomConvolution MakeConvolution(unsigned seed) {
  std::mt19937 random(seed);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  const int stride_h = draw(1, 3), kernel_h = draw(2 * stride_h + 1, 5 * stride_h);
  const int stride_w = draw(1, 4), kernel_w = draw(2 * stride_w + 1, 5 * stride_w);
  const int pad_h = draw(0, seed % 4 ? 2 : 2 * kernel_h), pad_w = draw(0, seed % 5 ? 3 : 2 * kernel_w);
  const Geometry geometry = {kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, 1, 1};
  const Shape input = {draw(1, seed % 7 ? 4 : 20), kernel_h + draw(0, 12), kernel_w + draw(0, 40)};
  return {seed, input, draw(1, seed % 3 ? 40 : 150), geometry, 1, static_cast<int>(seed % 3)};
}

bool IsFiltered(const Shape& input, int outputs, const Geometry& geometry, int groups = 1) {
  const RandomConvolution convolution(1, input, outputs, geometry, groups);
  return lowbit::IsFiltered(convolution.plan(), convolution.plan().stages[0]);
}

}  // namespace

TEST(FilteredConvolutionTest, ComputesWhatTheFormatSays) {
  for (unsigned seed = 0; seed < 120; ++seed) {
    RandomConvolution convolution = MakeConvolution(seed);
    const int count = 1 + static_cast<int>(seed % 3);
    const Images images = convolution.DrawImages(count);
    PackedInterpreter interpreter(convolution.plan());
    interpreter.Run(count, {images});
    const std::vector<double>& expected = interpreter.at(convolution.output());
    for (const FloatKernel* kernel : KernelsToTest()) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", " + kernel->name);
      const Images results = convolution.Run(Maker(*kernel), images);
      ASSERT_EQ(results.size(), expected.size());
      for (size_t i = 0; i < results.size(); ++i) {
        ASSERT_NEAR(results[i], expected[i], 1e-5 * interpreter.scale(convolution.output()))
            << "element " << i;
      }
    }
  }
}

// Neither do pieces of rows, of which Run makes two: tiles begin where their row, or their image, begins.
TEST(FilteredConvolutionTest, NumberOfThreadsDoesNotMatter) {
  for (unsigned seed = 200; seed < 220; ++seed) {
    RandomConvolution convolution = MakeConvolution(seed);
    const Images images = convolution.DrawImages(3);
    for (const FloatKernel* kernel : KernelsToTest()) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", " + kernel->name);
      const Images expected = convolution.Run(Maker(*kernel), images);
      for (const int threads : {2, 3, 7})
        EXPECT_EQ(convolution.Run(Maker(*kernel), images, threads), expected);
      EXPECT_EQ(convolution.RunEach(Maker(*kernel), images), expected);
    }
  }
}

// Nearly as exact as the products one by one: first layers' sums of noise are not 5 times as far from the
// truth, root mean square.
TEST(FilteredConvolutionTest, RoundsAsSumsOfProductsDo) {
  const struct {
    Shape input;
    Geometry geometry;
  } layers[] = {{{3, 40, 70}, {7, 7, 2, 2, 3, 3, 1, 1}}, {{3, 51, 91}, {11, 11, 4, 4, 0, 0, 1, 1}}};
  for (const auto& layer : layers) {
    RandomConvolution convolution(5, layer.input, 64, layer.geometry);
    const Images images = convolution.DrawImages(1);
    PackedInterpreter interpreter(convolution.plan());
    interpreter.Run(1, {images});
    const std::vector<double>& expected = interpreter.at(convolution.output());
    const auto error = [&](const Images& results) {
      double sum = 0;
      for (size_t i = 0; i < results.size(); ++i) sum += std::pow(results[i] - expected[i], 2);
      return std::sqrt(sum / static_cast<double>(results.size()));
    };
    const Images direct =
        convolution.Run([](const Plan& plan,
                           const StageInfo& stage) { return MakeFloatConvolution(plan, stage, kFloatPlain); },
                        images);
    for (const FloatKernel* kernel : KernelsToTest()) {
      EXPECT_LT(error(convolution.Run(Maker(*kernel), images)), 5 * error(direct)) << kernel->name;
    }
  }
}

TEST(FilteredConvolutionTest, IsTakenWhereItHasFewerProducts) {
  const Geometry seven = {7, 7, 2, 2, 3, 3, 1, 1}, eleven = {11, 11, 4, 4, 0, 0, 1, 1};
  EXPECT_TRUE(IsFiltered({3, 224, 224}, 64, seven));
  EXPECT_TRUE(IsFiltered({3, 227, 227}, 96, eleven));
  EXPECT_TRUE(IsFiltered({3, 224, 224}, 96, seven));
  EXPECT_TRUE(IsFiltered({3, 224, 224}, 32, {3, 3, 1, 1, 1, 1, 1, 1}));
  EXPECT_TRUE(IsFiltered({3, 32, 32}, 32, {5, 5, 1, 1, 2, 2, 1, 1}));
  // Of 9 products a pixel there are too few, of many channels too many weights at the points.
  EXPECT_FALSE(IsFiltered({1, 28, 28}, 32, {3, 3, 1, 1, 1, 1, 1, 1}));
  EXPECT_FALSE(IsFiltered({256, 14, 14}, 256, {3, 3, 1, 1, 1, 1, 1, 1}));
  EXPECT_TRUE(IsFiltered({16, 32, 32}, 16, {3, 3, 1, 1, 1, 1, 1, 1}));
  // Tiles would be mostly empty, or filters have too few taps, or too many.
  EXPECT_FALSE(IsFiltered({3, 7, 7}, 64, {7, 7, 2, 2, 0, 0, 1, 1}));
  EXPECT_FALSE(IsFiltered({64, 56, 56}, 64, {1, 1, 1, 1, 0, 0, 1, 1}));
  EXPECT_FALSE(IsFiltered({8, 28, 28}, 20, {6, 3, 1, 1, 0, 0, 1, 1}));
  EXPECT_FALSE(IsFiltered({8, 28, 28}, 20, {3, 6, 1, 1, 0, 0, 1, 1}));
  EXPECT_FALSE(IsFiltered({8, 28, 28}, 20, {1, 3, 1, 1, 0, 0, 1, 1}));
  EXPECT_FALSE(IsFiltered({8, 28, 28}, 20, {7, 8, 1, 1, 0, 0, 1, 1}));
  // Groups, and pixels that are apart, are no windows to filter.
  EXPECT_FALSE(IsFiltered({32, 32, 32}, 32, {3, 3, 1, 1, 1, 1, 1, 1}, 2));
  EXPECT_FALSE(IsFiltered({16, 32, 32}, 16, {3, 3, 1, 1, 1, 1, 1, 2}));
  EXPECT_FALSE(IsFiltered({16, 32, 32}, 16, {3, 3, 1, 1, 1, 1, 2, 1}));
}

// Sums of integers are exact, and 0 in black places: what is compared with thresholds stays so.
TEST(FilteredConvolutionTest, SumsThatAreComparedAreOfProducts) {
  constexpr int kChannels = 8;
  const auto is_filtered = [](const std::vector<float>& offsets, bool quantizes, bool pools, bool pool_adds) {
    PlanMaker maker;
    const int input = maker.Input(3, 30, 30);
    const int sums = maker.Tensor(TensorKind::kReal, kChannels, 15, 15);
    const int codes = maker.Tensor(TensorKind::kCodes, kChannels, 15, 15);
    const auto affine = [&](const std::vector<float>& b) {
      return MakeStep(StepKind::kAffine, -1, {},
                      {maker.Floats(std::vector<float>(kChannels, 2.f)), maker.Floats(b)});
    };
    const StepInfo quantize = MakeStep(StepKind::kQuantize, codes, {0, 1});
    const std::vector<float> weights(size_t{kChannels} * 7 * 7 * 3, 1.f);
    StageInfo& convolution = maker.Stage(StageKind::kConvolution, {input},
                                         {kChannels, 7, 7, 2, 2, 3, 3, 1, 1, 1, 0}, {maker.Floats(weights)});
    if (!offsets.empty()) convolution.steps.push_back(affine(offsets));
    convolution.steps.push_back(MakeStep(StepKind::kRelu, -1, {0.f}));
    convolution.steps.push_back(quantizes ? quantize : MakeStep(StepKind::kStore, sums));
    if (pools) {
      StageInfo& pooling = maker.Stage(StageKind::kPooling, {sums}, {0, 1, 1, 1, 1, 0, 0, 15, 15});
      if (pool_adds) pooling.steps.push_back(affine(std::vector<float>(kChannels, 1.f)));
      pooling.steps.push_back(quantize);
    }
    EXPECT_TRUE(HasFewProductsFiltered(maker.plan, maker.plan.stages[0]));
    return lowbit::IsFiltered(maker.plan, maker.plan.stages[0]);
  };
  std::vector<float> offsets(kChannels, 0.5f);
  EXPECT_TRUE(is_filtered(offsets, true, false, false));
  EXPECT_TRUE(is_filtered(offsets, false, true, false));
  EXPECT_TRUE(is_filtered({}, false, false, false));
  EXPECT_TRUE(is_filtered({}, false, true, true));
  EXPECT_FALSE(is_filtered({}, true, false, false));
  EXPECT_FALSE(is_filtered({}, false, true, false));
  offsets.assign(kChannels, 0);
  EXPECT_FALSE(is_filtered(offsets, true, false, false));
  EXPECT_FALSE(is_filtered(offsets, false, true, false));
  EXPECT_TRUE(is_filtered(offsets, false, true, true));
}

TEST(WindowFilterTest, TransformsGiveTheFilter) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  // 112 floats a row at its points are whole vectors; the last tile is alone.
  constexpr int kUnits = 2, kTiles = 7, kPlaces = PointRows::kPlaces, kRowFloats = kTiles * kUnits * kPlaces;
  for (const int row_taps : {3, 4, 5}) {
    for (const int column_taps : {3, 4, 5}) {
      ASSERT_TRUE(IsFilteredAtPoints(row_taps) && IsFilteredAtPoints(column_taps));
      const int row_outputs = kRowPoints.TileOutputs(row_taps);
      const int column_outputs = kColumnPoints.TileOutputs(column_taps), pixels = kTiles * row_outputs;
      const int width = (pixels + row_taps - 1) * kUnits;
      std::vector<float> input(kColumnPoints.count * width), filter(column_taps * row_taps * kUnits);
      for (float& value : input) value = normal(random);
      for (float& weight : filter) weight = normal(random);
      const std::vector<double> row_factors = kRowPoints.TapFactors(row_taps),
                                column_factors = kColumnPoints.TapFactors(column_taps);
      // Of the second unit all but the last tap is there.
      const PointRows layout = {row_outputs, kUnits, 1, 1, kRowFloats};
      for (int tap = 0; tap < column_taps; ++tap) filter[(tap * row_taps + row_taps - 1) * kUnits + 1] = 0;
      for (const FloatKernel* kernel : KernelsToTest()) {
        SCOPED_TRACE(std::string(kernel->name) + ", " + std::to_string(row_taps) + " and " +
                     std::to_string(column_taps) + " taps");
        const WindowFilter& windows = kernel->filter;
        std::vector<float> at_rows(kColumnPoints.count * kRowFloats), at_points(at_rows.size());
        const float* rows[kColumnPoints.count];
        for (int row = 0; row < kColumnPoints.count; ++row) {
          windows.rows(row_outputs, &input[row * width], kUnits, kTiles, &at_rows[row * kRowFloats]);
          rows[row] = &at_rows[row * kRowFloats];
        }
        windows.columns(rows, kRowFloats, at_points.data(), kRowFloats);
        // Output c of the strip has c times the filter.
        const int64_t sums_stride = int64_t{pixels} * kernel->strip;
        std::vector<float> sums(kColumnPoints.count * sums_stride);
        for (int point = 0; point < kColumnPoints.count; ++point) {
          std::vector<float> weights;
          for (int unit = 0; unit < kUnits; ++unit) {
            for (int i = 0; i < kRowPoints.count - unit; ++i) {
              double weight = 0;
              for (int y = 0; y < column_taps; ++y) {
                for (int x = 0; x < row_taps; ++x) {
                  weight += column_factors[point * column_taps + y] * row_factors[i * row_taps + x] *
                            filter[(y * row_taps + x) * kUnits + unit];
                }
              }
              for (int c = 0; c < kernel->strip; ++c) weights.push_back(static_cast<float>(c * weight));
            }
          }
          ASSERT_EQ(weights.size(), static_cast<size_t>(layout.weights() * kernel->strip));
          windows.sums(layout, &at_points[point * kRowFloats], kTiles, weights.data(),
                       &sums[point * sums_stride]);
        }
        for (int wanted = 1; wanted <= column_outputs; ++wanted) {
          const int result_floats = pixels * FloatKernel::kOutputs;
          std::vector<float> result(column_outputs * result_floats, 7);
          float* results[kMostColumnOutputs];
          for (int row = 0; row < wanted; ++row) results[row] = &result[row * result_floats];
          windows.outputs(column_outputs, sums.data(), sums_stride, pixels, wanted, results);
          for (int i = 0; i < column_outputs * pixels; ++i) {
            const int y = i / pixels, x = i % pixels;
            float sum = 0;
            for (int k = 0; k < column_taps * row_taps * kUnits; ++k) {
              const int tap_y = k / kUnits / row_taps, tap_x = k / kUnits % row_taps;
              sum += filter[k] * input[(y + tap_y) * width + (x + tap_x) * kUnits + k % kUnits];
            }
            for (int c = 0; c < FloatKernel::kOutputs; ++c) {
              const bool is_there = y < wanted && c < kernel->strip;
              ASSERT_NEAR(result[y * result_floats + x * FloatKernel::kOutputs + c],
                          is_there ? static_cast<float>(c) * sum : 7, 2e-3)
                  << "output " << c << " of pixel " << y << ", " << x;
            }
          }
        }
      }
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
