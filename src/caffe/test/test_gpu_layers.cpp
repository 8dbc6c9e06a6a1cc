#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "gpu_test_util.hpp"

#ifndef CPU_ONLY

namespace caffe {

namespace {

template <typename Dtype>
class GpuLayersTest : public ::testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_GPU(); }
};
TYPED_TEST_SUITE(GpuLayersTest, TestDtypes);

// Zeros and what is no number, among the normal values of bottom 0.
template <typename Dtype>
void AddSpecialValues(const vector<Blob<Dtype>*>& bottoms) {
  const Dtype infinity = std::numeric_limits<Dtype>::infinity();
  const Dtype specials[] = {0, Dtype(-0.), infinity, -infinity, std::numeric_limits<Dtype>::quiet_NaN()};
  Dtype* values = bottoms[0]->mutable_cpu_data();
  int i = 0;
  for (const Dtype special : specials) {
    if (i < bottoms[0]->count()) values[i] = special;
    i += 2;
  }
}

// Makes bottom 1 labels of `classes` classes.
template <typename Dtype>
BottomFiller<Dtype> WithLabels(int classes) {
  return [classes](const vector<Blob<Dtype>*>& bottoms) { FillIndices(classes, bottoms[1]); };
}

// The error of one forward pass in this mode with bottom 1 (or 0, where it is the only one) as given.
template <typename Dtype>
string ErrorOfLabels(Caffe::Brew brew, const string& text, const vector<vector<int>>& shapes,
                     const vector<Dtype>& labels) {
  const ModeForTest mode(brew);
  LayerRun<Dtype> run(text, shapes);
  for (Blob<Dtype>* bottom : run.bottoms) bottom->scale_data(Dtype(0.1));
  run.SetBottom(shapes.size() > 1 ? 1 : 0, labels);
  run.SetUp();
  return ErrorOf([&] { run.Forward(); });
}

}  // namespace

TYPED_TEST(GpuLayersTest, Functions) {
  for (const char* text :
       {"type: 'AbsVal'", "type: 'BNLL'", "type: 'Clip' clip_param { min: -0.5 max: 1 }", "type: 'ELU'",
        "type: 'ELU' elu_param { alpha: 0.3 }", "type: 'Exp'", "type: 'Exp' exp_param { base: 2 scale: 0.5 }",
        "type: 'Log' log_param { base: 3 scale: 0.5 shift: 6 }", "type: 'Power'",
        "type: 'Power' power_param { power: 2 scale: 3 shift: -1 }",
        "type: 'Power' power_param { power: 3 scale: 0.5 shift: 1.5 }",
        "type: 'Power' power_param { power: 0 }", "type: 'ReLU' relu_param { engine: CAFFE }",
        "type: 'ReLU' relu_param { negative_slope: 0.1 engine: CAFFE }",
        "type: 'Sigmoid' sigmoid_param { engine: CAFFE }", "type: 'TanH' tanh_param { engine: CAFFE }",
        "type: 'Swish'", "type: 'Swish' swish_param { beta: 0.7 }", "type: 'Dropout' phase: TEST"}) {
    for (const vector<int>& shape : vector<vector<int>>{{3, 5, 7}, {1}, {2, 50001}}) {
      ExpectGpuEqualsCpu<TypeParam>(text, {shape}, 1, {true});
    }
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 7}}, 1, {false});
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 7}}, 1, {true}, 0, AddSpecialValues<TypeParam>);
    if (string(text) == "type: 'AbsVal'") continue;
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 7}}, 1, {true}, 0, nullptr, GpuRun::kInPlace);
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 7}}, 1, {true}, 0, AddSpecialValues<TypeParam>,
                                  GpuRun::kInPlace);
  }
}

TYPED_TEST(GpuLayersTest, FunctionsOfNothing) {
  for (const char* text : {"type: 'ReLU'", "type: 'Power'", "type: 'Dropout' phase: TRAIN"}) {
    ExpectGpuEqualsCpu<TypeParam>(text, {{0, 3}}, 1, {true});
  }
}

TYPED_TEST(GpuLayersTest, Threshold) {
  for (const char* text : {"type: 'Threshold'", "type: 'Threshold' threshold_param { threshold: 0.3 }"}) {
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 7}}, 1, {});
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 7}}, 1, {}, 0, AddSpecialValues<TypeParam>);
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 7}}, 1, {}, 0, nullptr, GpuRun::kInPlace);
  }
}

