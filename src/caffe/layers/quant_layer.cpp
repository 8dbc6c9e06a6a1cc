#include "caffe/layers/quant_layer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "caffe/util/elementwise.hpp"
#include "caffe/util/nearest_names.hpp"

namespace caffe {

namespace {

void CheckFunction(const string& field, const string& name, const vector<string>& known) {
  if (std::count(known.begin(), known.end(), name) == 0) {
    throw Error(UnknownName("quant_param." + field, name, known));
  }
}

// The value of element i.
template <typename Function>
struct KeptLevels {
  const unsigned char* kept;
  Function function;
  auto operator()(int64_t i) const { return LevelOf(function, KeptCode(kept[i])); }
};

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
bool QuantLayer<Dtype>::HasCodes() const {
  // More are rare, and their codes would take longer to find.
  constexpr int kMaxCenters = 15;
  return forward_func_ == "sign" || (forward_func_ == "hwgq" && centers_.count() <= kMaxCenters);
}

template <typename Dtype>
Dtype QuantLayer<Dtype>::Limit() const {
  const Dtype limit = this->layer_param_.quant_param().clip_thr();
  return limit > 0 ? limit : std::numeric_limits<Dtype>::infinity();
}

template <typename Dtype>
void QuantLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  NeuronLayer<Dtype>::Reshape(bottom, top);
  ReshapeKept(bottom[0]->count(), Caffe::mode() == Caffe::GPU && FitsHalfBytes());
}

template <typename Dtype>
void QuantLayer<Dtype>::CheckNotInPlace(const vector<Blob<Dtype>*>& top,
                                        const vector<Blob<Dtype>*>& bottom) const {
  CHECK(bottom[0]->data() != top[0]->data())
      << "cannot run backward in place: the gradient needs the input; give the top another name than the "
         "bottom";
}

template <typename Dtype>
bool QuantLayer<Dtype>::KeepsMask() const {
  return reuses_memory_ && this->phase_ == TRAIN && backward_func_ != "log_tailed_relu" &&
         this->layer_param_.quant_param().negative_slope() == 0;
}

template <typename Dtype>
void QuantLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const int count = bottom[0]->count();
  if (!KeepsMask()) {
    WithForward(false, [&](auto function) { ElementwiseForward(count, function, x, y); });
    return;
  }
  auto* kept = reinterpret_cast<unsigned char*>(kept_.mutable_cpu_data());
  kept_in_halves_ = false;
  if (batch_norm_) {
    batch_norm_->ForwardJoined(*bottom[0], [=](int64_t begin, int64_t n, const Dtype* values) {
      ForwardKept(n, values, y + begin, kept + begin);
    });
    return;
  }
  ParallelFor(count, kElementGrain, [=](int64_t begin, int64_t end) {
    ForwardKept(end - begin, x + begin, y + begin, kept + begin);
  });
}

template <typename Dtype>
void QuantLayer<Dtype>::ForwardKept(int64_t count, const Dtype* x, Dtype* y, unsigned char* kept) const {
  // So few at a time that they are still in the cache when they are read again.
  constexpr int64_t kBlock = 4096;
  WithForward(false, [&](auto function) {
    WithGradient([&](auto gradient) {
      for (int64_t start = 0; start < count; start += kBlock) {
        const int64_t n = std::min(kBlock, count - start);
        ElementwiseForward(n, function, x + start, y + start);
        KeepElements(n, function, gradient, x + start, y + start, kept + start);
      }
    });
  });
}

template <typename Dtype>
const unsigned char* QuantLayer<Dtype>::KeptOnCpu(int count) {
  if (kept_in_halves_) {
    // The mode has changed since Forward.
    const KeptValues values = {reinterpret_cast<const unsigned char*>(kept_.cpu_data()), true};
    std::vector<unsigned char> bytes(count);
    for (int i = 0; i < count; ++i) bytes[i] = values(i);
    ReshapeKept(count, false);
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<unsigned char*>(kept_.mutable_cpu_data()));
    kept_in_halves_ = false;
  }
  return reinterpret_cast<const unsigned char*>(kept_.cpu_data());
}

template <typename Dtype>
void QuantLayer<Dtype>::JoinMaker(Layer<Dtype>* maker) {
  if (batch_norm_) batch_norm_->SetJoined(false);
  batch_norm_ = maker && KeepsMask() ? BatchNormLayer<Dtype>::Join(maker) : nullptr;
}

template <typename Dtype>
void QuantLayer<Dtype>::RestoreTop(int, Blob<Dtype>* top) {
#ifndef CPU_ONLY
  if (Caffe::mode() == Caffe::GPU) return RestoreTopGpu(top);
#endif
  const unsigned char* const kept = KeptOnCpu(top->count());
  WithForward(false, [&](auto function) {
    MapElements(top->count(), KeptLevels<decltype(function)>{kept, function}, top->mutable_cpu_data());
  });
}

template <typename Dtype>
const KeptCodes* QuantLayer<Dtype>::TopCodes(int top_index) {
  if (!OffersTopCodes(top_index)) return nullptr;
#ifndef CPU_ONLY
  codes_.kept = KeptOnGpu();
  codes_.count = Levels();
  WithForward(false, [&](auto function) {
    for (int code = 0; code < codes_.count; ++code) {
      codes_.levels[code] = static_cast<float>(LevelOf(function, code));
    }
  });
#endif
  return &codes_;
}

template <typename Dtype>
void QuantLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  if (KeepsMask()) {
    const unsigned char* const kept = KeptOnCpu(bottom[0]->count());
    if (batch_norm_) {
      batch_norm_->BackwardJoined(
          [=](int64_t begin, int64_t n) { KeptGradient(n, kept + begin, dy + begin, dx + begin); }, dx);
    } else {
      KeptGradient(bottom[0]->count(), kept, dy, dx);
    }
    return;
  }
  CheckNotInPlace(top, bottom);
  const Dtype* x = bottom[0]->cpu_data();
  const Dtype* y = top[0]->cpu_data();
  WithGradient([&](auto function) { ElementwiseBackward(bottom[0]->count(), function, x, y, dy, dx); });
}

#ifdef CPU_ONLY
STUB_GPU(QuantLayer);
#endif

INSTANTIATE_CLASS(QuantLayer);
REGISTER_LAYER_CLASS(Quant);

}  // namespace caffe
