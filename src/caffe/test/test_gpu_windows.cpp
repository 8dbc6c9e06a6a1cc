// Layers that look at windows of images or at channels, on the GPU and on the CPU.
#include "caffe/util/device_alternate.hpp"

#ifndef CPU_ONLY

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "gpu_test_util.hpp"

namespace caffe {

namespace {

class Random {
 public:
  /// From first to last.
  int operator()(int first, int last) { return std::uniform_int_distribution<int>(first, last)(generator_); }

 private:
  std::mt19937 generator_{1701};
};

string Repeated(const string& name, const vector<int>& values) {
  string text;
  for (const int value : values) text += name + ": " + std::to_string(value) + " ";
  return text;
}

struct RandomWindows {
  vector<int> shape;  // of the bottom
  string settings;
};

// A bottom and the settings of a convolution that fits, or of a deconvolution.
RandomWindows MakeWindows(int axes, bool deconvolution, Random* random) {
  const int group = (*random)(1, 3);
  RandomWindows windows;
  windows.shape = {(*random)(1, 4), group * (*random)(1, 3)};
  vector<int> kernel, stride, pad, dilation;
  for (int i = 0; i < axes; ++i) {
    kernel.push_back((*random)(1, 3));
    stride.push_back((*random)(1, 3));
    dilation.push_back((*random)(1, 3));
    const int extent = dilation[i] * (kernel[i] - 1) + 1;
    pad.push_back((*random)(0, deconvolution ? (extent - 1) / 2 : 2));
    const int least = deconvolution ? 1 : std::max(extent - 2 * pad[i], 1);
    windows.shape.push_back(least + (*random)(0, axes > 2 ? 3 : 6));
  }
  windows.settings = "num_output: " + std::to_string(group * (*random)(1, 3)) +
                     " group: " + std::to_string(group) + " " + Repeated("kernel_size", kernel) +
                     Repeated("stride", stride) + Repeated("pad", pad) + Repeated("dilation", dilation) +
                     ((*random)(0, 3) == 0 ? "bias_term: false " : "");
  return windows;
}

const char kFillers[] = "weight_filler { type: 'gaussian' std: 0.5 } bias_filler { type: 'gaussian' } ";

template <typename Dtype>
void MakePositive(const vector<Blob<Dtype>*>& bottoms) {
  Dtype* values = bottoms[0]->mutable_cpu_data();
  for (int i = 0; i < bottoms[0]->count(); ++i) values[i] = std::max<Dtype>(values[i], 0);
}

template <typename Dtype>
BottomFiller<Dtype> FarFromZero() {
  return [](const vector<Blob<Dtype>*>& bottoms) {
    Dtype* values = bottoms[0]->mutable_cpu_data();
    for (int i = 0; i < bottoms[0]->count(); ++i) values[i] = 50 + values[i] / 8;
  };
}

}  // namespace

template <typename Dtype>
class GpuWindowsTest : public ::testing::Test {
 protected:
  void Expect(const string& text, const vector<vector<int>>& shapes, int num_tops = 1,
              const BottomFiller<Dtype>& fill = nullptr, GpuRun run = GpuRun::kOnGpu) {
    ExpectGpuEqualsCpu<Dtype>(text, shapes, num_tops, vector<bool>(shapes.size(), true), 0, fill, run);
  }
};
TYPED_TEST_SUITE(GpuWindowsTest, TestDtypes);

TYPED_TEST(GpuWindowsTest, Convolution) {
  Random random;
  for (int i = 0; i < 60; ++i) {
    const RandomWindows windows = MakeWindows(i % 5 == 4   ? 4
                                              : i % 5 == 3 ? 3
                                              : i % 5 == 2 ? 1
                                                           : 2,
                                              false, &random);
    const string param = " convolution_param { " + windows.settings + kFillers + "engine: CAFFE }";
    this->Expect("type: 'Convolution'" + param, {windows.shape});
  }
}

TYPED_TEST(GpuWindowsTest, Deconvolution) {
  Random random;
  for (int i = 0; i < 60; ++i) {
    const RandomWindows windows = MakeWindows(i % 5 == 4   ? 4
                                              : i % 5 == 3 ? 3
                                              : i % 5 == 2 ? 1
                                                           : 2,
                                              true, &random);
    const string param = " convolution_param { " + windows.settings + kFillers + "engine: CAFFE }";
    this->Expect("type: 'Deconvolution'" + param, {windows.shape});
  }
}

TYPED_TEST(GpuWindowsTest, Im2col) {
  Random random;
  for (int i = 0; i < 30; ++i) {
    const RandomWindows windows = MakeWindows(i % 3 + 1, false, &random);
    this->Expect("type: 'Im2col' convolution_param { " + windows.settings + "}", {windows.shape});
  }
}

TYPED_TEST(GpuWindowsTest, PointwiseConvolution) {
  for (const string type : {"Convolution", "Deconvolution"}) {
    // Fewer images than groups, and more.
    for (const int images : {1, 2, 5}) {
      for (const int group : {1, 2, 4}) {
        for (const string bias : {"", "bias_term: false "}) {
          const string param = "num_output: 8 kernel_size: 1 group: " + std::to_string(group) + " " + bias;
          this->Expect("type: '" + type + "' convolution_param { " + param + kFillers + "engine: CAFFE }",
                       {{images, 12, 3, 5}});
        }
      }
    }
    this->Expect("type: '" + type + "' convolution_param { num_output: 3 kernel_size: 1 axis: 2 " + kFillers +
                     "engine: CAFFE }",
                 {{2, 3, 4, 5}});
  }
}

TYPED_TEST(GpuWindowsTest, ConvolutionOfSeveralBottoms) {
  this->Expect("type: 'Convolution' convolution_param { num_output: 4 kernel_size: 3 pad: 1 " +
                   string(kFillers) + "engine: CAFFE }",
               {{2, 3, 5, 6}, {2, 3, 5, 6}}, 2);
}

// The columns of all images do not fit into the room for them, and those of the last one are fewer.
TEST(GpuConvolutionTest, ManyImages) {
  ExpectGpuEqualsCpu<float>(
      "type: 'Convolution' convolution_param { num_output: 10 kernel_size: 3 group: 5 " + string(kFillers) +
          "engine: CAFFE }",
      {{3, 30, 110, 110}}, 1, {true});
  ExpectGpuEqualsCpu<float>("type: 'Deconvolution' convolution_param { num_output: 30 kernel_size: 3 " +
                                string(kFillers) + "engine: CAFFE }",
                            {{3, 3, 108, 108}}, 1, {true});
}

TYPED_TEST(GpuWindowsTest, GradientsByOneOnly) {
  const string text = "type: 'Convolution' convolution_param { num_output: 4 kernel_size: 3 " +
                      string(kFillers) + "engine: CAFFE }";
  ExpectGpuEqualsCpu<TypeParam>(text, {{2, 3, 5, 6}}, 1, {false});
  ExpectGpuEqualsCpu<TypeParam>("param { lr_mult: 0 } " + text, {{2, 3, 5, 6}}, 1, {true});
}

TYPED_TEST(GpuWindowsTest, InnerProduct) {
  for (const string settings : {"", "bias_term: false ", "transpose: true ", "axis: 2 ", "axis: -1 "}) {
    this->Expect("type: 'InnerProduct' inner_product_param { num_output: 7 " + settings + kFillers + "}",
                 {{3, 2, 5, 4}});
    this->Expect("type: 'InnerProduct' inner_product_param { num_output: 3 " + settings + kFillers + "}",
                 {{70, 1, 3, 2}});
  }
}

TYPED_TEST(GpuWindowsTest, Pooling) {
  const vector<string> windows = {
      "kernel_size: 2 stride: 2",
      "kernel_size: 3 stride: 2",
      "kernel_size: 3 stride: 1 pad: 2",
      "kernel_h: 2 kernel_w: 4 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 2",
      "kernel_size: 3 stride: 2 round_mode: FLOOR",
      "kernel_size: 1 stride: 3",
      "global_pooling: true",
  };
  for (const string& window : windows) {
    for (const vector<int>& shape : {vector<int>{2, 3, 7, 9}, vector<int>{1, 2, 4, 4}}) {
      const auto text = [&](const string& method) {
        return "type: 'Pooling' pooling_param { engine: CAFFE pool: " + method + " " + window + " }";
      };
      this->Expect(text("MAX"), {shape});
      this->Expect(text("AVE"), {shape});
      // The second top has no gradient.
      this->Expect(text("MAX"), {shape}, 2);
      if (window.find("pad") == string::npos) {
        this->Expect("phase: TEST " + text("STOCHASTIC"), {shape}, 1, MakePositive<TypeParam>);
      }
    }
  }
}

TYPED_TEST(GpuWindowsTest, LocalResponseNormalization) {
  for (const string settings : {"local_size: 5", "local_size: 3 alpha: 0.7 beta: 0.6 k: 2", "local_size: 1",
                                "local_size: 15 alpha: 2"}) {
    for (const string region : {"ACROSS_CHANNELS", "WITHIN_CHANNEL"}) {
      this->Expect("type: 'LRN' lrn_param { engine: CAFFE norm_region: " + region + " " + settings + " }",
                   {{2, 7, 6, 5}});
    }
  }
}

TYPED_TEST(GpuWindowsTest, MeanVarianceNormalization) {
  for (const string settings : {"", "across_channels: true", "normalize_variance: false",
                                "across_channels: true normalize_variance: false"}) {
    const string text = "type: 'MVN' mvn_param { " + settings + " }";
    for (const vector<int>& shape :
         {vector<int>{2, 3, 5, 7}, vector<int>{1, 2, 60, 71}, vector<int>{3, 2, 1, 3}}) {
      this->Expect(text, {shape});
      this->Expect(text, {shape}, 1, nullptr, GpuRun::kInPlace);
    }
  }
}

TYPED_TEST(GpuWindowsTest, BatchNorm) {
  for (const string settings :
       {"use_global_stats: false", "moving_average_fraction: 0.5 eps: 0.01", "use_global_stats: true"}) {
    const string text = "type: 'BatchNorm' batch_norm_param { " + settings + " }";
    for (const vector<int>& shape :
         {vector<int>{5, 3, 4, 7}, vector<int>{70, 3}, vector<int>{9}, vector<int>{3, 2, 61, 53}}) {
      this->Expect(text, {shape});
      this->Expect(text, {shape}, 1, nullptr, GpuRun::kInPlace);
    }
  }
}

TYPED_TEST(GpuWindowsTest, BatchNormKeepsTheDigitsOfASmallVariance) {
  const double tolerance = sizeof(TypeParam) == 8 ? 1e-11 : 1e-4;
  const string text = "type: 'BatchNorm' batch_norm_param { use_global_stats: false }";
  ExpectGpuEqualsCpu<TypeParam>(text, {{8, 3, 50, 50}}, 1, {true}, tolerance, FarFromZero<TypeParam>());
}

TYPED_TEST(GpuWindowsTest, Scale) {
  const string filler = "filler { type: 'gaussian' } bias_filler { type: 'gaussian' } ";
  for (const string bias : {"", "bias_term: true "}) {
    for (const string axes : {"axis: 1 num_axes: 1 ", "axis: 0 ", "axis: 2 ", "axis: 1 num_axes: 2 ",
                              "axis: 0 num_axes: -1 ", "num_axes: 0 "}) {
      const string text = "type: 'Scale' scale_param { " + axes + bias + filler + "}";
      this->Expect(text, {{5, 3, 4, 7}});
      this->Expect(text, {{5, 3, 4, 7}}, 1, nullptr, GpuRun::kInPlace);
    }
    this->Expect("type: 'Scale' scale_param { axis: 0 " + bias + "}", {{4, 3, 5}, {4}});
    this->Expect("type: 'Scale' scale_param { axis: 1 " + bias + "}", {{4, 3, 5}, {3, 5}});
    this->Expect("type: 'Scale' scale_param { axis: 0 " + bias + "}", {{4, 3, 5}, {}});
  }
}

#ifdef CAFFE_GPU_EMULATOR

TYPED_TEST(GpuWindowsTest, ScaleKeepsItsBottomInTheKernelThatOverwritesIt) {
  const ModeForTest mode(Caffe::GPU);
  LayerFixture<TypeParam> scale("type: 'Scale' scale_param { bias_term: true }", {5, 3, 4, 7});
  scale.tops = scale.bottoms;
  scale.SetUp();
  scale.Forward();  // Takes memory.
  EXPECT_EQ(CountOnGpu([&] { scale.Forward(); }), 1u);
}

#endif  // CAFFE_GPU_EMULATOR

TYPED_TEST(GpuWindowsTest, Bias) {
  for (const string axes : {"axis: 1 num_axes: 1 ", "axis: 0 num_axes: -1 ", "axis: 2 ", "num_axes: 0 "}) {
    const string text = "type: 'Bias' bias_param { " + axes + "filler { type: 'gaussian' } }";
    this->Expect(text, {{5, 3, 4, 7}});
    this->Expect(text, {{5, 3, 4, 7}}, 1, nullptr, GpuRun::kInPlace);
  }
  this->Expect("type: 'Bias' bias_param { axis: 1 }", {{4, 3, 5}, {3}});
}

TYPED_TEST(GpuWindowsTest, SpatialPyramidPooling) {
  for (const string pool : {"MAX", "AVE"}) {
    for (const int height : {1, 2, 3}) {
      this->Expect("type: 'SPP' spp_param { engine: CAFFE pool: " + pool +
                       " pyramid_height: " + std::to_string(height) + " }",
                   {{2, 3, 9, 7}});
    }
  }
}

TYPED_TEST(GpuWindowsTest, Recurrent) {
  // Sequences that start within the batch and before it.
  const BottomFiller<TypeParam> fill = [](const vector<Blob<TypeParam>*>& bottoms) {
    for (int i = 0; i < bottoms[1]->count(); ++i) bottoms[1]->mutable_cpu_data()[i] = i % 4 != 1;
  };
  for (const string type : {"RNN", "LSTM"}) {
    const string text = "type: '" + type + "' recurrent_param { num_output: 5 " + kFillers + "}";
    ExpectGpuEqualsCpu<TypeParam>(text, {{4, 3, 2}, {4, 3}}, 1, {true, false}, 0, fill);
    ExpectGpuEqualsCpu<TypeParam>(text, {{4, 3, 2}, {4, 3}, {3, 6}}, 1, {true, false, true}, 0, fill);
  }
}

TYPED_TEST(GpuWindowsTest, LstmUnit) {
  const BottomFiller<TypeParam> fill = [](const vector<Blob<TypeParam>*>& bottoms) {
    for (int i = 0; i < bottoms[2]->count(); ++i) bottoms[2]->mutable_cpu_data()[i] = i % 3 != 0;
  };
  ExpectGpuEqualsCpu<TypeParam>("type: 'LSTMUnit'", {{1, 5, 7}, {1, 5, 28}, {1, 5}}, 2, {true, true, false},
                                0, fill);
}

namespace {

// Computes image by image, as layers written against Caffe do.
template <typename Dtype>
class ImageByImage : public ConvolutionLayer<Dtype> {
 public:
  using ConvolutionLayer<Dtype>::ConvolutionLayer;