TYPED_TEST(GpuLayersTest, PReLU) {
  for (const char* text : {"type: 'PReLU'", "type: 'PReLU' prelu_param { channel_shared: true }",
                           "type: 'PReLU' prelu_param { filler { type: 'gaussian' } }"}) {
    for (const vector<int>& shape : vector<vector<int>>{{3, 5, 7}, {4, 33}, {1, 1, 1}, {2, 3, 41, 29}}) {
      ExpectGpuEqualsCpu<TypeParam>(text, {shape}, 1, {true});
      ExpectGpuEqualsCpu<TypeParam>(text, {shape}, 1, {false});
      ExpectGpuEqualsCpu<TypeParam>(text, {shape}, 1, {true}, 0, nullptr, GpuRun::kInPlace);
    }
  }
}

TYPED_TEST(GpuLayersTest, DropoutKeepsWhatItsMaskSays) {
  const ModeForTest mode(Caffe::GPU);
  Caffe::set_random_seed(1701);
  for (const double ratio : {0., 0.3, 0.5, 0.9}) {
    LayerFixture<TypeParam> fixture(
        "type: 'Dropout' phase: TRAIN dropout_param { dropout_ratio: " + std::to_string(ratio) + " }",
        {7, 11, 131});
    fixture.SetUp();
    fixture.Forward();
    const vector<TypeParam> y = DataOf(fixture.top), x = DataOf(fixture.bottom);
    std::fill_n(fixture.top.mutable_cpu_diff(), fixture.top.count(), TypeParam(1));
    fixture.Backward();
    const vector<TypeParam> dx = DiffOf(fixture.bottom);
    const TypeParam scale = 1 / (1 - static_cast<TypeParam>(static_cast<float>(ratio)));
    int dropped = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_TRUE(dx[i] == 0 || std::fabs(dx[i] - scale) <= 1e-5 * scale) << dx[i];
      ASSERT_NEAR(y[i], x[i] * dx[i], 1e-5 * std::fabs(y[i]));
      dropped += dx[i] == 0;
    }
    // Five standard deviations.
    EXPECT_NEAR(dropped, ratio * x.size(), 5 * std::sqrt(ratio * (1 - ratio) * x.size()));
    // The next pass draws anew.
    fixture.Forward();
    EXPECT_EQ(ratio == 0, DataOf(fixture.top) == y);
  }
}

TYPED_TEST(GpuLayersTest, Softmax) {
  struct Case {
    int axis;
    vector<int> shape;
  };
  const Case cases[] = {{1, {3, 5, 7}},     {0, {5, 3}},  {2, {3, 5, 71}},      {1, {2, 3001}},
                        {1, {2, 70, 3, 3}}, {1, {4, 1}},  {1, {5, 37, 31, 31}}, {1, {0, 3}},
                        {-1, {1, 40}},      {1, {1, 33}}, {1, {129, 1000}}};
  for (const Case& c : cases) {
    const string text =
        "type: 'Softmax' softmax_param { engine: CAFFE axis: " + std::to_string(c.axis) + " }";
    ExpectGpuEqualsCpu<TypeParam>(text, {c.shape}, 1, {true});
    ExpectGpuEqualsCpu<TypeParam>(text, {c.shape}, 1, {true}, 0, AddSpecialValues<TypeParam>);
    ExpectGpuEqualsCpu<TypeParam>(text, {c.shape}, 1, {true}, 0, nullptr, GpuRun::kInPlace);
  }
}

TYPED_TEST(GpuLayersTest, SoftmaxOfLargeScores) {
  const auto enlarge = [](const vector<Blob<TypeParam>*>& bottoms) { bottoms[0]->scale_data(1000); };
  ExpectGpuEqualsCpu<TypeParam>("type: 'Softmax' softmax_param { engine: CAFFE }", {{5, 43}}, 1, {true}, 0,
                                enlarge);
}

