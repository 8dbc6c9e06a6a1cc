// Layers that cuDNN computes on the GPU, beside the same ones on the CPU.
#ifdef USE_CUDNN

#include <memory>
#include <string>
#include <vector>

#include "caffe/layers/cudnn_batch_norm_layer.hpp"
#include "caffe/layers/cudnn_binary_conv_layer.hpp"
#include "caffe/layers/cudnn_conv_layer.hpp"
#include "caffe/layers/cudnn_lcn_layer.hpp"
#include "caffe/layers/cudnn_pooling_layer.hpp"
#include "caffe/net.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/cudnn_convolution.hpp"
#include "caffe/util/gpu_memory.hpp"
#include "environment_for_test.hpp"
#include "gpu_test_util.hpp"
#ifdef CAFFE_GPU_EMULATOR
#include "gpu_emulator.h"
#endif

namespace caffe {

// BatchNorm has no `engine` to ask for cuDNN's by.
template <typename Dtype>
class BatchNormByCudnnLayer : public CuDNNBatchNormLayer<Dtype> {
 public:
  explicit BatchNormByCudnnLayer(const LayerParameter& param) : CuDNNBatchNormLayer<Dtype>(param) {}
  const char* type() const override { return "BatchNormByCudnn"; }
};
REGISTER_LAYER_CLASS(BatchNormByCudnn);

// Nor is its way to find maxima that of layers by name.
template <typename Dtype>
class PoolingByCudnnLayer : public CuDNNPoolingLayer<Dtype> {
 public:
  explicit PoolingByCudnnLayer(const LayerParameter& param) : CuDNNPoolingLayer<Dtype>(param) {}
  const char* type() const override { return "PoolingByCudnn"; }
};
REGISTER_LAYER_CLASS(PoolingByCudnn);

template <typename Dtype>
class CudnnLayersTest : public ::testing::Test {
 protected:
  using Shape = vector<int>;

  // Sums of cuDNN's are in another order, and some of its algorithms transform what they multiply.
  static double Tolerance() { return sizeof(Dtype) == 8 ? 1e-10 : 1e-4; }

