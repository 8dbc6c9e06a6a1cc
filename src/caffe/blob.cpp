#include "caffe/blob.hpp"

#include <algorithm>
#include <climits>
#include <type_traits>
#include <vector>

#include "caffe/util/math_functions.hpp"
#include "caffe/util/sign_bits.hpp"

namespace caffe {

namespace {

bool HasLegacyShape(const BlobProto& proto) {
  return proto.has_num() || proto.has_channels() || proto.has_height() || proto.has_width();
}

vector<int> ShapeOf(const BlobProto& proto) {
  if (HasLegacyShape(proto)) return {proto.num(), proto.channels(), proto.height(), proto.width()};
  vector<int> shape;
  for (int64_t dim : proto.shape().dim()) {
    CHECK(dim >= 0 && dim <= INT_MAX) << "impossible dimension " << dim << " in a stored blob";
    shape.push_back(static_cast<int>(dim));
  }
  return shape;
}

string ShapeText(const vector<int>& shape) {
  ostringstream text;
  for (int dim : shape) text << dim << " ";
  return text.str();
}

// The number of elements, for a shape that a blob may have.
int CheckedCount(const vector<int>& shape) {
  CHECK_LE(shape.size(), static_cast<size_t>(kMaxBlobAxes))
      << "a blob has at most " << kMaxBlobAxes << " axes";
  bool empty = false;
  // Of the axes that are not empty: a count of some axes must not overflow because of others.
  int64_t count = 1;
  for (int dim : shape) {
    CHECK_GE(dim, 0) << "a dimension must not be negative: " << ShapeText(shape);
    empty |= dim == 0;
    count *= std::max(dim, 1);
    CHECK_LE(count, INT_MAX) << "a blob holds at most " << INT_MAX << " elements, not " << ShapeText(shape);
  }
  return empty ? 0 : static_cast<int>(count);
}

template <typename Values, typename Dtype>
void CopyValues(const Values& values, Dtype* to) {
  std::transform(values.begin(), values.end(), to, [](auto value) { return static_cast<Dtype>(value); });
}

bool IsPacked(const BlobProto& proto) { return proto.has_signs() || proto.alphas_size() > 0; }

// That a blob's values, or what stands for them, are as many as its shape says.
void CheckValues(const BlobProto& proto, const vector<int>& shape, int count) {
  const int num_values = proto.double_data_size() > 0 ? proto.double_data_size() : proto.data_size();
  if (!IsPacked(proto)) {
    CHECK_EQ(count, num_values) << "a stored blob of shape " << ShapeText(shape)
                                << "has another number of values";
    return;
  }
  const string way_out = "; pack the weights anew with caffe.hwgq.pack_caffemodel";
  CHECK_EQ(num_values, 0) << "a stored blob of shape " << ShapeText(shape) << "has both values and signs"
                          << way_out;
  const int outputs = shape.empty() ? 0 : shape[0];
  CHECK(outputs > 0) << "a packed blob of shape " << ShapeText(shape) << "has no outputs" << way_out;
  CHECK_EQ(proto.alphas_size(), outputs) << "a packed blob of shape " << ShapeText(shape)
                                         << "has another number of alphas than outputs" << way_out;
  CHECK_EQ(static_cast<int64_t>(proto.signs().size()), outputs * SignBytes(count / outputs))
      << "a packed blob of shape " << ShapeText(shape) << "has another number of bytes of signs" << way_out;
}

template <typename Dtype>
void Unpack(const BlobProto& proto, int count, Dtype* to) {
  if constexpr (std::is_floating_point<Dtype>::value) {
    const vector<Dtype> alphas(proto.alphas().begin(), proto.alphas().end());
    const auto outputs = static_cast<int64_t>(alphas.size());
    UnpackSigns(outputs, count / outputs, reinterpret_cast<const uint8_t*>(proto.signs().data()),
                alphas.data(), to);
  } else {
    NOT_IMPLEMENTED;
  }
}

template <typename Dtype>
struct AsumOf {
  static Dtype Cpu(int count, const Dtype* x) { return caffe_cpu_asum(count, x); }
#ifndef CPU_ONLY
  static Dtype Gpu(int count, const Dtype* x) {
    Dtype sum = 0;
    caffe_gpu_asum(count, x, &sum);
    return sum;
  }
#endif
};

template <typename Dtype>
struct SumsqOf {
  static Dtype Cpu(int count, const Dtype* x) { return caffe_cpu_dot(count, x, x); }
#ifndef CPU_ONLY
  static Dtype Gpu(int count, const Dtype* x) {
    Dtype sum = 0;
    caffe_gpu_dot(count, x, x, &sum);
    return sum;
  }
#endif
};

#ifndef CPU_ONLY
// Whether it is best to compute on the GPU, as what is there is up to date.
bool IsOnGpu(const SyncedMemory& memory) {
  return Caffe::mode() == Caffe::GPU &&
         (memory.head() == SyncedMemory::HEAD_AT_GPU || memory.head() == SyncedMemory::SYNCED);
}
#endif

// Blobs of integers hold indices and masks; they are never weights.
template <typename Dtype>
constexpr bool kIsFloating = std::is_floating_point<Dtype>::value;

// A statistic of memory that may be on no device yet.
template <typename Dtype, template <typename> class Reduction>
Dtype Statistic(const shared_ptr<SyncedMemory>& memory, int count) {
  if (!memory || memory->head() == SyncedMemory::UNINITIALIZED) return 0;
#ifndef CPU_ONLY
  if (IsOnGpu(*memory)) {
    return Reduction<Dtype>::Gpu(count, static_cast<const Dtype*>(memory->gpu_data()));
  }
#endif
  return Reduction<Dtype>::Cpu(count, static_cast<const Dtype*>(memory->cpu_data()));
}

template <typename Dtype>
void Scale(const shared_ptr<SyncedMemory>& memory, int count, Dtype factor) {
  if (!memory || memory->head() == SyncedMemory::UNINITIALIZED) return;
#ifndef CPU_ONLY
  if (IsOnGpu(*memory)) {
    return caffe_gpu_scal(count, factor, static_cast<Dtype*>(memory->mutable_gpu_data()));
  }
#endif
  caffe_scal(count, factor, static_cast<Dtype*>(memory->mutable_cpu_data()));
}

}  // namespace

template <typename Dtype>
Blob<Dtype>::Blob(const int num, const int channels, const int height, const int width) {
  Reshape(num, channels, height, width);
}

template <typename Dtype>
Blob<Dtype>::Blob(const vector<int>& shape) {
  Reshape(shape);
}

template <typename Dtype>
void Blob<Dtype>::Reshape(const int num, const int channels, const int height, const int width) {
  Reshape(vector<int>{num, channels, height, width});
}

template <typename Dtype>
void Blob<Dtype>::Reshape(const vector<int>& shape) {
  count_ = CheckedCount(shape);
  const bool shape_changed = shape != shape_;
  shape_ = shape;
  if (shape_changed) shape_data_.reset();
  if (count_ > capacity_ || !data_) {
    capacity_ = count_;
    data_ = std::make_shared<SyncedMemory>(capacity_ * sizeof(Dtype));
    diff_ = std::make_shared<SyncedMemory>(capacity_ * sizeof(Dtype));
  }
}

template <typename Dtype>
void Blob<Dtype>::Reshape(const BlobShape& shape) {
  BlobProto proto;
  *proto.mutable_shape() = shape;
  Reshape(ShapeOf(proto));
}

template <typename Dtype>
void Blob<Dtype>::ReshapeLike(const Blob<Dtype>& other) {
  Reshape(other.shape());
}

template <typename Dtype>
string Blob<Dtype>::shape_string() const {
  return ShapeText(shape_) + "(" + std::to_string(count_) + ")";
}

template <typename Dtype>
int Blob<Dtype>::count(int start_axis, int end_axis) const {
  CHECK(0 <= start_axis && start_axis <= end_axis && end_axis <= num_axes())
      << "axes " << start_axis << " to " << end_axis << " are not a range of a blob of shape "
      << shape_string();
  int count = 1;
  for (int i = start_axis; i < end_axis; ++i) count *= shape_[i];
  return count;
}

template <typename Dtype>
int Blob<Dtype>::CanonicalAxisIndex(int axis_index) const {
  CHECK(-num_axes() <= axis_index && axis_index < num_axes())
      << "axis " << axis_index << " is out of range for a blob of " << num_axes() << " axes with shape "
      << shape_string();
  return axis_index < 0 ? axis_index + num_axes() : axis_index;
}

template <typename Dtype>
int Blob<Dtype>::LegacyShape(int index) const {
  CHECK_LE(num_axes(), 4) << "num, channels, height and width exist only for blobs of at most 4 axes, not "
                          << shape_string();
  CHECK(-4 <= index && index < 4) << "legacy axis " << index << " is out of range";
  if (index >= num_axes() || index < -num_axes()) return 1;
  return shape(index);
}

template <typename Dtype>
int Blob<Dtype>::offset(const int n, const int c, const int h, const int w) const {
  DCHECK_GE(n, 0);
  DCHECK_LE(n, num());
  DCHECK_GE(c, 0);
  DCHECK_LE(c, channels());
  DCHECK_GE(h, 0);
  DCHECK_LE(h, height());
  DCHECK_GE(w, 0);
  DCHECK_LE(w, width());
  return ((n * channels() + c) * height() + h) * width() + w;
}

template <typename Dtype>
int Blob<Dtype>::offset(const vector<int>& indices) const {
  CHECK_LE(indices.size(), shape_.size()) << "more indices than axes";
  int offset = 0;
  for (int i = 0; i < num_axes(); ++i) {
    offset *= shape_[i];
    if (static_cast<size_t>(i) >= indices.size()) continue;
    CHECK(indices[i] >= 0 && indices[i] < shape_[i])
        << "index " << indices[i] << " is out of range on axis " << i << " of shape " << shape_string();
    offset += indices[i];
  }
  return offset;
}

template <typename Dtype>
void Blob<Dtype>::CopyFrom(const Blob<Dtype>& source, bool copy_diff, bool reshape) {
  // A new blob has the shape of a scalar, and no element.
  if (source.shape() != shape_ || source.count() != count_) {
    CHECK(reshape) << "cannot copy a blob of shape " << source.shape_string() << " to one of shape "
                   << shape_string() << " without reshape";
    ReshapeLike(source);
  }
#ifndef CPU_ONLY
  if (Caffe::mode() == Caffe::GPU) {
    if (copy_diff) {
      caffe_copy(count_, source.gpu_diff(), mutable_gpu_diff());
    } else {
      caffe_copy(count_, source.gpu_data(), mutable_gpu_data());
    }
    return;
  }
#endif
  if (copy_diff) {
    caffe_copy(count_, source.cpu_diff(), mutable_cpu_diff());
  } else {
    caffe_copy(count_, source.cpu_data(), mutable_cpu_data());
  }
}

template <typename Dtype>
const shared_ptr<SyncedMemory>& Blob<Dtype>::data() const {
  CHECK(data_) << "the blob has no shape yet";
  return data_;
}

template <typename Dtype>
const shared_ptr<SyncedMemory>& Blob<Dtype>::diff() const {
  CHECK(diff_) << "the blob has no shape yet";
  return diff_;
}

template <typename Dtype>
const Dtype* Blob<Dtype>::cpu_data() const {
  return static_cast<const Dtype*>(data()->cpu_data());
}

template <typename Dtype>
const Dtype* Blob<Dtype>::cpu_diff() const {
  return static_cast<const Dtype*>(diff()->cpu_data());
}

template <typename Dtype>
const Dtype* Blob<Dtype>::gpu_data() const {
  return static_cast<const Dtype*>(data()->gpu_data());
}

template <typename Dtype>
const Dtype* Blob<Dtype>::gpu_diff() const {
  return static_cast<const Dtype*>(diff()->gpu_data());
}

template <typename Dtype>
Dtype* Blob<Dtype>::mutable_cpu_data() {
  return static_cast<Dtype*>(data()->mutable_cpu_data());
}

template <typename Dtype>
Dtype* Blob<Dtype>::mutable_cpu_diff() {
  return static_cast<Dtype*>(diff()->mutable_cpu_data());
}

template <typename Dtype>
Dtype* Blob<Dtype>::mutable_gpu_data() {
  return static_cast<Dtype*>(data()->mutable_gpu_data());
}

template <typename Dtype>
Dtype* Blob<Dtype>::mutable_gpu_diff() {
  return static_cast<Dtype*>(diff()->mutable_gpu_data());
}

template <typename Dtype>
void Blob<Dtype>::FitMemory() {
  const size_t size = count_ * sizeof(Dtype);
  if (this->data()->size() == size) return;
  data_ = std::make_shared<SyncedMemory>(size);
  diff_ = std::make_shared<SyncedMemory>(size);
  capacity_ = count_;
}

template <typename Dtype>
shared_ptr<SyncedMemory> Blob<Dtype>::Exchange(shared_ptr<SyncedMemory> memory,
                                               shared_ptr<SyncedMemory>* own) {
  const size_t bytes = capacity_ * sizeof(Dtype);
  if (!memory) memory = std::make_shared<SyncedMemory>(bytes);
  CHECK_GE(memory->size(), bytes) << "the memory is too small for the blob";
  own->swap(memory);
  return memory;
}

template <typename Dtype>
shared_ptr<SyncedMemory> Blob<Dtype>::ExchangeData(shared_ptr<SyncedMemory> memory) {
  return Exchange(std::move(memory), &data_);
}

template <typename Dtype>
shared_ptr<SyncedMemory> Blob<Dtype>::ExchangeDiff(shared_ptr<SyncedMemory> memory) {
  return Exchange(std::move(memory), &diff_);
}

template <typename Dtype>
void Blob<Dtype>::set_cpu_data(Dtype* data, shared_ptr<void> owner) {
  FitMemory();
  data_->set_cpu_data(data, std::move(owner));
}

template <typename Dtype>
void Blob<Dtype>::set_gpu_data(Dtype* data, shared_ptr<void> owner) {
  FitMemory();
  data_->set_gpu_data(data, std::move(owner));
}

template <typename Dtype>
const int* Blob<Dtype>::gpu_shape() const {
#ifdef CPU_ONLY
  NO_GPU;
#else
  if (!shape_data_) {
    shape_data_ = std::make_shared<SyncedMemory>(shape_.size() * sizeof(int));
    std::copy(shape_.begin(), shape_.end(), static_cast<int*>(shape_data_->mutable_cpu_data()));
  }
  return static_cast<const int*>(shape_data_->gpu_data());
#endif
}

template <typename Dtype>
void Blob<Dtype>::Update() {
  if constexpr (kIsFloating<Dtype>) {
#ifndef CPU_ONLY
    if (Caffe::mode() == Caffe::GPU) return caffe_gpu_axpy<Dtype>(count_, -1, gpu_diff(), mutable_gpu_data());
#endif
    caffe_axpy<Dtype>(count_, Dtype(-1), cpu_diff(), mutable_cpu_data());
  } else {
    NOT_IMPLEMENTED;
  }
}

template <typename Dtype>
Dtype Blob<Dtype>::asum_data() const {
  if constexpr (kIsFloating<Dtype>) {
    return Statistic<Dtype, AsumOf>(data_, count_);
  } else {
    NOT_IMPLEMENTED;
  }
}

template <typename Dtype>
Dtype Blob<Dtype>::asum_diff() const {
  if constexpr (kIsFloating<Dtype>) {
    return Statistic<Dtype, AsumOf>(diff_, count_);
  } else {
    NOT_IMPLEMENTED;
  }
}

template <typename Dtype>
Dtype Blob<Dtype>::sumsq_data() const {
  if constexpr (kIsFloating<Dtype>) {
    return Statistic<Dtype, SumsqOf>(data_, count_);
  } else {
    NOT_IMPLEMENTED;
  }
}

template <typename Dtype>
Dtype Blob<Dtype>::sumsq_diff() const {
  if constexpr (kIsFloating<Dtype>) {
    return Statistic<Dtype, SumsqOf>(diff_, count_);
  } else {
    NOT_IMPLEMENTED;
  }
}

template <typename Dtype>
void Blob<Dtype>::scale_data(Dtype scale_factor) {
  if constexpr (kIsFloating<Dtype>) {
    Scale(data_, count_, scale_factor);
  } else {
    NOT_IMPLEMENTED;
  }
}

template <typename Dtype>
void Blob<Dtype>::scale_diff(Dtype scale_factor) {
  if constexpr (kIsFloating<Dtype>) {
    Scale(diff_, count_, scale_factor);
  } else {
    NOT_IMPLEMENTED;
  }
}

template <typename Dtype>
void Blob<Dtype>::ShareData(const Blob& other) {
  CHECK_EQ(count_, other.count()) << "blobs that share memory must hold the same number of elements";
  data_ = other.data();
}

template <typename Dtype>
void Blob<Dtype>::ShareDiff(const Blob& other) {
  CHECK_EQ(count_, other.count()) << "blobs that share memory must hold the same number of elements";
  diff_ = other.diff();
}

template <typename Dtype>
bool Blob<Dtype>::ShapeEquals(const BlobProto& other) {
  if (!HasLegacyShape(other)) return shape_ == ShapeOf(other);
  // Counted from the last axis, as old files padded vectors and matrices with leading ones.
  return num_axes() <= 4 && LegacyShape(-4) == other.num() && LegacyShape(-3) == other.channels() &&
         LegacyShape(-2) == other.height() && LegacyShape(-1) == other.width();
}

template <typename Dtype>
void Blob<Dtype>::FromProto(const BlobProto& proto, bool reshape) {
  const vector<int> shape = ShapeOf(proto);
  // Before anything is allocated or changed: a damaged file must not ask for more memory than it has values.
  const int count = CheckedCount(shape);
  const int num_gradients = proto.double_diff_size() > 0 ? proto.double_diff_size() : proto.diff_size();
  CheckValues(proto, shape, count);
  CHECK(num_gradients == 0 || num_gradients == count) << "a stored blob of shape " << ShapeText(shape)
                                                      << "has another number of gradients: " << num_gradients;
  if (reshape) {
    Reshape(shape);
  } else {
    CHECK(ShapeEquals(proto)) << "shape mismatch: stored " << ShapeText(shape) << "but expected "
                              << shape_string();
  }
  if (IsPacked(proto)) {
    Unpack(proto, count, mutable_cpu_data());
  } else if (proto.double_data_size() > 0) {
    CopyValues(proto.double_data(), mutable_cpu_data());
  } else {
    CopyValues(proto.data(), mutable_cpu_data());
  }
  if (proto.double_diff_size() > 0) {
    CopyValues(proto.double_diff(), mutable_cpu_diff());
  } else if (proto.diff_size() > 0) {
    CopyValues(proto.diff(), mutable_cpu_diff());
  }
}

namespace {

void StoreValues(const float* data, const float* diff, int count, BlobProto* proto) {
  proto->mutable_data()->Add(data, data + count);
  if (diff) proto->mutable_diff()->Add(diff, diff + count);
}

void StoreValues(const double* data, const double* diff, int count, BlobProto* proto) {
  proto->mutable_double_data()->Add(data, data + count);
  if (diff) proto->mutable_double_diff()->Add(diff, diff + count);
}

}  // namespace

template <typename Dtype>
void Blob<Dtype>::ToProto(BlobProto* proto, bool write_diff) const {
  if constexpr (kIsFloating<Dtype>) {
    proto->Clear();
    for (int dim : shape_) proto->mutable_shape()->add_dim(dim);
    StoreValues(cpu_data(), write_diff ? cpu_diff() : nullptr, count_, proto);
  } else {
    NOT_IMPLEMENTED;
  }
}

INSTANTIATE_CLASS(Blob);
template class Blob<int>;
template class Blob<unsigned int>;

}  // namespace caffe