TYPED_TEST(GpuLayersTest, SoftmaxWithLoss) {
  for (const string loss : {"", "loss_param { ignore_label: 2 }", "loss_param { normalization: FULL }",
                            "loss_param { ignore_label: 0 normalization: BATCH_SIZE }",
                            "loss_param { normalization: NONE } loss_weight: 0.3"}) {
    const string text = "type: 'SoftmaxWithLoss' softmax_param { engine: CAFFE } " + loss;
    ExpectGpuEqualsCpu<TypeParam>(text, {{7, 5}, {7}}, 1, {true, false}, 0, WithLabels<TypeParam>(5));
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 7, 2}, {3, 1, 7, 2}}, 1, {true, false}, 0,
                                  WithLabels<TypeParam>(5));
    ExpectGpuEqualsCpu<TypeParam>(text, {{300, 41}, {300}}, 1, {true, false}, 0, WithLabels<TypeParam>(41));
    ExpectGpuEqualsCpu<TypeParam>(text, {{2, 3, 71, 67}, {2, 71, 67}}, 1, {true, false}, 0,
                                  WithLabels<TypeParam>(3));
    ExpectGpuEqualsCpu<TypeParam>(text, {{7, 5}, {7}}, 1, {false, false}, 0, WithLabels<TypeParam>(5));
  }
  ExpectGpuEqualsCpu<TypeParam>("type: 'SoftmaxWithLoss' softmax_param { axis: -1 engine: CAFFE }",
                                {{3, 5, 7}, {3, 5}}, 2, {true, false}, 0, WithLabels<TypeParam>(7));
  // All ignored, and a probability of zero and of no number.
  ExpectGpuEqualsCpu<TypeParam>(
      "type: 'SoftmaxWithLoss' softmax_param { engine: CAFFE } loss_param { ignore_label: 0 }", {{7, 5}, {7}},
      1, {true, false}, 0, WithLabels<TypeParam>(1));
  const auto extreme = [](const vector<Blob<TypeParam>*>& bottoms) {
    FillIndices(5, bottoms[1]);
    bottoms[0]->scale_data(1000);
  };
  ExpectGpuEqualsCpu<TypeParam>("type: 'SoftmaxWithLoss' softmax_param { engine: CAFFE }", {{7, 5}, {7}}, 1,
                                {true, false}, 0, extreme);
  const auto with_nan = [](const vector<Blob<TypeParam>*>& bottoms) {
    FillIndices(5, bottoms[1]);
    bottoms[0]->mutable_cpu_data()[3] = std::numeric_limits<TypeParam>::quiet_NaN();
  };
  ExpectGpuEqualsCpu<TypeParam>("type: 'SoftmaxWithLoss' softmax_param { engine: CAFFE }", {{7, 5}, {7}}, 1,
                                {true, false}, 0, with_nan);
}

TYPED_TEST(GpuLayersTest, InfogainLoss) {
  const auto fill = [](const vector<Blob<TypeParam>*>& bottoms) {
    FillIndices(5, bottoms[1]);
    TypeParam* infogain = bottoms[2]->mutable_cpu_data();
    for (int i = 0; i < bottoms[2]->count(); ++i) infogain[i] = std::fabs(infogain[i]);
  };
  for (const string loss : {"", "loss_param { ignore_label: 2 }", "loss_param { normalization: FULL }"}) {
    const string text = "type: 'InfogainLoss' softmax_param { engine: CAFFE } " + loss;
    ExpectGpuEqualsCpu<TypeParam>(text, {{7, 5}, {7}, {5, 5}}, 1, {true, false, false}, 0, fill);
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 37, 2}, {3, 37, 2}, {1, 1, 5, 5}}, 2, {true, false, false}, 0,
                                  fill);
  }
}

TYPED_TEST(GpuLayersTest, MultinomialLogisticLoss) {
  const auto fill = [](const vector<Blob<TypeParam>*>& bottoms) {
    TypeParam* prob = bottoms[0]->mutable_cpu_data();
    for (int i = 0; i < bottoms[0]->count(); ++i) prob[i] = std::fabs(prob[i]) / 5;
    // Labels 0 and 2 of the first and third item.
    prob[0] = 0;
    FillIndices(bottoms[0]->count(1), bottoms[1]);
  };
  for (const int num : {1, 7, 300}) {
    ExpectGpuEqualsCpu<TypeParam>("type: 'MultinomialLogisticLoss'", {{num, 5, 3}, {num}}, 1, {true, false},
                                  0, fill);
  }
}

TYPED_TEST(GpuLayersTest, HingeLoss) {
  for (const char* text : {"type: 'HingeLoss'", "type: 'HingeLoss' hinge_loss_param { norm: L2 }"}) {
    ExpectGpuEqualsCpu<TypeParam>(text, {{7, 5}, {7}}, 1, {true, false}, 0, WithLabels<TypeParam>(5));
    ExpectGpuEqualsCpu<TypeParam>(text, {{77, 5, 11}, {77}}, 1, {true, false}, 0, WithLabels<TypeParam>(55));
  }
}