  void Expect(const string& text, const vector<Shape>& shapes, GpuRun run = GpuRun::kOnGpu) {
    ExpectGpuEqualsCpu<Dtype>(text, shapes, static_cast<int>(shapes.size()),
                              vector<bool>(shapes.size(), true), Tolerance(), nullptr, run);
  }
  void ExpectConvolution(const string& type, const string& settings, const vector<Shape>& shapes) {
    Expect("type: \"" + type +
               "\" convolution_param { engine: CUDNN weight_filler { type: \"gaussian\" std: 0.3 } "
               "bias_filler { type: \"gaussian\" } " +
               settings + " }",
           shapes);
  }
};

TYPED_TEST_SUITE(CudnnLayersTest, TestDtypes);

TYPED_TEST(CudnnLayersTest, Convolutions) {
  for (const string type : {"Convolution", "BinaryConvolution"}) {
    this->ExpectConvolution(type, "num_output: 5 kernel_size: 3", {{2, 3, 6, 5}});
    this->ExpectConvolution(type, "num_output: 4 kernel_size: 3 pad: 1 stride: 2 bias_term: false",
                            {{3, 3, 7, 8}});
    this->ExpectConvolution(type,
                            "num_output: 6 kernel_h: 1 kernel_w: 3 pad_h: 0 pad_w: 2 stride_h: 2 stride_w: 1",
                            {{2, 4, 5, 6}});
    this->ExpectConvolution(type, "num_output: 6 kernel_size: 3 group: 2 dilation: 2 pad: 2", {{2, 4, 7, 6}});
    this->ExpectConvolution(type, "num_output: 4 kernel_size: 3 pad: 1 group: 4", {{2, 4, 5, 5}});
    this->ExpectConvolution(type, "num_output: 3 kernel_size: 1", {{4, 5, 3, 3}, {4, 5, 3, 3}});
    this->ExpectConvolution(type, "num_output: 3 kernel_size: 4 stride: 2", {{2, 2, 11}});
  }
}

TYPED_TEST(CudnnLayersTest, Deconvolutions) {
  const string type = "Deconvolution";
  this->ExpectConvolution(type, "num_output: 5 kernel_size: 3", {{2, 3, 6, 5}});
  this->ExpectConvolution(type, "num_output: 4 kernel_size: 4 pad: 1 stride: 2 bias_term: false",
                          {{3, 3, 4, 5}});
  this->ExpectConvolution(type, "num_output: 6 kernel_h: 2 kernel_w: 3 stride_h: 3 stride_w: 1 group: 2",
                          {{2, 4, 3, 4}, {2, 4, 3, 4}});
  this->ExpectConvolution(type, "num_output: 3 kernel_size: 3 dilation: 2 pad: 1", {{2, 2, 5, 4}});
  this->ExpectConvolution(type, "num_output: 3 kernel_size: 4 stride: 2", {{2, 2, 5}});
}

TYPED_TEST(CudnnLayersTest, WhatItDoesNotConvolveIsOurs) {
  for (const string type : {"Convolution", "Deconvolution"}) {
    this->ExpectConvolution(type, "num_output: 3 kernel_size: 2", {{2, 2, 3, 4, 3}});
  }
}

TYPED_TEST(CudnnLayersTest, ConvolutionsWithinAnyLimit) {
  // Each time another shape, as choices are kept.
  {
    const EnvironmentForTest none("CAFFE_CUDNN_WORKSPACE_MB", "0");
    this->ExpectConvolution("Convolution", "num_output: 5 kernel_size: 3", {{2, 3, 9, 9}});
  }
  {
    const EnvironmentForTest limit("CAFFE_CUDNN_WORKSPACE_MB", "64");
    this->ExpectConvolution("Convolution", "num_output: 5 kernel_size: 3", {{2, 3, 9, 10}});
  }
  {
    const EnvironmentForTest search("CAFFE_CUDNN_SEARCH", "0");
    this->ExpectConvolution("Convolution", "num_output: 5 kernel_size: 3", {{2, 3, 9, 11}});
  }
}

TYPED_TEST(CudnnLayersTest, BadSettingsOfTheSearch) {
  SKIP_WITHOUT_GPU();
  const ModeForTest mode(Caffe::GPU);
  const auto error_of = [](const char* name, const char* value) {
    const EnvironmentForTest setting(name, value);
    LayerRun<TypeParam> conv(
        "name: \"conv1\" type: \"Convolution\" convolution_param { engine: CUDNN num_output: 2 "
        "kernel_size: 3 }",
        {{1, 2, 13, 12}});
    conv.SetUp();
    return ErrorOf([&] { conv.Forward(); });
  };
  EXPECT_TRUE(Contains(error_of("CAFFE_CUDNN_WORKSPACE_MB", "much"), "'much'"));
  EXPECT_TRUE(Contains(error_of("CAFFE_CUDNN_WORKSPACE_MB", "-1"), "conv1"));
  EXPECT_TRUE(Contains(error_of("CAFFE_CUDNN_SEARCH", "yes"), "CAFFE_CUDNN_SEARCH"));
  EXPECT_TRUE(Contains(error_of("CAFFE_TF32", "yes"), "CAFFE_TF32"));
}

TYPED_TEST(CudnnLayersTest, ConvolutionsFollowTheirShape) {
  SKIP_WITHOUT_GPU();
  const string text =
      "type: \"Convolution\" convolution_param { engine: CUDNN num_output: 3 kernel_size: 3 pad: 1 "
      "weight_filler { type: \"gaussian\" } }";
  const ModeForTest mode(Caffe::GPU);
  LayerRun<TypeParam> conv(text, {{2, 2, 5, 6}});
  conv.SetUp();
  for (const vector<int>& shape : {vector<int>{2, 2, 5, 6}, {3, 2, 4, 4}, {1, 2, 7, 3}, {2, 2, 5, 6}}) {
    conv.bottoms[0]->Reshape(shape);
    FillNormal(conv.bottoms[0]);
    conv.Forward();
    const vector<TypeParam> top = DataOf(*conv.tops[0]);
    const ModeForTest cpu(Caffe::CPU);
    conv.Forward();
    gpu_test::ExpectClose(top, DataOf(*conv.tops[0]), this->Tolerance(), "the top");
  }
}

TYPED_TEST(CudnnLayersTest, GradientsThatNobodyWants) {
  SKIP_WITHOUT_GPU();
  const ModeForTest mode(Caffe::GPU);
  LayerRun<TypeParam> conv(
      "type: \"Convolution\" convolution_param { engine: CUDNN num_output: 3 kernel_size: 3 }",
      {{2, 2, 5, 6}});
  conv.SetUp();
  conv.Forward();
  conv.layer->set_param_propagate_down(0, false);
  conv.layer->set_param_propagate_down(1, false);
  FillNormal(conv.tops[0]);
  std::copy_n(conv.tops[0]->cpu_data(), conv.tops[0]->count(), conv.tops[0]->mutable_cpu_diff());
  conv.Backward({false});
  EXPECT_EQ(0, conv.layer->blobs()[0]->asum_diff());
  EXPECT_EQ(0, conv.layer->blobs()[1]->asum_diff());
  EXPECT_EQ(0, conv.bottoms[0]->asum_diff());
}

TYPED_TEST(CudnnLayersTest, Pooling) {
  for (const string pool : {"MAX", "AVE"}) {
    for (const string settings : {"kernel_size: 2 stride: 2", "kernel_size: 3 stride: 1 pad: 1",
                                  "kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2", "global_pooling: true",
                                  // The last window reaches beyond the padding, and lies outside altogether.
                                  "kernel_size: 3 stride: 2", "kernel_size: 1 stride: 3"}) {
      this->Expect("type: \"PoolingByCudnn\" pooling_param { pool: " + pool + " " + settings + " }",
                   {{2, 3, 8, 6}});
    }
  }
  const string text = "type: \"PoolingByCudnn\" pooling_param { kernel_size: 2 stride: 2 }";
  // With the places as second top.
  ExpectGpuEqualsCpu<TypeParam>(text, {{2, 3, 4, 6}}, 2, {}, this->Tolerance());
}

// A net gives away what nobody reads any more, and layers in place overwrite what another layer made.
TYPED_TEST(CudnnLayersTest, NetsKeepWhatItReads) {
  SKIP_WITHOUT_GPU();
  const ModeForTest mode(Caffe::GPU);
  for (const string pool :
       {"PoolingByCudnn' pooling_param { pool: MAX", "PoolingByCudnn' pooling_param { pool: AVE",
        "Pooling' pooling_param { pool: MAX", "Pooling' pooling_param { engine: CUDNN pool: MAX"}) {
    SCOPED_TRACE(pool);
    const bool reads_maxima = Contains(pool, "PoolingByCudnn") && Contains(pool, "MAX");
    NetParameter param;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        R"(layer { name: 'data' type: 'DummyData' top: 'data' top: 'label' dummy_data_param {
             shape { dim: 4 dim: 3 dim: 8 dim: 8 } shape { dim: 4 }
             data_filler { type: 'gaussian' } data_filler { type: 'constant' value: 1 } } }
           layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param {
             num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } } }
           layer { name: 'bn1' type: 'BatchNormByCudnn' bottom: 'conv' top: 'bn1' }
           layer { name: 'bn2' type: 'BatchNormByCudnn' bottom: 'conv' top: 'bn2' }
           layer { name: 'sum' type: 'Eltwise' bottom: 'bn1' bottom: 'bn2' top: 'sum' }
           layer { name: 'pool' type: ')" +
            pool + R"( kernel_size: 2 stride: 2 } bottom: 'sum' top: 'pool' }
           layer { name: 'bn3' type: 'BatchNorm' bottom: 'pool' top: ')" +
            (reads_maxima ? "bn3" : "pool") + R"(' }
           layer { name: 'ip' type: 'InnerProduct' bottom: ')" +
            (reads_maxima ? "bn3" : "pool") + R"(' top: 'ip' inner_product_param {
             num_output: 3 weight_filler { type: 'xavier' } } }
           layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' })",
        &param));
    param.mutable_state()->set_phase(TRAIN);
    Net<TypeParam> plain(param), reusing(param);
    for (size_t i = 0; i < plain.params().size(); ++i) reusing.params()[i]->CopyFrom(*plain.params()[i]);
    reusing.set_reuses_memory(true);
    const auto gradients = [](Net<TypeParam>* net, Caffe::Brew brew) {
      const ModeForTest mode(brew);
      Caffe::set_random_seed(7);
      net->ClearParamDiffs();
      net->ForwardBackward();
      return DiffOf(*net->params()[0]);
    };
    for (int pass = 0; pass < 3; ++pass) {
      const vector<TypeParam> expected = gradients(&plain, Caffe::CPU);
      gpu_test::ExpectClose(gradients(&plain, Caffe::GPU), expected, this->Tolerance(), "the gradient");
      gpu_test::ExpectClose(gradients(&reusing, Caffe::GPU), expected, this->Tolerance(), "the gradient");
    }
  }
}

