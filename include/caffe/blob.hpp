#ifndef CAFFE_BLOB_HPP_
#define CAFFE_BLOB_HPP_

#include <memory>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/syncedmem.hpp"

const int kMaxBlobAxes = 32;

namespace caffe {

/**
 * @brief An N-dimensional array, row-major, with a second array of the same shape for its gradient.
 *
 * Memory is taken when it is first touched, on the host or the GPU, and kept when a reshape makes the blob
 * smaller. Axes may be counted from the end: -1 is the last.
 *
 * A blob knows who owns it, so that Python can keep one alive that a layer was handed by pointer.
 */
template <typename Dtype>
class Blob : public std::enable_shared_from_this<Blob<Dtype>> {
 public:
  Blob() = default;
  /// The legacy four axes; deprecated by the vector form.
  explicit Blob(const int num, const int channels, const int height, const int width);
  explicit Blob(const vector<int>& shape);

  void Reshape(const int num, const int channels, const int height, const int width);
  /// Changes the shape. Values survive only where the count does not exceed what was allocated.
  /// @throws Error for a negative dimension, more than kMaxBlobAxes axes or more than INT_MAX elements.
  void Reshape(const vector<int>& shape);
  void Reshape(const BlobShape& shape);
  void ReshapeLike(const Blob& other);

  /// "2 3 4 (24)"
  string shape_string() const;
  const vector<int>& shape() const { return shape_; }
  int shape(int index) const { return shape_[CanonicalAxisIndex(index)]; }
  int num_axes() const { return static_cast<int>(shape_.size()); }
  int count() const { return count_; }
  /// Product of the dimensions of axes start_axis ... end_axis - 1.
  int count(int start_axis, int end_axis) const;
  int count(int start_axis) const { return count(start_axis, num_axes()); }

  /// Maps -num_axes() ... num_axes() - 1 to 0 ... num_axes() - 1. @throws Error outside.
  int CanonicalAxisIndex(int axis_index) const;

  // The four axes of old, for blobs of at most four; missing ones are 1.
  int num() const { return LegacyShape(0); }
  int channels() const { return LegacyShape(1); }
  int height() const { return LegacyShape(2); }
  int width() const { return LegacyShape(3); }
  int LegacyShape(int index) const;

  int offset(const int n, const int c = 0, const int h = 0, const int w = 0) const;
  int offset(const vector<int>& indices) const;

  /// Copies data (or, with copy_diff, the gradient) from a blob of the same shape, or of any shape with
  /// `reshape`.
  void CopyFrom(const Blob<Dtype>& source, bool copy_diff = false, bool reshape = false);

  Dtype data_at(const int n, const int c, const int h, const int w) const {
    return cpu_data()[offset(n, c, h, w)];
  }
  Dtype diff_at(const int n, const int c, const int h, const int w) const {
    return cpu_diff()[offset(n, c, h, w)];
  }
  Dtype data_at(const vector<int>& index) const { return cpu_data()[offset(index)]; }
  Dtype diff_at(const vector<int>& index) const { return cpu_diff()[offset(index)]; }

  const shared_ptr<SyncedMemory>& data() const;
  const shared_ptr<SyncedMemory>& diff() const;

  const Dtype* cpu_data() const;
  /// Uses the caller's memory from now on, of the blob's size; see SyncedMemory::set_cpu_data.
  void set_cpu_data(Dtype* data) { set_cpu_data(data, nullptr); }
  void set_cpu_data(Dtype* data, shared_ptr<void> owner);
  /// The shape as an array of int on the GPU.
  const int* gpu_shape() const;
  const Dtype* gpu_data() const;
  void set_gpu_data(Dtype* data) { set_gpu_data(data, nullptr); }
  void set_gpu_data(Dtype* data, shared_ptr<void> owner);
  const Dtype* cpu_diff() const;
  const Dtype* gpu_diff() const;
  Dtype* mutable_cpu_data();
  Dtype* mutable_gpu_data();
  Dtype* mutable_cpu_diff();
  Dtype* mutable_gpu_diff();

  /// data -= diff
  void Update();

  /// Reads values (and gradients, if the message holds them); packed ones become +-alpha.
  /// @throws Error where the shape differs and `reshape` is false, or the number of values does not fit it.
  void FromProto(const BlobProto& proto, bool reshape = true);
  void ToProto(BlobProto* proto, bool write_diff = false) const;

  /// Sums of absolute values and of squares; 0 for a blob that was never touched.
  Dtype asum_data() const;
  Dtype asum_diff() const;
  Dtype sumsq_data() const;
  Dtype sumsq_diff() const;
  void scale_data(Dtype scale_factor);
  void scale_diff(Dtype scale_factor);

  /// Shares the other blob's memory; the counts must agree.
  void ShareData(const Blob& other);
  void ShareDiff(const Blob& other);

  /// Takes other memory, of at least the blob's size, for the data or the gradient, and returns what it had.
  /// Null stands for fresh memory, which is allocated when it is first touched.
  shared_ptr<SyncedMemory> ExchangeData(shared_ptr<SyncedMemory> memory);
  shared_ptr<SyncedMemory> ExchangeDiff(shared_ptr<SyncedMemory> memory);

  /// Whether the message has this blob's shape. A message in the legacy four axes equals a blob of fewer axes
  /// that has the same dimensions after leading ones.
  bool ShapeEquals(const BlobProto& other);

 protected:
  shared_ptr<SyncedMemory> data_;
  shared_ptr<SyncedMemory> diff_;
  /// Null until gpu_shape asks for it.
  mutable shared_ptr<SyncedMemory> shape_data_;
  vector<int> shape_;
  int count_ = 0;
  int capacity_ = 0;

 private:
  /// Gives up a larger allocation kept from an earlier shape: a caller's memory has the present size.
  void FitMemory();
  shared_ptr<SyncedMemory> Exchange(shared_ptr<SyncedMemory> memory, shared_ptr<SyncedMemory>* own);

  DISABLE_COPY_AND_ASSIGN(Blob);
};

}  // namespace caffe

#endif  // CAFFE_BLOB_HPP_
