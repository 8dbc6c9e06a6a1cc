#include "caffe/util/axis_parts.hpp"

#include <cstdint>

#include "caffe/util/math_functions.hpp"

namespace caffe {

template <typename Dtype>
void CopyRows(HostSide, int rows, int width, const Dtype* from, int from_stride, Dtype* to, int to_stride) {
  for (int64_t row = 0; row < rows; ++row) caffe_copy(width, from + row * from_stride, to + row * to_stride);
}

template void CopyRows(HostSide, int, int, const float*, int, float*, int);
template void CopyRows(HostSide, int, int, const double*, int, double*, int);

}  // namespace caffe