TYPED_TEST(CudnnLayersTest, Activations) {
  for (const string type : {"ReLU", "Sigmoid", "TanH"}) {
    string name = type;
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    const string text = "type: \"" + type + "\" " + name + "_param { engine: CUDNN }";
    this->Expect(text, {{2, 3, 4, 5}});
    this->Expect(text, {{2, 3}});
    this->Expect(text, {{7}});
    this->Expect(text, {{2, 3, 2, 2, 3}});
    this->Expect(text, {{2, 3, 4, 5}}, GpuRun::kInPlace);
  }
  this->Expect("type: \"ReLU\" relu_param { engine: CUDNN negative_slope: 0.1 }", {{2, 3, 4, 5}});
}

TYPED_TEST(CudnnLayersTest, Softmax) {
  for (const string axis : {"0", "1", "2", "-1"}) {
    const string text = "type: \"Softmax\" softmax_param { engine: CUDNN axis: " + axis + " }";
    this->Expect(text, {{2, 5, 3, 4}});
    this->Expect(text, {{3, 4, 2}}, GpuRun::kInPlace);
  }
  this->Expect("type: \"Softmax\" softmax_param { engine: CUDNN }", {{4, 10}});
}

TYPED_TEST(CudnnLayersTest, LocalResponseNormalization) {
  for (const string settings :
       {"local_size: 5 alpha: 0.5 beta: 0.75", "local_size: 3 alpha: 2 beta: 0.5 k: 2",
        // What cuDNN does not take.
        "local_size: 17 alpha: 0.5 beta: 0.75", "local_size: 3 alpha: 0.5 beta: 0.001",
        "local_size: 3 k: 0"}) {
    this->Expect("type: \"LRN\" lrn_param { engine: CUDNN " + settings + " }", {{2, 7, 3, 4}});
  }
  for (const string settings :
       {"local_size: 3 alpha: 0.5 beta: 0.75", "local_size: 5 alpha: 2 beta: 0.5 k: 2",
        "local_size: 17 alpha: 0.5 beta: 0.75"}) {
    this->Expect("type: \"LRN\" lrn_param { engine: CUDNN norm_region: WITHIN_CHANNEL " + settings + " }",
                 {{2, 3, 6, 7}});
  }
}

