#ifndef CAFFE_LOWBIT_INTEGER_FORM_HPP_
#define CAFFE_LOWBIT_INTEGER_FORM_HPP_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "caffe/lowbit/convolution_layout.hpp"
#include "caffe/lowbit/int8_kernel.hpp"
#include "caffe/lowbit/plan_check.hpp"
#include "caffe/lowbit/scratch.hpp"

namespace caffe {
namespace lowbit {

/// The input of a convolution as integers of one type, and its weights in the order of the kernel that sums
/// these.
class IntegerForm {
 public:
  /// @param weights as they lie in the file.
  IntegerForm(const TensorInfo& input, const ConvolutionInfo& info, int value_bytes,
              const Int8Kernel::Sums& kernel, const int8_t* weights);

  /// Of an image, with what may be read beyond it.
  size_t ImageBytes() const { return layout.image_bytes() + Int8Kernel::kReadAhead; }

  /// Sums of the outputs of a block, which is counted through all groups; else see Int8Kernel::Sums.
  void Sum(const uint8_t* const* pixels, int count, int block, const int32_t* const* starts,
           const float* units, const float* scales, float* sums) const;

  const ConvolutionLayout layout;

 private:
  void Pack(const int8_t* weights);

  /// Strips of a group's block that have outputs.
  int Strips(int block) const;
  /// Of a strip's weights, and of a group's: its blocks are whole, but for the strips that the last of them
  /// lacks.
  int64_t StripBytes() const;
  int64_t GroupBytes() const;
  int64_t Offset(int group, int strip) const { return group * GroupBytes() + strip * StripBytes(); }

  const Int8Kernel::Sums kernel_;
  /// In a unit.
  const int values_;
  const int groups_, group_outputs_, group_blocks_;
  /// The window's pieces, in units.
  std::vector<int32_t> offsets_, units_;
  int total_units_ = 0;
  AlignedBytes weights_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_INTEGER_FORM_HPP_
