#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "caffe/lowbit/packed_net.hpp"
#include "caffe/test/packed_model_writer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

// Stages of packed models against the layers that they stand for.

namespace caffe {
namespace lowbit {

namespace {

// Runs a layer and a stage on the same values.
class Comparison {
 public:
  Comparison(const string& text, const vector<int>& shape) : layer_(text, shape) {
    layer_.SetUp();
    layer_.Forward();
    input_ = maker_.Input(shape[1], shape[2], shape[3]);
    output_ =
        maker_.Tensor(TensorKind::kReal, layer_.top.channels(), layer_.top.height(), layer_.top.width());
    maker_.Output(output_);
  }

  int height() const { return layer_.top.height(); }
  int width() const { return layer_.top.width(); }
  PlanMaker& maker() { return maker_; }
  Blob<float>& blob(int i) { return layer_.blob(i); }

  /// The largest difference, relative to the largest magnitude.
  double Difference(StageKind kind, const vector<int>& attributes, const vector<ArrayView>& arrays = {},
                    const vector<StepInfo>& steps = {}) {
    StageInfo& stage = maker_.Stage(kind, {input_}, attributes, arrays);
    stage.steps = steps;
    stage.steps.push_back(MakeStep(StepKind::kStore, output_));
    const PackedModel model(maker_.plan);
    const PackedNet net(model.bytes.data(), model.bytes.size(), 1);
    vector<float> result(layer_.top.count());
    net.Forward(layer_.bottom.num(), {layer_.bottom.cpu_data()}, {result.data()});
    double largest = 1e-30, difference = 0;
    for (int i = 0; i < layer_.top.count(); ++i) {
      const double expected = layer_.top.cpu_data()[i];
      largest = std::max(largest, std::abs(expected));
      difference = std::max(difference, std::abs(result[i] - expected));
    }
    return difference / largest;
  }