TYPED_TEST(CudnnLayersTest, BatchNorm) {
  const string type = "type: \"BatchNormByCudnn\" ";
  for (const string settings :
       {"phase: TRAIN", "phase: TRAIN batch_norm_param { moving_average_fraction: 0.9 eps: 0.01 }",
        "phase: TEST batch_norm_param { eps: 0.5 }",
        "phase: TRAIN batch_norm_param { use_global_stats: true eps: 0.1 }"}) {
    this->Expect(type + settings, {{4, 3, 5, 2}});
    this->Expect(type + settings, {{9, 3}});
    this->Expect(type + settings, {{12}});
    this->Expect(type + settings, {{4, 3, 2, 2, 3}});
    this->Expect(type + settings, {{4, 3, 5, 2}}, GpuRun::kInPlace);
  }
  // A single value of each channel.
  this->Expect(type + "phase: TRAIN", {{1, 3}});
}

TYPED_TEST(CudnnLayersTest, EmptyBatches) {
  SKIP_WITHOUT_GPU();
  const ModeForTest mode(Caffe::GPU);
  for (const string text :
       {"type: \"Convolution\" convolution_param { engine: CUDNN num_output: 2 kernel_size: 3 }",
        "type: \"Deconvolution\" convolution_param { engine: CUDNN num_output: 2 kernel_size: 3 }",
        "type: \"PoolingByCudnn\" pooling_param { kernel_size: 2 }",
        "type: \"ReLU\" relu_param { engine: CUDNN }", "type: \"Sigmoid\" sigmoid_param { engine: CUDNN }",
        "type: \"TanH\" tanh_param { engine: CUDNN }", "type: \"Softmax\" softmax_param { engine: CUDNN }",
        "type: \"LRN\" lrn_param { engine: CUDNN }",
        "type: \"LRN\" lrn_param { engine: CUDNN norm_region: WITHIN_CHANNEL }",
        "type: \"BatchNormByCudnn\" phase: TRAIN"}) {
    LayerRun<TypeParam> layer(text, {{2, 2, 4, 4}});
    layer.SetUp();
    layer.bottoms[0]->Reshape({0, 2, 4, 4});
    EXPECT_EQ("", ErrorOf([&] {
                layer.Forward();
                layer.Backward({true});
              }))
        << text;
    EXPECT_EQ(0, layer.tops[0]->count());
  }
}

