#include <cmath>
#include <string>
#include <vector>

#include "caffe/layers/recurrent_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

const int kSteps = 4, kStreams = 2, kInputs = 3, kHidden = 2, kStatic = 2;

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// out[i] += the sum over j of weight[i, j] in[j]
template <typename Dtype>
void AddProduct(const Blob<Dtype>& weight, const std::vector<double>& in, std::vector<double>* out) {
  for (size_t i = 0; i < out->size(); ++i) {
    for (size_t j = 0; j < in.size(); ++j) (*out)[i] += weight.cpu_data()[i * in.size() + j] * in[j];
  }
}

}  // namespace

/// LSTM and RNN against plain statements of their recurrences, stream by stream.
template <typename TypeParam>
class RecurrentLayersTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;

  RecurrentLayersTest()
      : x_({kSteps, kStreams, kInputs}), cont_({kSteps, kStreams}), static_({kStreams, kStatic}) {
    Caffe::set_random_seed(11);
    FillNormal(&x_);
    FillNormal(&static_);
    // A second sequence starts in the middle of stream 1.
    const Dtype cont[] = {0, 0, 1, 1, 1, 0, 1, 1};
    std::copy_n(cont, kSteps * kStreams, cont_.mutable_cpu_data());
  }

  static string Text(const string& type, const string& more = "") {
    return "name: 'r' type: '" + type + "' recurrent_param { num_output: 2 " + more +
           " weight_filler { type: 'uniform' min: -0.5 max: 0.5 } bias_filler { type: 'uniform' min: -0.5 "
           "max: "
           "0.5 } }";
  }

  std::vector<double> Row(const Blob<Dtype>& blob, int row, int size) {
    return std::vector<double>(blob.cpu_data() + row * size, blob.cpu_data() + (row + 1) * size);
  }

  /// Outputs [step][stream][unit] from zero states.
  std::vector<double> Expected(const string& type, const vector<shared_ptr<Blob<Dtype>>>& blobs,
                               bool has_static) {
    const bool is_lstm = type == "LSTM";
    const int gates = is_lstm ? 4 * kHidden : kHidden;
    std::vector<double> outputs(kSteps * kStreams * kHidden);
    for (int n = 0; n < kStreams; ++n) {
      std::vector<double> h(kHidden), c(kHidden);
      for (int t = 0; t < kSteps; ++t) {
        const double cont = cont_.cpu_data()[t * kStreams + n];
        for (double& value : h) value *= cont;
        std::vector<double> sum = Row(*blobs[1], 0, gates);
        AddProduct(*blobs[0], Row(x_, t * kStreams + n, kInputs), &sum);
        if (has_static) AddProduct(*blobs[2], Row(static_, n, kStatic), &sum);
        AddProduct(*blobs[2 + has_static], h, &sum);
        std::vector<double> output(kHidden);
        for (int d = 0; d < kHidden; ++d) {
          if (is_lstm) {
            const double i = Sigmoid(sum[d]), f = Sigmoid(sum[kHidden + d]);
            const double o = Sigmoid(sum[2 * kHidden + d]), g = std::tanh(sum[3 * kHidden + d]);
            c[d] = cont * f * c[d] + i * g;
            h[d] = o * std::tanh(c[d]);
          } else {
            h[d] = std::tanh(sum[d]);
          }
        }
        if (is_lstm) {
          output = h;
        } else {
          output = Row(*blobs[4 + has_static], 0, kHidden);
          AddProduct(*blobs[3 + has_static], h, &output);
          for (double& value : output) value = std::tanh(value);
        }
        std::copy(output.begin(), output.end(), outputs.begin() + (t * kStreams + n) * kHidden);
      }
    }
    return outputs;
  }

  Blob<Dtype> x_, cont_, static_, top_;
};
TYPED_TEST_SUITE(RecurrentLayersTest, TestDtypesAndDevices);

TYPED_TEST(RecurrentLayersTest, ForwardIsTheRecurrence) {
  using Dtype = typename TypeParam::Dtype;
  for (const string type : {"LSTM", "RNN"}) {
    for (const bool has_static : {false, true}) {
      SCOPED_TRACE(type + (has_static ? " with static input" : ""));
      const auto layer = MakeLayer<Dtype>(this->Text(type));
      vector<Blob<Dtype>*> bottoms = {&this->x_, &this->cont_};
      if (has_static) bottoms.push_back(&this->static_);
      layer->SetUp(bottoms, {&this->top_});
      ASSERT_EQ(layer->blobs().size(), (type == "LSTM" ? 3u : 5u) + has_static);
      ASSERT_EQ(this->top_.shape(), (vector<int>{kSteps, kStreams, kHidden}));
      layer->Forward(bottoms, {&this->top_});
      ExpectNear(DataOf(this->top_), this->Expected(type, layer->blobs(), has_static), 1e-5);
    }
  }
}

