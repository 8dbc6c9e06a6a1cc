#include "caffe/layers/quant_layer.hpp"
#include "caffe/util/channel_kernels.cuh"
#include "caffe/util/elementwise.cuh"
#include "caffe/util/gpu_map.cuh"

namespace caffe {

namespace {

// A gradient that passes or does not; one of two, so that there is one kernel for both.
template <typename Dtype>
struct MaskGradient {
  bool is_clip;
  ClipFunction<Dtype> clip;
  ClippedReluGradient<Dtype> relu;

  __device__ Dtype Derivative(Dtype x, Dtype y) const {
    return is_clip ? clip.Derivative(x, y) : relu.Derivative(x, y);
  }
};

// A value, normalized where its channel has a mean and a deviation, what becomes of it, and what is kept.
template <typename Dtype>
struct KeptValue {
  Dtype x, y;
  unsigned char kept;
};

template <typename Dtype, typename Quantizer>
struct QuantizeValue {
  channel_kernels::ChannelOf channel_of;
  NormalizedChannels<Dtype> normalized;
  Quantizer quantizer;
  MaskGradient<Dtype> gradient;

  __device__ KeptValue<Dtype> operator()(int i) const {
    const Dtype x = normalized.mean ? normalized(channel_of(i))(i) : normalized.x[i];
    const Dtype y = quantizer.Forward(x);
    return {x, y, KeptByte(CodeOf(quantizer, y), gradient.Derivative(x, y) != 0)};
  }
};

// Of the values those go somewhere that somebody wants.
template <typename Dtype>
struct StoreValue {
  Dtype* y;
  KeepNormalized<Dtype> keep_normalized;

  __device__ void operator()(int i, const KeptValue<Dtype>& value) const {
    if (y) y[i] = value.y;
    keep_normalized(i, value.x);
  }
};

template <typename Dtype>
struct StoreKept {
  StoreValue<Dtype> store;
  unsigned char* kept;

  __device__ void operator()(int i, const KeptValue<Dtype>& value) const {
    store(i, value);
    kept[i] = value.kept;
  }
};

// The same for two neighbours, which share a byte; behind the last value there may be none.
template <typename Dtype>
struct KeptPair {
  KeptValue<Dtype> first, second;
};

template <typename Dtype, typename Quantize>
struct QuantizePair {
  int count;
  Quantize quantize;

  __device__ KeptPair<Dtype> operator()(int pair) const {
    const int i = 2 * pair;
    return {quantize(i), i + 1 < count ? quantize(i + 1) : KeptValue<Dtype>{}};
  }
};

template <typename Dtype>
struct StorePair {
  int count;
  StoreValue<Dtype> store;
  unsigned char* kept;

  __device__ void operator()(int pair, const KeptPair<Dtype>& values) const {
    const int i = 2 * pair;
    store(i, values.first);
    if (i + 1 < count) store(i + 1, values.second);
    kept[pair] =
        static_cast<unsigned char>(KeptHalfByte(values.first.kept) | KeptHalfByte(values.second.kept) << 4);
  }
};

template <typename Function>
struct KeptLevel {
  KeptValues kept;
  Function function;
  __device__ auto operator()(int i) const { return LevelOf(function, KeptCode(kept(i))); }
};

// The part of dy that passes.
template <typename Dtype>
struct KeptGradients {
  const Dtype* dy;
  KeptValues kept;

  struct OfChannel {
    const Dtype* dy;
    KeptValues kept;
    __device__ Dtype operator()(int64_t i) const {
      return dy[i] * static_cast<Dtype>(KeptDerivative(kept(i)));
    }
  };
  __device__ OfChannel operator()(int) const { return {dy, kept}; }
};

}  // namespace

template <typename Dtype>
void QuantLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int count = bottom[0]->count();
  const Dtype* x = bottom[0]->gpu_data();
  if (!KeepsMask()) {
    Dtype* y = top[0]->mutable_gpu_data();
    WithForward(true, [&](auto function) { GpuElementwiseForward(count, function, x, y); });
    return;
  }
  JoinedNormalization<Dtype> joined = {};
  joined.extent = {1, 1, count};
  if (batch_norm_) joined = batch_norm_->ForwardJoinedGpu(*bottom[0]);
  const MaskGradient<Dtype> gradient = {backward_func_ == "hard_tanh", {-Limit(), Limit()}, {0, Limit()}};
  Dtype* const y = offers_codes_ && codes_.is_alone ? nullptr : top[0]->mutable_gpu_data();
  const StoreValue<Dtype> store = {y, {joined.kept, joined.kept_bf16}};
  auto* const kept = reinterpret_cast<unsigned char*>(kept_.mutable_gpu_data());
  kept_in_halves_ = FitsHalfBytes();
  const channel_kernels::ChannelOf channel_of(joined.extent);
  WithForward(true, [&](auto function) {
    using Quantize = QuantizeValue<Dtype, decltype(function)>;
    const Quantize quantize = {channel_of, {x, joined.mean, joined.deviation}, function, gradient};
    if (kept_in_halves_) {
      GpuMapInto<KeptPair<Dtype>>((count + 1) / 2, QuantizePair<Dtype, Quantize>{count, quantize},
                                  StorePair<Dtype>{count, store, kept});
    } else {
      GpuMapInto<KeptValue<Dtype>>(count, quantize, StoreKept<Dtype>{store, kept});
    }
  });
}

template <typename Dtype>
void QuantLayer<Dtype>::RestoreTopGpu(Blob<Dtype>* top) const {
  WithForward(true, [&](auto function) {
    GpuMap(top->count(), KeptLevel<decltype(function)>{KeptOnGpu(), function}, top->mutable_gpu_data());
  });
}

template <typename Dtype>
void QuantLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const int count = bottom[0]->count();
  const Dtype* dy = top[0]->gpu_diff();
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  if (KeepsMask()) {
    const KeptGradients<Dtype> passed = {dy, KeptOnGpu()};
    if (count == 0) return;
    if (!batch_norm_) return GpuMapChannels({1, 1, count}, passed, dx);
    const JoinedNormalization<Dtype> joined = batch_norm_->JoinedOnGpu();
    if (joined.kept_bf16) {
      const ChannelValues<Dtype, BF16> normalized = {joined.kept_bf16};
      return GpuNormalizedGradient(joined.extent, normalized, joined.deviation, passed, dx);
    }
    return GpuNormalizedGradient(joined.extent, ChannelValues<Dtype>{joined.kept}, joined.deviation, passed,
                                 dx);
  }
  CheckNotInPlace(top, bottom);
  const Dtype* x = bottom[0]->gpu_data();
  const Dtype* y = top[0]->gpu_data();
  WithGradient([&](auto function) { GpuElementwiseBackward(count, function, x, y, dy, dx); });
}

INSTANTIATE_LAYER_GPU_FUNCS(QuantLayer);
#define INSTANTIATE_RESTORE(Dtype) template void QuantLayer<Dtype>::RestoreTopGpu(Blob<Dtype>*) const
INSTANTIATE_RESTORE(float);
INSTANTIATE_RESTORE(double);

}  // namespace caffe
