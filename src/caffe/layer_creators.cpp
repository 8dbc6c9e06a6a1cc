// Layers that compute by the project's own code or, on a GPU, by cuDNN, as their `engine` says.
#include "caffe/layer_factory.hpp"
#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/binary_conv_layer.hpp"
#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/cudnn_batch_norm_layer.hpp"
#include "caffe/layers/cudnn_binary_conv_layer.hpp"
#include "caffe/layers/cudnn_conv_layer.hpp"
#include "caffe/layers/cudnn_deconv_layer.hpp"
#include "caffe/layers/cudnn_lcn_layer.hpp"
#include "caffe/layers/cudnn_lrn_layer.hpp"
#include "caffe/layers/cudnn_pooling_layer.hpp"
#include "caffe/layers/cudnn_relu_layer.hpp"
#include "caffe/layers/cudnn_sigmoid_layer.hpp"
#include "caffe/layers/cudnn_softmax_layer.hpp"
#include "caffe/layers/cudnn_tanh_layer.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "caffe/layers/lrn_layer.hpp"
#include "caffe/layers/pooling_layer.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/layers/sigmoid_layer.hpp"
#include "caffe/layers/softmax_layer.hpp"
#include "caffe/layers/tanh_layer.hpp"
#include "caffe/util/engine_choice.hpp"

namespace caffe {

namespace {

// What takes the place of a layer's class where cuDNN may compute. On the CPU it is the same.
#ifdef USE_CUDNN
#define CAFFE_CUDNN_LAYER(type) CuDNN##type##Layer
#else
#define CAFFE_CUDNN_LAYER(type) type##Layer
#endif

// Whether cuDNN may compute, for the `engine` of some layer: their types have the same values.
template <typename Engine>
bool MayUseCudnn(Engine engine) {
  const bool asks_for_it = static_cast<int>(engine) == ConvolutionParameter_Engine_CUDNN;
#ifndef USE_CUDNN
  CHECK(!asks_for_it || Caffe::mode() != Caffe::GPU) << "engine: CUDNN needs cuDNN, without which Caffe was "
                                                        "built: use engine: DEFAULT, or install cuDNN 9 and "
                                                        "build again";
#endif
#ifdef CAFFE_GPU_EMULATOR
  // The imitation is not faster: without it, what is tested is the project's own code.
  return asks_for_it;
#else
  return asks_for_it || MayUseLibraries(static_cast<int>(engine) == ConvolutionParameter_Engine_CAFFE);
#endif
}

template <template <typename> class Own, template <typename> class Cudnn, typename Dtype>
shared_ptr<Layer<Dtype>> Make(const LayerParameter& param, bool may_use_cudnn) {
  if (may_use_cudnn) return std::make_shared<Cudnn<Dtype>>(param);
  return std::make_shared<Own<Dtype>>(param);
}

bool MayConvolveByCudnn(const LayerParameter& param) {
  // The way to make columns that force_nd_im2col asks for is our own.
  return MayUseCudnn(param.convolution_param().engine()) && !param.convolution_param().force_nd_im2col();
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateConvolution(const LayerParameter& param) {
  return Make<ConvolutionLayer, CAFFE_CUDNN_LAYER(Convolution), Dtype>(param, MayConvolveByCudnn(param));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateDeconvolution(const LayerParameter& param) {
  return Make<DeconvolutionLayer, CAFFE_CUDNN_LAYER(Deconvolution), Dtype>(param, MayConvolveByCudnn(param));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateBinaryConvolution(const LayerParameter& param) {
  return Make<BinaryConvolutionLayer, CAFFE_CUDNN_LAYER(BinaryConvolution), Dtype>(param,
                                                                                   MayConvolveByCudnn(param));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreatePooling(const LayerParameter& param) {
  // cuDNN finds maxima going backward by what they were, which a layer in place may have overwritten, where
  // our own layer keeps their places.
  const bool is_max = param.pooling_param().pool() == PoolingParameter_PoolMethod_MAX;
  const bool may_use_cudnn = MayUseCudnn(param.pooling_param().engine());
  return Make<PoolingLayer, CAFFE_CUDNN_LAYER(Pooling), Dtype>(param, may_use_cudnn && !is_max);
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateReLU(const LayerParameter& param) {
  return Make<ReLULayer, CAFFE_CUDNN_LAYER(ReLU), Dtype>(param, MayUseCudnn(param.relu_param().engine()));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateSigmoid(const LayerParameter& param) {
  return Make<SigmoidLayer, CAFFE_CUDNN_LAYER(Sigmoid), Dtype>(param,
                                                               MayUseCudnn(param.sigmoid_param().engine()));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateTanH(const LayerParameter& param) {
  return Make<TanHLayer, CAFFE_CUDNN_LAYER(TanH), Dtype>(param, MayUseCudnn(param.tanh_param().engine()));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateSoftmax(const LayerParameter& param) {
  return Make<SoftmaxLayer, CAFFE_CUDNN_LAYER(Softmax), Dtype>(param,
                                                               MayUseCudnn(param.softmax_param().engine()));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateLRN(const LayerParameter& param) {
  const LRNParameter& lrn = param.lrn_param();
  const bool may_use_cudnn = MayUseCudnn(lrn.engine());
  if (lrn.norm_region() == LRNParameter_NormRegion_ACROSS_CHANNELS) {
    return Make<LRNLayer, CAFFE_CUDNN_LAYER(LRN), Dtype>(param, may_use_cudnn);
  }
#ifdef USE_CUDNN
  // Only where asked for: it needs two buffers of the bottom's size.
  if (lrn.engine() == LRNParameter_Engine_CUDNN) return std::make_shared<CuDNNLCNLayer<Dtype>>(param);
#endif
  return std::make_shared<LRNLayer<Dtype>>(param);
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateBatchNorm(const LayerParameter& param) {
  // It has no `engine`.
  return Make<BatchNormLayer, CAFFE_CUDNN_LAYER(BatchNorm), Dtype>(
      param, MayUseCudnn(ConvolutionParameter_Engine_DEFAULT));
}

REGISTER_LAYER_CREATOR(BatchNorm, CreateBatchNorm);
REGISTER_LAYER_CREATOR(BinaryConvolution, CreateBinaryConvolution);
REGISTER_LAYER_CREATOR(Convolution, CreateConvolution);
REGISTER_LAYER_CREATOR(Deconvolution, CreateDeconvolution);
REGISTER_LAYER_CREATOR(LRN, CreateLRN);
REGISTER_LAYER_CREATOR(Pooling, CreatePooling);
REGISTER_LAYER_CREATOR(ReLU, CreateReLU);
REGISTER_LAYER_CREATOR(Sigmoid, CreateSigmoid);
REGISTER_LAYER_CREATOR(Softmax, CreateSoftmax);
REGISTER_LAYER_CREATOR(TanH, CreateTanH);

}  // namespace

}  // namespace caffe
