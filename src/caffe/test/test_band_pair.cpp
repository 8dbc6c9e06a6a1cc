#include "caffe/lowbit/band_pair.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "caffe/lowbit/float_kernel.hpp"
#include "caffe/lowbit/packed_net.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/test/packed_interpreter.hpp"
#include "caffe/test/packed_model_writer.hpp"

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

// How a pooling's window moves.
struct Pool {
  bool mean;
  int kernel, stride, pad;
};

// A convolution of 3 x 3 and a pooling of its result, or of that result's codes.
class ConvolutionAndPooling {
 public:
  ConvolutionAndPooling(const Pool& pool, bool int8, int channels = 64, bool codes = false) {
    std::normal_distribution<float> normal;
    const int height = 75, width = 71;
    const TensorKind kind = codes ? TensorKind::kCodes : TensorKind::kReal;
    const int input = maker_.Input(3, height, width);
    between_ = maker_.Tensor(kind, channels, height, width);
    std::vector<float> weights(static_cast<size_t>(channels) * 27);
    for (float& weight : weights) weight = normal(random_);
    std::vector<ArrayView> arrays = {maker_.Floats(weights)};
    if (int8) {
      std::vector<int8_t> bytes;
      for (const float weight : weights) bytes.push_back(static_cast<int8_t>(30 * weight));
      arrays = {maker_.SignedBytes(bytes), maker_.Floats(std::vector<float>(channels, 0.03f))};
    }
    maker_.Stage(StageKind::kConvolution, {input}, {channels, 3, 3, 1, 1, 1, 1, 1, 1, 1, int8}, arrays)
        .steps = {
        MakeStep(StepKind::kRelu, -1, {0.25f}),
        codes ? MakeStep(StepKind::kQuantize, between_, {-1, 0, 1}) : MakeStep(StepKind::kStore, between_)};
    const int result[] = {(height - 1 + pool.pad) / pool.stride + 1,
                          (width - 1 + pool.pad) / pool.stride + 1};
    output_ = maker_.Tensor(kind, channels, result[0], result[1]);
    maker_
        .Stage(StageKind::kPooling, {between_},
               {pool.mean, pool.kernel, pool.kernel, pool.stride, pool.stride, pool.pad, pool.pad, result[0],
                result[1]})
        .steps = {MakeStep(StepKind::kStore, output_)};
    maker_.Output(output_);
  }

  PlanMaker& maker() { return maker_; }
  int between() const { return between_; }
  int output() const { return output_; }
  /// Once the stages are made: whether the convolution computes several rows together.
  bool GroupsRows() const { return dynamic_cast<const RowStage&>(*convolution_).RowsTogether() > 1; }

  std::unique_ptr<BandPair> Make() {
    const Plan& plan = maker_.plan;
    convolution_ = MakeStage(plan, plan.stages[0]);
    pooling_ = MakeStage(plan, plan.stages[1]);
    return BandPair::Make(plan, 0, *convolution_, *pooling_);
  }

  std::vector<float> DrawImages(int images) {
    std::normal_distribution<float> normal;
    std::vector<float> values(images * maker_.plan.tensors[0].elements());
    for (float& value : values) value = normal(random_);
    return values;
  }

  // The result, by turns or one stage after the other; nothing but a band is written by turns.
  std::vector<uint8_t> Run(const BandPair* pair, std::vector<float> input, int images, int threads) const {
    const std::vector<TensorInfo>& tensors = maker_.plan.tensors;
    const size_t bytes = pair ? pair->BandBytes() : images * Bytes(tensors[between_]);
    constexpr size_t kGuard = 4096;
    const AlignedBytes between(bytes + 2 * kGuard);
    std::memset(between.data(), 0xff, bytes + 2 * kGuard);
    std::vector<uint8_t> result(images * Bytes(tensors[output_]));
    Tensors at = {{reinterpret_cast<uint8_t*>(input.data()), between.data() + kGuard, result.data()}, images};
    const AlignedBytes rooms[] = {AlignedBytes(convolution_->RoomBytes(images)),
                                  AlignedBytes(pooling_->RoomBytes(images))};
    uint8_t* const room[] = {rooms[0].data(), rooms[1].data()};
    if (pair) {
      double seconds[] = {0, 0};
      pair->Run(&at, room, threads, seconds);
      EXPECT_EQ(at.at[between_], between.data() + kGuard);
      EXPECT_GT(seconds[0], 0);
      EXPECT_GT(seconds[1], 0);
    } else {
      convolution_->Run(at, room[0], threads);
      pooling_->Run(at, room[1], threads);
    }
    for (size_t i = 0; i < kGuard; ++i) {
      if (between.data()[i] != 0xff || between.data()[kGuard + bytes + i] != 0xff) {
        ADD_FAILURE() << "more than the tensor's memory is written";
        break;
      }
    }
    return result;
  }

