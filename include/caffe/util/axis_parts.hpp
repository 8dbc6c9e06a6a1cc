#ifndef CAFFE_UTIL_AXIS_PARTS_HPP_
#define CAFFE_UTIL_AXIS_PARTS_HPP_

#include <cstddef>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/util/blob_side.hpp"

namespace caffe {

/// Where one of the blobs lies that make up a larger one along an axis: `width` values from `offset` on of
/// each of the whole's rows, which are whole_width long.
struct AxisPart {
  int rows;
  int width;
  int whole_width;
  int offset;
};

/// Calls body(i, place) for each of the blobs that make up `whole` along `axis`, in their order.
template <typename Dtype, typename Body>
void ForAxisParts(const Blob<Dtype>& whole, int axis, const std::vector<Blob<Dtype>*>& parts,
                  const Body& body) {
  AxisPart place = {whole.count(0, axis), 0, whole.count(axis), 0};
  for (size_t i = 0; i < parts.size(); ++i) {
    place.width = parts[i]->count(axis);
    body(i, place);
    place.offset += place.width;
  }
}

/// Copies `rows` rows of `width` values, which begin from_stride and to_stride apart.
template <typename Dtype>
void CopyRows(HostSide, int rows, int width, const Dtype* from, int from_stride, Dtype* to, int to_stride);
#ifndef CPU_ONLY
template <typename Dtype>
void CopyRows(GpuSide, int rows, int width, const Dtype* from, int from_stride, Dtype* to, int to_stride);
#endif

template <typename Side, typename Dtype>
void CopyIntoWhole(Side side, const AxisPart& place, const Dtype* part, Dtype* whole) {
  CopyRows(side, place.rows, place.width, part, place.width, whole + place.offset, place.whole_width);
}

template <typename Side, typename Dtype>
void CopyOutOfWhole(Side side, const AxisPart& place, const Dtype* whole, Dtype* part) {
  CopyRows(side, place.rows, place.width, whole + place.offset, place.whole_width, part, place.width);
}

/// Joins the parts' values to the whole's.
template <typename Side, typename Dtype>
void JoinParts(Side side, const std::vector<Blob<Dtype>*>& parts, int axis, Blob<Dtype>* whole) {
  Dtype* values = side.MutableData(whole);
  ForAxisParts(*whole, axis, parts, [&](size_t i, const AxisPart& place) {
    CopyIntoWhole(side, place, side.Data(*parts[i]), values);
  });
}

/// Cuts the whole's values into the parts'.
template <typename Side, typename Dtype>
void CutIntoParts(Side side, const Blob<Dtype>& whole, int axis, const std::vector<Blob<Dtype>*>& parts) {
  const Dtype* values = side.Data(whole);
  ForAxisParts(whole, axis, parts, [&](size_t i, const AxisPart& place) {
    CopyOutOfWhole(side, place, values, side.MutableData(parts[i]));
  });
}

/// Joins the parts' gradients to the whole's.
template <typename Side, typename Dtype>
void JoinGradients(Side side, const std::vector<Blob<Dtype>*>& parts, int axis, Blob<Dtype>* whole) {
  Dtype* gradient = side.MutableDiff(whole);
  ForAxisParts(*whole, axis, parts, [&](size_t i, const AxisPart& place) {
    CopyIntoWhole(side, place, side.Diff(*parts[i]), gradient);
  });
}

/// Cuts the whole's gradient into those of the parts that are wanted.
template <typename Side, typename Dtype>
void CutGradient(Side side, const Blob<Dtype>& whole, int axis, const std::vector<bool>& wanted,
                 const std::vector<Blob<Dtype>*>& parts) {
  const Dtype* gradient = side.Diff(whole);
  ForAxisParts(whole, axis, parts, [&](size_t i, const AxisPart& place) {
    if (wanted[i]) CopyOutOfWhole(side, place, gradient, side.MutableDiff(parts[i]));
  });
}

}  // namespace caffe

#endif  // CAFFE_UTIL_AXIS_PARTS_HPP_