 private:
  LayerFixture<float> layer_;
  PlanMaker maker_;
  int input_, output_;
};

}  // namespace

TEST(PackedLayersTest, PoolAsCaffe) {
  struct Case {
    vector<int> kernel, stride, pad, shape;
  };
  const vector<Case> cases = {
      {{2, 2}, {2, 2}, {0, 0}, {2, 3, 4, 6}},    {{3, 3}, {2, 2}, {0, 0}, {2, 2, 8, 7}},
      {{3, 3}, {2, 2}, {1, 1}, {1, 2, 6, 5}},    {{2, 2}, {2, 2}, {1, 1}, {1, 2, 3, 4}},
      {{2, 4}, {2, 3}, {1, 2}, {2, 1, 5, 7}},    {{3, 2}, {1, 1}, {0, 1}, {1, 2, 4, 3}},
      {{1, 2}, {2, 2}, {0, 1}, {1, 1, 2, 3}},    {{3, 3}, {1, 1}, {2, 2}, {17, 5, 5, 9}},
      {{3, 3}, {3, 3}, {1, 1}, {1, 70, 10, 10}}, {{7, 7}, {1, 1}, {0, 0}, {3, 33, 7, 7}},
      {{2, 2}, {1, 1}, {1, 1}, {2, 16, 1, 1}},
  };
  for (const Case& c : cases) {
    for (const bool mean : {false, true}) {
      const auto field = [](const string& name, const vector<int>& values) {
        return name + "_h: " + std::to_string(values[0]) + " " + name + "_w: " + std::to_string(values[1]) +
               " ";
      };
      const string text =
          "name: 'pool' type: 'Pooling' pooling_param { pool: " + string(mean ? "AVE " : "MAX ") +
          field("kernel", c.kernel) + field("stride", c.stride) + field("pad", c.pad) + "}";
      SCOPED_TRACE(text);
      Comparison comparison(text, c.shape);
      const double difference = comparison.Difference(
          StageKind::kPooling, {mean, c.kernel[0], c.kernel[1], c.stride[0], c.stride[1], c.pad[0], c.pad[1],
                                comparison.height(), comparison.width()});
      EXPECT_LE(difference, mean ? 1e-6 : 0);
    }
  }
}

TEST(PackedLayersTest, NormalizeAsCaffe) {
  for (const bool within : {false, true}) {
    for (const int size : {1, 3, 5}) {
      for (const vector<int>& shape : vector<vector<int>>{{2, 7, 5, 6}, {1, 1, 1, 1}, {3, 40, 2, 3}}) {
        const string text =
            "name: 'norm' type: 'LRN' lrn_param { local_size: " + std::to_string(size) +
            " alpha: 0.7 beta: 0.75 " +
            (within ? "norm_region: WITHIN_CHANNEL }" : "k: 1.5 norm_region: ACROSS_CHANNELS }");
        SCOPED_TRACE(text);
        Comparison comparison(text, shape);
        const ArrayView parameters = comparison.maker().Floats({0.7f, 0.75f, 1.5f});
        EXPECT_LE(comparison.Difference(StageKind::kLrn, {within, size}, {parameters}), 1e-6);
      }
    }
  }
}

TEST(PackedLayersTest, SoftmaxAsCaffe) {
  for (const vector<int>& shape :
       vector<vector<int>>{{20, 10, 1, 1}, {2, 1000, 1, 1}, {2, 5, 3, 4}, {1, 1, 2, 2}}) {
    Comparison comparison("name: 'prob' type: 'Softmax'", shape);
    EXPECT_LE(comparison.Difference(StageKind::kSoftmax, {}), 1e-6);
  }
}

// Floats, whose weights are in another order here.
TEST(PackedLayersTest, ConvolveAsCaffe) {
  struct Case {
    int outputs, group;
    vector<int> kernel, stride, pad, dilation, shape;
  };
  const vector<Case> cases = {
      {5, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {2, 3, 7, 6}},
      {70, 1, {1, 1}, {1, 1}, {0, 0}, {1, 1}, {3, 20, 4, 4}},
      {6, 3, {3, 2}, {2, 1}, {1, 2}, {1, 1}, {1, 6, 9, 8}},
      {8, 8, {3, 3}, {1, 2}, {2, 1}, {2, 1}, {17, 8, 6, 7}},
      {66, 2, {5, 5}, {2, 2}, {2, 2}, {1, 2}, {1, 4, 11, 13}},
  };
  for (const Case& c : cases) {
    const auto field = [](const string& name, const vector<int>& values) {
      return name + "_h: " + std::to_string(values[0]) + " " + name + "_w: " + std::to_string(values[1]) +
             " ";
    };
    const string text =
        "name: 'conv' type: 'Convolution' convolution_param { num_output: " + std::to_string(c.outputs) +
        " group: " + std::to_string(c.group) + " " + field("kernel", c.kernel) + field("stride", c.stride) +
        field("pad", c.pad) + "dilation: " + std::to_string(c.dilation[0]) +
        " dilation: " + std::to_string(c.dilation[1]) +
        " weight_filler { type: 'gaussian' } bias_filler { type: 'gaussian' } }";
    SCOPED_TRACE(text);
    Comparison comparison(text, c.shape);
    const Blob<float>& weights = comparison.blob(0);
    vector<float> ordered;
    for (int o = 0; o < c.outputs; ++o) {
      for (int tap = 0; tap < c.kernel[0] * c.kernel[1]; ++tap) {
        for (int channel = 0; channel < weights.shape(1); ++channel) {
          ordered.push_back(weights.data_at(o, channel, tap / c.kernel[1], tap % c.kernel[1]));
        }
      }
    }
    const float* const bias = comparison.blob(1).cpu_data();
    PlanMaker& maker = comparison.maker();
    const StepInfo add_bias = MakeStep(
        StepKind::kAffine, -1, {},
        {maker.Floats(vector<float>(c.outputs, 1)), maker.Floats(vector<float>(bias, bias + c.outputs))});
    const vector<int> attributes = {c.outputs, c.kernel[0], c.kernel[1],   c.stride[0],   c.stride[1],
                                    c.pad[0],  c.pad[1],    c.dilation[0], c.dilation[1], c.group,
                                    0};
    EXPECT_LE(comparison.Difference(StageKind::kConvolution, attributes, {maker.Floats(ordered)}, {add_bias}),
              1e-5);
  }
}

}  // namespace lowbit
}  // namespace caffe