 private:
  static size_t Bytes(const TensorInfo& tensor) {
    return tensor.elements() * (tensor.kind == TensorKind::kReal ? sizeof(float) : 1);
  }

  std::mt19937 random_{1};
  PlanMaker maker_;
  int between_, output_;
  std::unique_ptr<Stage> convolution_, pooling_;
};

constexpr Pool kOverlapping = {false, 3, 2, 0};

}  // namespace

TEST(BandPairTest, GivesTheSameAsOneAfterTheOther) {
  const Pool pools[] = {kOverlapping,     {false, 3, 2, 1}, {true, 3, 2, 1},  {false, 2, 2, 0},
                        {false, 5, 1, 4}, {false, 2, 3, 1}, {true, 2, 30, 0}, {false, 70, 1, 0}};
  for (const Pool& pool : pools) {
    for (const bool int8 : {false, true}) {
      SCOPED_TRACE("kernel " + std::to_string(pool.kernel) + ", stride " + std::to_string(pool.stride) +
                   (int8 ? ", int8" : ""));
      ConvolutionAndPooling stages(pool, int8);
      const std::unique_ptr<BandPair> pair = stages.Make();
      if (!pair) GTEST_SKIP() << "the convolution's kernel does not compute row by row";
      EXPECT_TRUE(int8 || stages.GroupsRows() || ChooseFloatKernel(true).tiles);
      const std::vector<float> images = stages.DrawImages(3);
      const std::vector<uint8_t> expected = stages.Run(nullptr, images, 3, 1);
      for (const int threads : {1, 3}) EXPECT_EQ(stages.Run(pair.get(), images, 3, threads), expected);
    }
  }
}

// Codes are bytes, a quarter of as many floats.
TEST(BandPairTest, GivesTheSameCodes) {
  EXPECT_EQ(ConvolutionAndPooling(kOverlapping, false, 64, true).Make(), nullptr);
  ConvolutionAndPooling stages(kOverlapping, false, 256, true);
  const std::unique_ptr<BandPair> pair = stages.Make();
  if (!pair) GTEST_SKIP() << "the convolution's kernel does not compute row by row";
  const std::vector<float> images = stages.DrawImages(2);
  EXPECT_EQ(stages.Run(pair.get(), images, 2, 1), stages.Run(nullptr, images, 2, 1));
}

TEST(BandPairTest, TakesMemoryForABandAlone) {
  ConvolutionAndPooling stages(kOverlapping, false);
  const std::unique_ptr<BandPair> pair = stages.Make();
  if (!pair) GTEST_SKIP() << "the convolution's kernel does not compute row by row";
  EXPECT_EQ(pair->tensor(), stages.between());
  EXPECT_LE(pair->BandBytes(), size_t{512} << 10);
  EXPECT_GT(pair->BandBytes(), size_t{256} << 10);
}

// The net gives memory to what both stages use until both are done.
TEST(BandPairTest, IsPartOfANet) {
  ConvolutionAndPooling stages(kOverlapping, false);
  const PackedModel model(stages.maker().plan);
  const PackedNet net(model.bytes.data(), model.bytes.size(), 1);
  const std::vector<float> images = stages.DrawImages(2);
  PackedInterpreter interpreter(stages.maker().plan);
  interpreter.Run(2, {images});
  const std::vector<double>& expected = interpreter.at(stages.output());
  std::vector<float> result(expected.size());
  for (int pass = 0; pass < 2; ++pass) {
    net.Forward(2, {images.data()}, {result.data()});
    for (size_t i = 0; i < result.size(); ++i) ASSERT_NEAR(result[i], expected[i], 1e-4) << i;
  }
}

TEST(BandPairTest, IsNoneWhereTheResultIsNeededWhole) {
  ConvolutionAndPooling small(kOverlapping, false, 4);
  EXPECT_EQ(small.Make(), nullptr);
  ConvolutionAndPooling shown(kOverlapping, false);
  shown.maker().Output(shown.between());
  EXPECT_EQ(shown.Make(), nullptr);
  ConvolutionAndPooling read(kOverlapping, false);
  const int other = read.maker().Tensor(TensorKind::kReal, 64, 75, 71);
  read.maker().Stage(StageKind::kMap, {read.between()}).steps = {MakeStep(StepKind::kStore, other)};
  EXPECT_EQ(read.Make(), nullptr);
  ConvolutionAndPooling two(kOverlapping, false);
  const int kept = two.maker().Tensor(TensorKind::kReal, 64, 75, 71);
  two.maker().plan.stages[0].steps.push_back(MakeStep(StepKind::kStore, kept));
  EXPECT_EQ(two.Make(), nullptr);
  ConvolutionAndPooling elsewhere(kOverlapping, false);
  const int unrelated = elsewhere.maker().Input(64, 75, 71);
  elsewhere.maker().plan.stages[1].inputs = {unrelated};
  EXPECT_EQ(elsewhere.Make(), nullptr);
}

}  // namespace lowbit
}  // namespace caffe
