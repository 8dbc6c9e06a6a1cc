#include "caffe/lowbit/segment.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/test/packed_model_writer.hpp"
#include "caffe/test/packed_net_runs.hpp"
#include "caffe/test/random_packed_model.hpp"

// Only of libhwgq and GoogleTest, so that scripts/test_neon.sh can build it for another processor.

namespace caffe {
namespace lowbit {

namespace {

// A convolution of 3 x 3 to as many channels, with or without a result of one pixel.
void AddConvolution(PlanMaker* maker, int channels, bool is_padded) {
  const int input = static_cast<int>(maker->plan.tensors.size()) - 1, pad = is_padded ? 1 : 0;
  const TensorInfo info = maker->plan.tensors[input];
  const size_t weights = static_cast<size_t>(channels) * info.channels * 9;
  const std::vector<ArrayView> arrays = {maker->Floats(std::vector<float>(weights, 0.5f))};
  StageInfo& stage =
      maker->Stage(StageKind::kConvolution, {input}, {channels, 3, 3, 1, 1, pad, pad, 1, 1, 1, 0}, arrays);
  const int size = is_padded ? info.height : info.height - 2;
  stage.steps = {MakeStep(StepKind::kStore, maker->Tensor(TensorKind::kReal, channels, size, size))};
}

int TailOf(const std::vector<int>& channels, bool last_is_padded) {
  PlanMaker maker;
  maker.Input(2, 3, 3);
  for (size_t i = 0; i < channels.size(); ++i) {
    AddConvolution(&maker, channels[i], i + 1 < channels.size() || last_is_padded);
  }
  maker.Output(static_cast<int>(maker.plan.tensors.size()) - 1);
  return Segment::TailOf(maker.plan);
}

}  // namespace

TEST(SegmentTest, TheTailBeginsWithWeightsThatImagesShare) {
  EXPECT_EQ(TailOf({4, 5, 6}, true), 3);
  EXPECT_EQ(TailOf({4, 5, 6}, false), 2);
  EXPECT_EQ(TailOf({6}, false), 0);
  // 200 x 100 x 9 floats.
  EXPECT_EQ(TailOf({100, 200, 3}, true), 1);
  EXPECT_EQ(Segment::TailOf(Identity(1, 3, 1).plan), 1);
}

// Wherever a plan is cut, each tensor has its place in one of the segments, and all that the tail reads and
// the caller wants lies in the tail's.
TEST(SegmentTest, EachTensorBelongsToOneSegment) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const RandomModel model(seed, kSmall);
    const Plan& plan = model.plan();
    const StageList list(plan);
    const int end = static_cast<int>(plan.stages.size());
    for (int cut = 0; cut <= end; ++cut) {
      const Segment head(plan, list, 0, cut, true), tail(plan, list, cut, end, false);
      const std::unique_ptr<Workspace> of_head = head.NewWorkspace(1), of_tail = tail.NewWorkspace(3);
      EXPECT_EQ(of_head->rooms.size() + of_tail->rooms.size(), plan.stages.size());
      for (size_t t = 0; t < plan.tensors.size(); ++t) {
        EXPECT_NE(head.Owns(static_cast<int>(t)), tail.Owns(static_cast<int>(t)));
        EXPECT_NE(of_head->tensors.at[t] == nullptr, of_tail->tensors.at[t] == nullptr);
      }
      for (int s = cut; s < end; ++s) {
        for (const int input : plan.stages[s].inputs) EXPECT_TRUE(tail.Owns(input));
      }
      for (const BlobInfo& output : plan.outputs) EXPECT_TRUE(tail.Owns(output.tensor));
    }
  }
}

TEST(SegmentTest, ATensorOfTheHeadTakesNoMemoryOfTheTail) {
  PlanMaker maker;
  maker.Input(2, 3, 3);
  AddConvolution(&maker, 500, true);
  AddConvolution(&maker, 5, false);
  maker.Output(2);
  const StageList list(maker.plan);
  const Segment head(maker.plan, list, 0, 1, true), tail(maker.plan, list, 1, 2, false);
  EXPECT_TRUE(head.Owns(0));
  EXPECT_TRUE(tail.Owns(1));
  // All images of what passes from one to the other lie in the tail's memory.
  EXPECT_GE(tail.Bytes(10), size_t{10} * 500 * 9 * sizeof(float));
  EXPECT_LT(head.Bytes(1), size_t{500} * 9 * sizeof(float));
  const Segment all(maker.plan, list, 0, 2, true);
  EXPECT_TRUE(all.Owns(1));
  EXPECT_GE(all.Bytes(1), size_t{500} * 9 * sizeof(float));
}

}  // namespace lowbit
}  // namespace caffe