TYPED_TEST(GpuLayersTest, EuclideanLoss) {
  for (const vector<bool>& propagate : vector<vector<bool>>{{true, true}, {true, false}, {false, true}}) {
    ExpectGpuEqualsCpu<TypeParam>("type: 'EuclideanLoss'", {{7, 5, 3}, {7, 5, 3}}, 1, propagate);
    ExpectGpuEqualsCpu<TypeParam>("type: 'EuclideanLoss' loss_weight: 0.5", {{3, 5001}, {3, 5001}}, 1,
                                  propagate);
  }
}

TYPED_TEST(GpuLayersTest, SigmoidCrossEntropyLoss) {
  const auto fill = [](const vector<Blob<TypeParam>*>& bottoms) {
    TypeParam* target = bottoms[1]->mutable_cpu_data();
    for (int i = 0; i < bottoms[1]->count(); ++i) target[i] = i % 5 == 0 ? -1 : (i * 7 % 11) / TypeParam(10);
  };
  for (const string loss :
       {"", "loss_param { ignore_label: -1 }", "loss_param { ignore_label: -1 normalization: VALID }",
        "loss_param { normalization: FULL }"}) {
    for (const vector<int>& shape : vector<vector<int>>{{7, 5, 3}, {3, 5001}}) {
      ExpectGpuEqualsCpu<TypeParam>("type: 'SigmoidCrossEntropyLoss' " + loss, {shape, shape}, 1,
                                    {true, false}, 0, fill);
    }
  }
}

TYPED_TEST(GpuLayersTest, ContrastiveLoss) {
  const auto fill = [](const vector<Blob<TypeParam>*>& bottoms) {
    FillIndices(2, bottoms[2]);
    // Equal features, where the distance has no derivative.
    const int features = bottoms[0]->count(1);
    std::copy_n(bottoms[0]->cpu_data(), features, bottoms[1]->mutable_cpu_data());
  };
  for (const string param : {"margin: 3", "margin: 3 legacy_version: true", "margin: 30"}) {
    const string text = "type: 'ContrastiveLoss' contrastive_loss_param { " + param + " }";
    ExpectGpuEqualsCpu<TypeParam>(text, {{9, 5}, {9, 5}, {9}}, 1, {true, true, false}, 0, fill);
    ExpectGpuEqualsCpu<TypeParam>(text, {{2, 2, 3}, {2, 2, 3}, {2}}, 1, {false, true, false}, 0, fill);
    ExpectGpuEqualsCpu<TypeParam>(text, {{70, 401}, {70, 401}, {70}}, 1, {true, true, false}, 0, fill);
  }
}

TYPED_TEST(GpuLayersTest, WrongLabelsAreTheErrorsOfTheCpu) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  struct Case {
    string text;
    vector<vector<int>> shapes;
  };
  const Case cases[] = {{"type: 'SoftmaxWithLoss'", {{4, 3}, {4}}},
                        {"type: 'SoftmaxWithLoss' loss_param { ignore_label: 7 }", {{1, 3, 4}, {1, 4}}},
                        {"type: 'InfogainLoss'", {{4, 3}, {4}, {3, 3}}},
                        {"type: 'MultinomialLogisticLoss'", {{4, 3}, {4}}},
                        {"type: 'HingeLoss'", {{4, 3}, {4}}},
                        {"type: 'Accuracy'", {{4, 3}, {4}}},
                        {"type: 'Embed' embed_param { input_dim: 3 num_output: 2 }", {{4}}}};
  for (const Case& c : cases) {
    for (const vector<TypeParam>& labels : vector<vector<TypeParam>>{
             {0, 2, 3, 1}, {-1, 0, 0, 0}, {0, 0, 0, nan}, {0, TypeParam(1e30), 5, 0}, {0, 0, 0, 0}}) {
      SCOPED_TRACE(c.text);
      const string expected = ErrorOfLabels(Caffe::CPU, c.text, c.shapes, labels);
      EXPECT_EQ(labels == vector<TypeParam>(4), expected.empty());
      EXPECT_EQ(expected, ErrorOfLabels(Caffe::GPU, c.text, c.shapes, labels));
    }
  }
}