 protected:
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override {
    const Dtype* weights = this->blobs_[0]->gpu_data();
    for (int n = 0; n < this->num_; ++n) {
      const Dtype* input = bottom[0]->gpu_data() + n * this->bottom_dim_;
      Dtype* output = top[0]->mutable_gpu_data() + n * this->top_dim_;
      this->forward_gpu_gemm(input, weights, output);
      // Once more, with the columns that there are.
      caffe_gpu_set(this->top_dim_, Dtype(0), output);
      this->forward_gpu_gemm(input, weights, output, !this->is_1x1_);
      this->forward_gpu_bias(output, this->blobs_[1]->gpu_data());
    }
  }
  void Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>&,
                    const vector<Blob<Dtype>*>& bottom) override {
    for (int n = 0; n < this->num_; ++n) {
      const Dtype* top_diff = top[0]->gpu_diff() + n * this->top_dim_;
      this->backward_gpu_bias(this->blobs_[1]->mutable_gpu_diff(), top_diff);
      this->weight_gpu_gemm(bottom[0]->gpu_data() + n * this->bottom_dim_, top_diff,
                            this->blobs_[0]->mutable_gpu_diff());
      this->backward_gpu_gemm(top_diff, this->blobs_[0]->gpu_data(),
                              bottom[0]->mutable_gpu_diff() + n * this->bottom_dim_);
    }
  }
};

}  // namespace

