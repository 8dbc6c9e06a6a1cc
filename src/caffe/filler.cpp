#include "caffe/filler.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "caffe/util/math_functions.hpp"
#include "caffe/util/nearest_names.hpp"

namespace caffe {

namespace {

template <typename Dtype>
void CheckFillable(const Blob<Dtype>& blob) {
  CHECK_GT(blob.count(), 0) << "there is nothing to fill in a blob of shape " << blob.shape_string();
}

template <typename Dtype>
void CheckDense(const Blob<Dtype>& blob, const FillerParameter& param) {
  CheckFillable(blob);
  CHECK_EQ(param.sparse(), -1) << "filler '" << param.type()
                               << "' has no sparse form: remove 'sparse' or use type \"gaussian\"";
}

// The n by which "xavier" and "msra" divide.
template <typename Dtype>
Dtype VarianceNorm(const Blob<Dtype>& blob, const FillerParameter& param) {
  CHECK_GE(blob.num_axes(), 1) << "filler '" << param.type() << "' needs a blob with axes";
  const int per_output = blob.count() / blob.shape(0);
  const int per_input = blob.num_axes() > 1 ? blob.count() / blob.shape(1) : blob.count();
  const Dtype fan_in = static_cast<Dtype>(per_output), fan_out = static_cast<Dtype>(per_input);
  switch (param.variance_norm()) {
    case FillerParameter_VarianceNorm_FAN_OUT:
      return fan_out;
    case FillerParameter_VarianceNorm_AVERAGE:
      return (fan_in + fan_out) / 2;
    default:
      return fan_in;
  }
}

}  // namespace

template <typename Dtype>
void ConstantFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  CheckDense(*blob, this->filler_param_);
  caffe_set(blob->count(), static_cast<Dtype>(this->filler_param_.value()), blob->mutable_cpu_data());
}

template <typename Dtype>
void UniformFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  CheckDense(*blob, this->filler_param_);
  caffe_rng_uniform<Dtype>(blob->count(), this->filler_param_.min(), this->filler_param_.max(),
                           blob->mutable_cpu_data());
}

template <typename Dtype>
void GaussianFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  CheckFillable(*blob);
  Dtype* data = blob->mutable_cpu_data();
  const int count = blob->count();
  caffe_rng_gaussian<Dtype>(count, this->filler_param_.mean(), this->filler_param_.std(), data);
  const int sparse = this->filler_param_.sparse();
  CHECK_GE(sparse, -1) << "'sparse' of a filler counts the values to keep per output; -1 keeps all";
  if (sparse == -1) return;
  CHECK_GE(blob->num_axes(), 1) << "a sparse filler needs a blob with axes";
  const int num_outputs = blob->shape(0);
  CHECK_LE(sparse, num_outputs) << "a sparse filler keeps each value with probability sparse / shape(0)";
  rand_vec_ = std::make_shared<SyncedMemory>(count * sizeof(int));
  int* const kept = static_cast<int*>(rand_vec_->mutable_cpu_data());
  caffe_rng_bernoulli(count, static_cast<Dtype>(sparse) / static_cast<Dtype>(num_outputs), kept);
  for (int i = 0; i < count; ++i) {
    if (!kept[i]) data[i] = 0;
  }
}

template <typename Dtype>
void PositiveUnitballFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  CheckDense(*blob, this->filler_param_);
  Dtype* data = blob->mutable_cpu_data();
  caffe_rng_uniform<Dtype>(blob->count(), 0, 1, data);
  const int rows = blob->num_axes() > 0 ? blob->shape(0) : 1;
  const int length = blob->count() / rows;
  for (Dtype* row = data; row != data + blob->count(); row += length) {
    caffe_scal(length, 1 / std::accumulate(row, row + length, Dtype(0)), row);
  }
}

template <typename Dtype>
void XavierFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  CheckDense(*blob, this->filler_param_);
  const Dtype limit = std::sqrt(3 / VarianceNorm(*blob, this->filler_param_));
  caffe_rng_uniform<Dtype>(blob->count(), -limit, limit, blob->mutable_cpu_data());
}

template <typename Dtype>
void MSRAFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  CheckDense(*blob, this->filler_param_);
  const Dtype deviation = std::sqrt(2 / VarianceNorm(*blob, this->filler_param_));
  caffe_rng_gaussian<Dtype>(blob->count(), 0, deviation, blob->mutable_cpu_data());
}

template <typename Dtype>
void BilinearFiller<Dtype>::Fill(Blob<Dtype>* blob) {
  CheckDense(*blob, this->filler_param_);
  CHECK_EQ(blob->num_axes(), 4) << "filler 'bilinear' fills weights of four axes, not "
                                << blob->shape_string();
  CHECK_EQ(blob->width(), blob->height()) << "filler 'bilinear' fills square kernels";
  const int size = blob->width();
  const Dtype center = static_cast<Dtype>(size - 1) / 2;
  const int half = (size + 1) / 2;
  const Dtype factor = static_cast<Dtype>(half);
  vector<Dtype> hat(size);
  for (int i = 0; i < size; ++i) hat[i] = 1 - std::fabs(static_cast<Dtype>(i) - center) / factor;
  Dtype* data = blob->mutable_cpu_data();
  for (int i = 0; i < blob->count(); ++i) data[i] = hat[i % size] * hat[i / size % size];
}

namespace {

template <typename Dtype, template <typename> class FillerType>
Filler<Dtype>* Make(const FillerParameter& param) {
  return new FillerType<Dtype>(param);
}

}  // namespace

template <typename Dtype>
Filler<Dtype>* GetFiller(const FillerParameter& param) {
  typedef Filler<Dtype>* (*Creator)(const FillerParameter&);
  static const map<string, Creator> creators = {
      {"constant", Make<Dtype, ConstantFiller>}, {"uniform", Make<Dtype, UniformFiller>},
      {"gaussian", Make<Dtype, GaussianFiller>}, {"positive_unitball", Make<Dtype, PositiveUnitballFiller>},
      {"xavier", Make<Dtype, XavierFiller>},     {"msra", Make<Dtype, MSRAFiller>},
      {"bilinear", Make<Dtype, BilinearFiller>},
  };
  const auto found = creators.find(param.type());
  if (found != creators.end()) return found->second(param);
  vector<string> known;
  for (const auto& entry : creators) known.push_back(entry.first);
  throw Error(UnknownName("filler type", param.type(), known));
}
template Filler<float>* GetFiller<float>(const FillerParameter& param);
template Filler<double>* GetFiller<double>(const FillerParameter& param);

INSTANTIATE_CLASS(ConstantFiller);
INSTANTIATE_CLASS(UniformFiller);
INSTANTIATE_CLASS(GaussianFiller);
INSTANTIATE_CLASS(PositiveUnitballFiller);
INSTANTIATE_CLASS(XavierFiller);
INSTANTIATE_CLASS(MSRAFiller);
INSTANTIATE_CLASS(BilinearFiller);

}  // namespace caffe