TYPED_TEST(RecurrentLayersTest, GradientMatchesDifferences) {
  using Dtype = typename TypeParam::Dtype;
  const bool is_double = sizeof(Dtype) == 8;
  for (const string type : {"LSTM", "RNN"}) {
    for (const bool has_static : {false, true}) {
      SCOPED_TRACE(type + (has_static ? " with static input" : ""));
      const auto layer = MakeLayer<Dtype>(this->Text(type));
      vector<Blob<Dtype>*> bottoms = {&this->x_, &this->cont_};
      if (has_static) bottoms.push_back(&this->static_);
      layer->SetUp(bottoms, {&this->top_});
      // Both streams start in the first step, so that no state comes from the pass before.
      GradientChecker<Dtype> checker(is_double ? 1e-4 : 1e-2, is_double ? 1e-6 : 2e-2);
      for (int i = 0; i < this->top_.count(); ++i) {
        checker.CheckGradientSingle(layer.get(), bottoms, {&this->top_}, 0, 0, i);
        if (has_static) checker.CheckGradientSingle(layer.get(), bottoms, {&this->top_}, 2, 0, i);
      }
    }
  }
}

TYPED_TEST(RecurrentLayersTest, SequencesMayComeInPieces) {
  using Dtype = typename TypeParam::Dtype;
  for (const string type : {"LSTM", "RNN"}) {
    SCOPED_TRACE(type);
    const auto whole = MakeLayer<Dtype>(this->Text(type));
    whole->SetUp({&this->x_, &this->cont_}, {&this->top_});
    whole->Forward({&this->x_, &this->cont_}, {&this->top_});
    Blob<Dtype> x({1, kStreams, kInputs}), cont({1, kStreams}), top;
    const auto step = MakeLayer<Dtype>(this->Text(type));
    step->SetUp({&x, &cont}, {&top});
    for (size_t i = 0; i < step->blobs().size(); ++i) step->blobs()[i]->CopyFrom(*whole->blobs()[i]);
    for (int t = 0; t < kSteps; ++t) {
      std::copy_n(this->x_.cpu_data() + t * x.count(), x.count(), x.mutable_cpu_data());
      std::copy_n(this->cont_.cpu_data() + t * kStreams, kStreams, cont.mutable_cpu_data());
      step->Forward({&x, &cont}, {&top});
      for (int i = 0; i < top.count(); ++i) {
        EXPECT_NEAR(top.cpu_data()[i], this->top_.cpu_data()[t * top.count() + i], 1e-6);
      }
    }
    // Without its past the last step gives something else.
    dynamic_cast<RecurrentLayer<Dtype>*>(step.get())->Reset();
    step->Forward({&x, &cont}, {&top});
    EXPECT_NE(top.cpu_data()[0], this->top_.cpu_data()[(kSteps - 1) * top.count()]);
  }
}

TYPED_TEST(RecurrentLayersTest, ExposedStatesComeInAndGoOut) {
  using Dtype = typename TypeParam::Dtype;
  const auto layer = MakeLayer<Dtype>(this->Text("LSTM", "expose_hidden: true"));
  Blob<Dtype> h0({1, kStreams, kHidden}), c0({1, kStreams, kHidden}), h_last, c_last;
  FillNormal(&h0);
  FillNormal(&c0);
  caffe_set(kSteps * kStreams, Dtype(1), this->cont_.mutable_cpu_data());
  const vector<Blob<Dtype>*> bottoms = {&this->x_, &this->cont_, &h0, &c0};
  const vector<Blob<Dtype>*> tops = {&this->top_, &h_last, &c_last};
  layer->SetUp(bottoms, tops);
  layer->Forward(bottoms, tops);
  for (int i = 0; i < h_last.count(); ++i) {
    EXPECT_EQ(h_last.cpu_data()[i], this->top_.cpu_data()[(kSteps - 1) * h_last.count() + i]);
  }
  const bool is_double = sizeof(Dtype) == 8;
  GradientChecker<Dtype> checker(is_double ? 1e-4 : 1e-2, is_double ? 1e-6 : 2e-2);
  for (int bottom : {0, 2, 3}) {
    for (int top : {0, 1, 2}) checker.CheckGradientSingle(layer.get(), bottoms, tops, bottom, top, 1);
  }
}

TYPED_TEST(RecurrentLayersTest, RefusesMisfits) {
  using Dtype = typename TypeParam::Dtype;
  Blob<Dtype> flat(vector<int>{3}), short_cont({kSteps - 1, kStreams});
  const auto error = [&](const string& text, const vector<Blob<Dtype>*>& bottoms) {
    return ErrorOf([&] { MakeLayer<Dtype>(text)->SetUp(bottoms, {&this->top_}); });
  };
  EXPECT_NE(error(this->Text("LSTM"), {&flat, &this->cont_}).find("at least 2 axes"), string::npos);
  EXPECT_NE(error(this->Text("LSTM"), {&this->x_, &short_cont}).find("time steps"), string::npos);
  EXPECT_NE(error("name: 'r' type: 'RNN'", {&this->x_, &this->cont_}).find("num_output"), string::npos);
  const auto layer = MakeLayer<Dtype>(this->Text("RNN"));
  layer->SetUp({&this->x_, &this->cont_}, {&this->top_});
  EXPECT_NE(ErrorOf([&] {
              layer->Backward({&this->top_}, {true, true}, {&this->x_, &this->cont_});
            }).find("no gradient"),
            string::npos);
}

}  // namespace caffe
