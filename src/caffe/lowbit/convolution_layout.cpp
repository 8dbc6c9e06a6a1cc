#include "caffe/lowbit/convolution_layout.hpp"

namespace caffe {
namespace lowbit {

ConvolutionLayout::ConvolutionLayout(const TensorInfo& input, const ConvolutionInfo& info, int units_of_group,
                                     int unit_bytes)
    : padded_height(input.height + 2 * info.geometry.pad_h),
      padded_width(input.width + 2 * info.geometry.pad_w),
      group_bytes(units_of_group * unit_bytes),
      pixel_bytes(int64_t{group_bytes} * info.groups),
      geometry_(info.geometry),
      units_of_group_(units_of_group),
      total_units_(0) {
  if (pixel_bytes * padded_height * padded_width > INT32_MAX) {
    throw PlanError("an image of tensor " + input.name + " takes more than 2 GiB");
  }
  const Geometry& g = geometry_;
  for (int row = 0; row < g.kernel_h; ++row) {
    for (int column = 0; column < g.kernel_w; ++column) {
      const int64_t pixel = int64_t{row} * g.dilation_h * padded_width + int64_t{column} * g.dilation_w;
      const int32_t offset = static_cast<int32_t>(pixel * pixel_bytes);
      if (column == 0) row_offsets_.push_back(offset);
      const bool follows = !offsets_.empty() && offset == offsets_.back() + units_.back() * unit_bytes;
      if (follows) {
        units_.back() += units_of_group;
      } else {
        offsets_.push_back(offset);
        units_.push_back(units_of_group);
      }
      total_units_ += units_of_group;
    }
  }
}

}  // namespace lowbit
}  // namespace caffe