TYPED_TEST(GpuLayersTest, Accuracy) {
  // Of few values, so that scores are equal.
  const auto fill = [](const vector<Blob<TypeParam>*>& bottoms) {
    TypeParam* scores = bottoms[0]->mutable_cpu_data();
    for (int i = 0; i < bottoms[0]->count(); ++i) scores[i] = std::round(scores[i] * 2);
    scores[2] = std::numeric_limits<TypeParam>::quiet_NaN();
    FillIndices(3, bottoms[1]);
  };
  for (const string param : {"", "top_k: 3", "ignore_label: 1", "top_k: 2 ignore_label: 0"}) {
    for (const int num_tops : {1, 2}) {
      ExpectGpuEqualsCpu<TypeParam>("type: 'Accuracy' accuracy_param { axis: 1 " + param + " }",
                                    {{5, 4, 7, 3}, {5, 7, 3}}, num_tops, {}, 0, fill);
      ExpectGpuEqualsCpu<TypeParam>("type: 'Accuracy' accuracy_param { " + param + " }", {{67, 41}, {67}},
                                    num_tops, {}, 0, fill);
    }
  }
}

TYPED_TEST(GpuLayersTest, ArgMax) {
  const auto fill = [](const vector<Blob<TypeParam>*>& bottoms) {
    TypeParam* values = bottoms[0]->mutable_cpu_data();
    for (int i = 0; i < bottoms[0]->count(); ++i) values[i] = std::round(values[i] * 2);
    AddSpecialValues<TypeParam>(bottoms);
  };
  for (const string param :
       {"", "out_max_val: true", "top_k: 5", "top_k: 5 out_max_val: true", "axis: 1 top_k: 4",
        "axis: 1 top_k: 4 out_max_val: true", "axis: 0", "axis: -1 top_k: 3", "axis: 1"}) {
    const string text = "type: 'ArgMax' argmax_param { " + param + " }";
    ExpectGpuEqualsCpu<TypeParam>(text, {{3, 5, 2, 7}}, 1, {});
    ExpectGpuEqualsCpu<TypeParam>(text, {{4, 37, 3}}, 1, {}, 0, fill);
  }
  ExpectGpuEqualsCpu<TypeParam>("type: 'ArgMax' argmax_param { axis: 1 }", {{3, 37, 41, 43}}, 1, {}, 0, fill);
  ExpectGpuEqualsCpu<TypeParam>("type: 'ArgMax' argmax_param { top_k: 33 }", {{2, 33}}, 1, {}, 0, fill);
  ExpectGpuEqualsCpu<TypeParam>("type: 'ArgMax'", {{2, 5003}}, 1, {}, 0, fill);
}

TYPED_TEST(GpuLayersTest, Reduction) {
  for (const string operation : {"SUM", "ASUM", "SUMSQ", "MEAN"}) {
    for (const string axis : {"", "axis: 1", "axis: -1"}) {
      const string text =
          "type: 'Reduction' reduction_param { coeff: 1.5 operation: " + operation + " " + axis + " }";
      for (const vector<int>& shape : vector<vector<int>>{{3, 5, 7}, {2, 41, 53}, {1}}) {
        if (shape.size() == 1 && axis == "axis: 1") continue;
        ExpectGpuEqualsCpu<TypeParam>(text, {shape}, 1, {true});
      }
    }
    ExpectGpuEqualsCpu<TypeParam>("type: 'Reduction' reduction_param { operation: " + operation + " }",
                                  {{3, 5, 7}}, 1, {false});
  }
}

TYPED_TEST(GpuLayersTest, Embed) {
  const auto fill = [](const vector<Blob<TypeParam>*>& bottoms) { FillIndices(11, bottoms[0]); };
  for (const string param : {"", "bias_term: false", "bias_filler { type: 'gaussian' }"}) {
    const string text =
        "type: 'Embed' embed_param { input_dim: 12 num_output: 5 weight_filler { type: 'gaussian' } " +
        param + " }";
    for (const vector<int>& shape : vector<vector<int>>{{3, 7}, {1}, {311}}) {
      ExpectGpuEqualsCpu<TypeParam>(text, {shape}, 1, {false}, 0, fill, GpuRun::kByHost);
    }
  }
}

TYPED_TEST(GpuLayersTest, SilenceAndParameter) {
  ExpectGpuEqualsCpu<TypeParam>("type: 'Silence'", {{3, 5}, {7}, {2, 2}}, 0, {true, false, true});
  ExpectGpuEqualsCpu<TypeParam>("type: 'Parameter' parameter_param { shape { dim: 3 dim: 5 } }", {}, 1, {});
}

}  // namespace caffe

#endif  // !CPU_ONLY
