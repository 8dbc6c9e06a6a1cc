#ifndef CAFFE_UTIL_CONVOLUTION_ENGINE_HPP_
#define CAFFE_UTIL_CONVOLUTION_ENGINE_HPP_

#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/backward_precision.hpp"

namespace caffe {

/// What is the same for all images that a layer convolves.
struct ConvolutionGeometry {
  int in_channels = 0;
  int out_channels = 0;
  int group = 1;
  /// One element for each spatial axis.
  vector<int> kernel, stride, pad, dilation;
};

/// The images of a call: how many, and the spatial sizes of the convolution's input and output.
struct ConvolutionImages {
  int num = 0;
  vector<int> input, output;
};

/**
 * @brief A library that convolves whole batches.
 *
 * Inputs are [num, in_channels, input ...], outputs [num, out_channels, output ...], weights [out_channels,
 * in_channels / group, kernel ...], all dense. A deconvolution is the transposed convolution of its bottom,
 * which takes the place of an output. Results depend on the number of threads only (see ParallelThreads).
 *
 * Functions return false, having written nothing, for images that the library has no fast way for in that
 * precision, which is kFloat or kBF16: then the operands of products are rounded, and sums are floats.
 */
class ConvolutionEngine {
 public:
  virtual ~ConvolutionEngine() = default;

  /// output = input convolved with the weights, plus bias[channel] where bias is not null.
  virtual bool Convolve(const ConvolutionImages& images, const float* input, const Blob<float>& weights,
                        const float* bias, float* output) = 0;
  /// input = the gradient of Convolve by its input, for the gradient `output` of its output.
  virtual bool ConvolveTransposed(const ConvolutionImages& images, const float* output,
                                  const Blob<float>& weights, float* input, Precision precision) = 0;
  /// weight_diff += the gradient of Convolve by its weights, for the gradient `output` of its output.
  virtual bool AddWeightGradient(const ConvolutionImages& images, const float* input, const float* output,
                                 float* weight_diff, Precision precision) = 0;
};

/**
 * @brief oneDNN for convolutions of that geometry, or null where it has none for it or this build is without
 * it.
 *
 * @param keeps_weights weights that were rearranged for oneDNN are kept until their memory is written to
 *        (SyncedMemory::version), or for a call where others hold it, who may write to it at any time.
 *        Otherwise each call rearranges them.
 */
std::unique_ptr<ConvolutionEngine> MakeOneDnnConvolution(const ConvolutionGeometry& geometry,
                                                         bool keeps_weights);

}  // namespace caffe

#endif  // CAFFE_UTIL_CONVOLUTION_ENGINE_HPP_
