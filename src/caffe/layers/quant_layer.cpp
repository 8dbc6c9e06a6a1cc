#include "caffe/layers/quant_layer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "caffe/util/elementwise.hpp"
#include "caffe/util/nearest_names.hpp"
#include "caffe/util/quantize.hpp"

namespace caffe {

namespace {

void CheckFunction(const string& field, const string& name, const vector<string>& known) {
  if (std::count(known.begin(), known.end(), name) == 0) {
    throw Error(UnknownName("quant_param." + field, name, known));
  }
}

}  // namespace

template <typename Dtype>
void QuantLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const QuantParameter& param = this->layer_param_.quant_param();
  forward_func_ = param.forward_func();
  backward_func_ = param.backward_func();
  CheckFunction("forward_func", forward_func_, {"hwgq", "sign", "hard_tanh", "relu"});
  CheckFunction("backward_func", backward_func_, {"relu", "hard_tanh", "log_tailed_relu"});
  CHECK(backward_func_ != "log_tailed_relu" || param.clip_thr() > 0)
      << "backward_func \"log_tailed_relu\" needs quant_param.clip_thr, where its tail begins: the largest "
         "center";
  if (forward_func_ == "hwgq") SetUpCenters();
  CHECK(this->phase_ != TRAIN || bottom[0] != top[0])
      << "cannot train in place: the gradient needs the input; give the top another name than the bottom";
}

template <typename Dtype>
void QuantLayer<Dtype>::SetUpCenters() {
  const QuantParameter& param = this->layer_param_.quant_param();
  const int count = param.centers_size();
  CHECK_GE(count, 1) << "forward_func \"hwgq\" needs quant_param.centers, the quantization levels above 0";
  centers_.Reshape(vector<int>(1, count));
  thrs_.Reshape(vector<int>(1, count));
  Dtype* centers = centers_.mutable_cpu_data();
  Dtype* thrs = thrs_.mutable_cpu_data();
  for (int j = 0; j < count; ++j) {
    CHECK(param.centers(j) > (j == 0 ? 0 : param.centers(j - 1)) && std::isfinite(param.centers(j)))
        << "quant_param.centers must be positive and ascending; number " << j + 1 << " is "
        << param.centers(j);
    centers[j] = param.centers(j);
  }
  for (int j = 0; j + 1 < count; ++j) thrs[j] = (centers[j] + centers[j + 1]) / 2;
  thrs[count - 1] = std::numeric_limits<Dtype>::infinity();

  if (param.thrs_size() == 0) return;
  CHECK_EQ(param.thrs_size(), count - 1) << "quant_param.thrs must be left out or be the " << count - 1
                                         << " midpoints of the " << count << " centers";
  // As many digits as people write.
  constexpr double kTolerance = 1e-3;
  for (int j = 0; j + 1 < count; ++j) {
    CHECK(std::fabs(param.thrs(j) - thrs[j]) <= kTolerance * thrs[j])
        << "quant_param.thrs must be left out or be the midpoints of the centers; number " << j + 1 << " is "
        << param.thrs(j) << ", not " << thrs[j];
  }
}

template <typename Dtype>
template <int kCenters>
void QuantLayer<Dtype>::ForwardHwgq(const Blob<Dtype>& bottom, Blob<Dtype>* top) const {
  HwgqFunction<Dtype, kCenters> function;
  function.negative_slope = this->layer_param_.quant_param().negative_slope();
  for (int j = 0; j < kCenters; ++j) {
    const int given = std::min(j, centers_.count() - 1);
    function.thrs[j] = thrs_.cpu_data()[given];
    function.centers[j] = centers_.cpu_data()[given];
  }
  ElementwiseForward(bottom.count(), function, bottom.cpu_data(), top->mutable_cpu_data());
}

template <typename Dtype>
void QuantLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int count = bottom[0]->count();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const Dtype negative_slope = this->layer_param_.quant_param().negative_slope();
  if (forward_func_ == "sign") {
    ElementwiseForward(count, SignFunction<Dtype>(), x, y);
  } else if (forward_func_ == "hard_tanh") {
    ElementwiseForward(count, ClipFunction<Dtype>{-1, 1}, x, y);
  } else if (forward_func_ == "relu") {
    ElementwiseForward(count, ReluFunction<Dtype>{negative_slope}, x, y);
  } else if (centers_.count() <= 1) {
    ForwardHwgq<1>(*bottom[0], top[0]);
  } else if (centers_.count() <= 3) {
    ForwardHwgq<3>(*bottom[0], top[0]);
  } else if (centers_.count() <= 7) {
    ForwardHwgq<7>(*bottom[0], top[0]);
  } else if (centers_.count() <= 15) {
    ForwardHwgq<15>(*bottom[0], top[0]);
  } else {
    const LongHwgqFunction<Dtype> function = {negative_slope, thrs_.cpu_data(), centers_.cpu_data(),
                                              centers_.count()};
    ElementwiseForward(count, function, x, y);
  }
}

template <typename Dtype>
void QuantLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const QuantParameter& param = this->layer_param_.quant_param();
  const int count = bottom[0]->count();
  const Dtype* x = bottom[0]->cpu_data();
  const Dtype* y = top[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  CHECK(x != y)
      << "cannot run backward in place: the gradient needs the input; give the top another name than "
         "the bottom";
  const Dtype limit = param.clip_thr() > 0 ? param.clip_thr() : std::numeric_limits<Dtype>::infinity();
  if (backward_func_ == "hard_tanh") {
    ElementwiseBackward(count, ClipFunction<Dtype>{-limit, limit}, x, y, dy, dx);
    return;
  }
  const Dtype negative_slope = param.negative_slope();
  if (backward_func_ == "log_tailed_relu") {
    ElementwiseBackward(count, LogTailedReluGradient<Dtype>{negative_slope, limit}, x, y, dy, dx);
  } else {
    ElementwiseBackward(count, ClippedReluGradient<Dtype>{negative_slope, limit}, x, y, dy, dx);
  }
}

#ifdef CPU_ONLY
STUB_GPU(QuantLayer);
#endif

INSTANTIATE_CLASS(QuantLayer);
REGISTER_LAYER_CLASS(Quant);

}  // namespace caffe