TYPED_TEST(CudnnLayersTest, BatchNormKeepsStatistics) {
  SKIP_WITHOUT_GPU();
  const string text =
      "type: \"BatchNormByCudnn\" phase: TRAIN batch_norm_param { moving_average_fraction: 0.7 }";
  LayerRun<TypeParam> cpu(text, {{3, 4, 5, 2}}), gpu(text, {{3, 4, 5, 2}});
  const auto run = [&](LayerRun<TypeParam>* layer, Caffe::Brew brew) {
    const ModeForTest mode(brew);
    layer->SetUp();
    Caffe::set_random_seed(1701);
    for (int step = 0; step < 3; ++step) {
      FillNormal(layer->bottoms[0]);
      layer->Forward();
    }
  };
  run(&cpu, Caffe::CPU);
  run(&gpu, Caffe::GPU);
  for (int i = 0; i < 3; ++i) {
    gpu_test::ExpectClose(DataOf(*gpu.layer->blobs()[i]), DataOf(*cpu.layer->blobs()[i]), this->Tolerance(),
                          "statistics");
  }
}

// Whether these settings make a layer of this class.
template <typename Class, typename Dtype>
bool IsA(const string& settings) {
  return dynamic_cast<Class*>(MakeLayer<Dtype>(settings).get()) != nullptr;
}

TYPED_TEST(CudnnLayersTest, TheEngineSaysWhetherCudnnComputes) {
  typedef CuDNNConvolutionLayer<TypeParam> Convolution;
  typedef CuDNNLCNLayer<TypeParam> WithinChannel;
  const auto text = [](const string& engine) {
    return "type: \"Convolution\" convolution_param { num_output: 1 kernel_size: 1 " + engine + " }";
  };
  EXPECT_TRUE((IsA<Convolution, TypeParam>(text("engine: CUDNN"))));
  EXPECT_FALSE((IsA<Convolution, TypeParam>(text("engine: CAFFE"))));
  EXPECT_FALSE((IsA<Convolution, TypeParam>(text("engine: CUDNN force_nd_im2col: true"))));
  EXPECT_TRUE((IsA<WithinChannel, TypeParam>(
      "type: \"LRN\" lrn_param { norm_region: WITHIN_CHANNEL engine: CUDNN }")));
  EXPECT_FALSE((IsA<WithinChannel, TypeParam>("type: \"LRN\" lrn_param { norm_region: WITHIN_CHANNEL }")));
  typedef CuDNNPoolingLayer<TypeParam> Pooling;
  const string pooling = "type: \"Pooling\" pooling_param { engine: CUDNN kernel_size: 2 pool: ";
  EXPECT_TRUE((IsA<Pooling, TypeParam>(pooling + "AVE }")));
  EXPECT_FALSE((IsA<Pooling, TypeParam>(pooling + "MAX }")));
#ifndef CAFFE_GPU_EMULATOR
  EXPECT_TRUE((IsA<Convolution, TypeParam>(text(""))));
#endif
  const EnvironmentForTest engine("CAFFE_ENGINE", "CAFFE");
  EXPECT_FALSE((IsA<Convolution, TypeParam>(text(""))));
  EXPECT_TRUE((IsA<Convolution, TypeParam>(text("engine: CUDNN"))));
}

// A convolution of one pixel of each channel, by cuDNN itself.
class PointConvolution {
 public:
  PointConvolution(int channels, int size, float value) : channels_(channels), size_(size) {
    convolution_.SetShape({1, channels, size, size, channels, size, size, channels, 1, 1, 1, 1, 0, 0, 1, 1});
    for (Blob<float>* const blob : {&images_, &gradients_}) blob->Reshape({1, channels, size, size});
    for (Blob<float>* const blob : {&weights_, &weight_diff_}) blob->Reshape({channels, 1, 1, 1});
    for (Blob<float>* const blob : {&images_, &weights_})
      caffe_set(blob->count(), value, blob->mutable_cpu_data());
    caffe_set(weight_diff_.count(), 0.0f, weight_diff_.mutable_cpu_data());
    // On the GPU before memory may be short.
    for (Blob<float>* const blob : {&images_, &weights_, &gradients_, &weight_diff_}) blob->gpu_data();
  }