TYPED_TEST(GpuWindowsTest, SubclassesMayConvolveImageByImage) {
  SKIP_WITHOUT_GPU();
  const ModeForTest mode(Caffe::GPU);
  for (const string settings : {"kernel_size: 3 pad: 1 stride: 2 ", "kernel_size: 2 group: 3 ",
                                "kernel_size: 1 group: 3 ", "kernel_size: 1 "}) {
    const string text =
        "type: 'Convolution' convolution_param { num_output: 6 " + settings + kFillers + "engine: CAFFE }";
    LayerRun<TypeParam> whole(text, {{3, 6, 5, 7}}), single(text, {{3, 6, 5, 7}});
    single.layer = std::make_shared<ImageByImage<TypeParam>>(LayerFromText(text));
    single.bottoms[0]->CopyFrom(*whole.bottoms[0]);
    whole.SetUp();
    single.SetUp();
    for (int i = 0; i < 2; ++i) {
      single.layer->blobs()[i]->CopyFrom(*whole.layer->blobs()[i]);
      for (const auto& layer : {whole.layer, single.layer}) {
        caffe_gpu_set(layer->blobs()[i]->count(), TypeParam(0), layer->blobs()[i]->mutable_gpu_diff());
      }
    }
    whole.Forward();
    single.Forward();
    ExpectNear(DataOf(*single.tops[0]), DataOf(*whole.tops[0]), 1e-4);
    for (const auto& run : {&whole, &single}) {
      for (int i = 0; i < run->tops[0]->count(); ++i) run->tops[0]->mutable_cpu_diff()[i] = i % 7 - 3;
      run->Backward({true});
    }
    ExpectNear(DiffOf(*single.bottoms[0]), DiffOf(*whole.bottoms[0]), 1e-4);
    for (int i = 0; i < 2; ++i) {
      ExpectNear(DiffOf(*single.layer->blobs()[i]), DiffOf(*whole.layer->blobs()[i]), 1e-3);
    }
  }
}

}  // namespace caffe

#endif  // !CPU_ONLY
