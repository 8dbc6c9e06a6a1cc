#ifndef CAFFE_LOWBIT_BINARY_PRODUCT_HPP_
#define CAFFE_LOWBIT_BINARY_PRODUCT_HPP_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace caffe {
namespace lowbit {

/// A convolution of images; an inner product is one of images of a single pixel.
struct BinaryProductShape {
  int channels = 1, height = 1, width = 1;
  int outputs = 1, groups = 1;
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int pad_h = 0, pad_w = 0;
  int dilation_h = 1, dilation_w = 1;

  /// Weights of an output.
  int64_t weights() const { return int64_t{channels / groups} * kernel_h * kernel_w; }
  bool operator==(const BinaryProductShape& other) const;
};

/// Runs task(0) ... task(tasks - 1), in any order, on threads of the caller's choice.
using ParallelLoop = std::function<void(int64_t tasks, const std::function<void(int64_t task)>& task)>;

/**
 * @brief A convolution with binary weights of floats that have the levels of a quantizer, on integers.
 *
 * Depends on the C++ standard library alone. One thread at a time may call Run.
 */
class BinaryProduct {
 public:
  /**
   * @param levels what an input can be, ascending.
   * @param signs a bit a weight, set for +1: an output's weights, channel by channel, row by row, fill bytes
   * from the lowest bit up, and each output starts a new byte. They may go afterwards.
   * @param threads how many threads the loop has, which is used only here.
   * @return null where integers cannot do it: for levels that are more than 16 or (to 2e-6 of their value) in
   * the proportion of no integers with sums of 32 bits, and for images or kernels that are larger than a
   * packed model may have.
   * @throws std::runtime_error where the environment variable HWGQ_KERNEL names no kernel.
   */
  static std::unique_ptr<BinaryProduct> Make(const BinaryProductShape& shape,
                                             const std::vector<float>& levels, const uint8_t* signs,
                                             int threads, const ParallelLoop& loop);

  ~BinaryProduct();
  BinaryProduct(const BinaryProduct&) = delete;
  BinaryProduct& operator=(const BinaryProduct&) = delete;

  /**
   * @brief output = scale times the sum of inputs under the signs, plus bias, for each output.
   *
   * @param input images x channels x height x width.
   * @param scales one an output.
   * @param bias one an output, or null.
   * @param output images x outputs x height x width of the result.
   * @param threads how many threads the loop has.
   * @return false where an input is none of the levels; the output is then undefined.
   */
  bool Run(int64_t images, const float* input, const float* scales, const float* bias, float* output,
           int threads, const ParallelLoop& loop);

 private:
  class Engine;
  explicit BinaryProduct(std::unique_ptr<Engine> engine);

  std::unique_ptr<Engine> engine_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_BINARY_PRODUCT_HPP_