  // Results of all three passes: a value times itself, and a sum of these.
  vector<float> Run() {
    EXPECT_TRUE(
        convolution_.Convolve(images_.gpu_data(), weights_.gpu_data(), gradients_.mutable_gpu_data()));
    vector<float> results = {gradients_.cpu_data()[0]};
    EXPECT_TRUE(convolution_.ConvolveTransposed(images_.gpu_data(), weights_.gpu_data(),
                                                gradients_.mutable_gpu_data()));
    results.push_back(gradients_.cpu_data()[0]);
    EXPECT_TRUE(convolution_.AddWeightGradient(images_.gpu_data(), images_.gpu_data(),
                                               weight_diff_.mutable_gpu_data()));
    results.push_back(weight_diff_.cpu_data()[0] / static_cast<float>(size_ * size_));
    return results;
  }

 private:
  const int channels_, size_;
  cudnn::Convolution<float> convolution_;
  Blob<float> images_, weights_, gradients_, weight_diff_;
};

// cuDNN lists algorithms with TF32 and less as well, whatever it is asked for.
TEST(CudnnConvolutionTest, MultipliesFloatsAsFloats) {
  SKIP_WITHOUT_GPU();
  const ModeForTest mode(Caffe::GPU);
  // Each with another shape, as choices are kept.
  for (const auto& [search, channels] : {std::make_pair("1", 2), {"0", 3}}) {
    const EnvironmentForTest searches("CAFFE_CUDNN_SEARCH", search);
    const float value = 1 + 1.0f / 4096;
    for (const float result : PointConvolution(channels, 2, value).Run()) EXPECT_EQ(value * value, result);
  }
}

#ifdef CAFFE_GPU_EMULATOR

TEST(CudnnConvolutionTest, MultipliesAsTF32WhereItIsAllowed) {
  const ModeForTest mode(Caffe::GPU);
  const EnvironmentForTest tf32("CAFFE_TF32", "1");
  for (const float result : PointConvolution(2, 2, 1 + 1.0f / 4096).Run()) EXPECT_EQ(1, result);
  // Numbers of 16 bits do not go so far.
  for (const float result : PointConvolution(4, 2, 65536 * 4).Run()) EXPECT_EQ(std::exp2(36.0f), result);
}

TEST(CudnnConvolutionTest, SearchesInTheMemoryThatThereIs) {
  const ModeForTest mode(Caffe::GPU);
  const EnvironmentForTest limit("CAFFE_CUDNN_WORKSPACE_MB", "64");
  constexpr int kSize = 256, kBytes = kSize * kSize * 4;
  const auto leave = [](size_t bytes) {
    const GpuMemoryRoom room = GetGpuMemoryRoom();
    gpu_emulator::SetDeviceMemory(room.total - room.free + bytes);
  };
  // The fastest algorithm takes as much as the images.
  PointConvolution convolution(1, kSize, 3), other(1, kSize + 1, 3);
  leave(kBytes / 2);
  for (const float result : convolution.Run()) EXPECT_EQ(9, result);
  leave(0);
  EXPECT_TRUE(Contains(ErrorOf([&] { other.Run(); }), "has not enough memory"));
  gpu_emulator::SetDeviceMemory(size_t{8} << 30);
}

TYPED_TEST(CudnnLayersTest, WorkOnTheCpuWhereThereIsNoGpu) {
  const ModeForTest mode(Caffe::CPU);
  gpu_emulator::SetDeviceCount(0);
  for (const string type : {"Convolution", "Deconvolution", "BinaryConvolution"}) {
    LayerRun<TypeParam> conv(
        "type: \"" + type + "\" convolution_param { engine: CUDNN num_output: 2 kernel_size: 3 }",
        {{2, 2, 5, 6}});
    EXPECT_EQ("", ErrorOf([&] {
                conv.SetUp();
                conv.Forward();
                conv.Backward({true});
              }));
  }
  for (const string text :
       {"type: \"PoolingByCudnn\" pooling_param { kernel_size: 2 }",
        "type: \"ReLU\" relu_param { engine: CUDNN }", "type: \"BatchNormByCudnn\" phase: TRAIN",
        "type: \"LRN\" lrn_param { engine: CUDNN }", "type: \"Softmax\" softmax_param { engine: CUDNN }"}) {
    LayerRun<TypeParam> layer(text, {{2, 2, 4, 4}});
    EXPECT_EQ("", ErrorOf([&] {
                layer.SetUp();
                layer.Forward();
                layer.Backward({true});
              }));
  }
  gpu_emulator::SetDeviceCount(2);
}

#endif  // CAFFE_GPU_EMULATOR

}  // namespace caffe

#endif  // USE_CUDNN
