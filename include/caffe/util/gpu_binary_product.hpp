#ifndef CAFFE_UTIL_GPU_BINARY_PRODUCT_HPP_
#define CAFFE_UTIL_GPU_BINARY_PRODUCT_HPP_

#include "caffe/common.hpp"

#ifndef CPU_ONLY

#include <cstdint>
#include <memory>
#include <vector>

#include "caffe/lowbit/binary_product.hpp"
#include "caffe/util/kept_codes.hpp"

namespace caffe {

/**
 * @brief A convolution with binary weights of floats that have the levels of a quantizer, on the integers of
 * a GPU's tensor cores.
 *
 * Its results are those of lowbit::BinaryProduct to the last bit: sums of integers are exact, and what is
 * done with them in floats is the same.
 *
 * Inputs become bytes, the levels in multiples of their unit (two or more bytes where a level needs them), a
 * pixel's channels behind each other; weights are a bit each, and become bytes in registers. Where an input
 * is no level, or an alpha is not finite, the result is made of floats, slowly: the GPU decides, nobody
 * waits.
 *
 * Pointers are to memory of the calling thread's GPU, which must be the same for all calls, one at a time.
 */
class GpuBinaryProduct {
 public:
  /// Binary weights as they are kept.
  struct Signs {
    const float* alphas;
    /// Bit i of an output's `row_words` words is the sign of its weight i, set for +.
    const uint32_t* rows;
    int row_words;
  };

  /// Null where integers cannot do it: see Suits.
  static std::unique_ptr<GpuBinaryProduct> Make(const lowbit::BinaryProductShape& shape,
                                                const std::vector<float>& levels);
  /// @return false where integers cannot do it: for levels that are more than 16 or in the proportion of no
  /// integers (see lowbit::FindProductLevels), images that are larger than 1 GB in bytes and kernels that
  /// are larger than 15 x 15; and for groups of few channels, which would be slow.
  static bool Suits(const lowbit::BinaryProductShape& shape, const std::vector<float>& levels);

  ~GpuBinaryProduct();
  GpuBinaryProduct(const GpuBinaryProduct&) = delete;
  GpuBinaryProduct& operator=(const GpuBinaryProduct&) = delete;

  /// Takes the signs of outputs x shape.weights() weights and, with use_alpha, their alphas.
  void SetWeights(const float* weights, bool use_alpha);

  /**
   * @brief output = alpha times the sum of inputs under the signs, plus bias, for each output.
   *
   * @param input images x channels x height x width.
   * @param bias one an output, or null.
   * @param output images x outputs x height x width of the result.
   */
  void Run(int64_t images, const float* input, const float* bias, float* output);
  /// The same of an input in codes. @return false, and nothing is done, where one of them has no level of
  /// these.
  bool Run(int64_t images, const KeptCodes& input, const float* bias, float* output);

  /// Valid as long as this is and no other weights are set.
  Signs signs() const;

  /// The weights as floats: one alpha an output, and outputs x shape.weights() of +alpha and -alpha.
  void FillBinaryWeights(float* alphas, float* binary) const;

 private:
  class Engine;
  explicit GpuBinaryProduct(std::unique_ptr<Engine> engine);

  const std::unique_ptr<Engine> engine_;
};

}  // namespace caffe

#endif  // !CPU_ONLY

#endif  // CAFFE_UTIL_GPU_BINARY_PRODUCT_HPP_
