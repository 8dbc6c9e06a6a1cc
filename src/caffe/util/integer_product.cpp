#include "caffe/util/integer_product.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <type_traits>

#include "caffe/lowbit/integer_levels.hpp"
#include "caffe/util/backward_precision.hpp"
#include "caffe/util/binarize.hpp"
#include "caffe/util/gpu_binary_gradients.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/sign_bits.hpp"

namespace caffe {

namespace {

// Multiply-adds on bits that are worth waking threads for.
constexpr int64_t kWorthThreads = int64_t{1} << 21;

void Loop(int64_t tasks, const std::function<void(int64_t)>& task) {
  ParallelFor(tasks, 1, [&task](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) task(i);
  });
}

void LoopAlone(int64_t tasks, const std::function<void(int64_t)>& task) {
  for (int64_t i = 0; i < tasks; ++i) task(i);
}

bool AllFinite(const vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

template <typename Dtype>
bool IntegerProduct<Dtype>::UpdateWeights(bool use_alpha, const Blob<Dtype>& weights) {
  if (!seen_.IsNew(weights.data(), false)) return false;
  vector<uint8_t> signs;
  BinarizeToSigns(weights, use_alpha, &alphas_, &signs);
  if (signs == signs_) return false;
  signs_.swap(signs);
  return true;
}

template <typename Dtype>
bool IntegerProduct<Dtype>::Prepare(const lowbit::BinaryProductShape& shape, bool use_alpha,
                                    const Blob<Dtype>& weights) {
  const bool is_new_shape = !(shape == shape_) || (!product_ && !is_impossible_);
  if (!is_new_shape && is_impossible_) return false;
  const bool changed = UpdateWeights(use_alpha, weights);
  if (is_new_shape || changed) {
    // What there is goes first, so that both need not fit into memory.
    product_.reset();
    try {
      product_ = lowbit::BinaryProduct::Make(shape, levels_, signs_.data(), ParallelThreads(), Loop);
    } catch (const std::runtime_error& error) {
      throw Error(error.what());
    }
    shape_ = shape;
    is_impossible_ = !product_;
  }
  return product_ != nullptr;
}

template <typename Dtype>
bool IntegerProduct<Dtype>::Forward(const lowbit::BinaryProductShape& shape, bool use_alpha,
                                    const vector<shared_ptr<Blob<Dtype>>>& blobs,
                                    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  is_unfilled_ = false;
#ifndef CPU_ONLY
  is_gpu_unfilled_ = false;
#endif
  if constexpr (std::is_same<Dtype, float>::value) {
    if (levels_.empty() || !Prepare(shape, use_alpha, *blobs[0]) || !AllFinite(alphas_)) return false;
    const float* bias = blobs.size() > 1 ? blobs[1]->cpu_data() : nullptr;
    const int64_t elements = int64_t{shape.channels} * shape.height * shape.width;
    for (size_t i = 0; i < bottom.size(); ++i) {
      const bool alone = top[i]->count() * shape.weights() < kWorthThreads;
      if (!product_->Run(bottom[i]->count() / elements, bottom[i]->cpu_data(), alphas_.data(), bias,
                         top[i]->mutable_cpu_data(), alone ? 1 : ParallelThreads(),
                         alone ? LoopAlone : Loop)) {
        return false;
      }
    }
    is_unfilled_ = true;
  }
  return is_unfilled_;
}

template <typename Dtype>
void IntegerProduct<Dtype>::RestoreData(Blob<Dtype>* bottom) const {
  const KeptCodes* const codes = BottomCodes();
  if (codes && codes->is_alone) maker_->RestoreTop(maker_top_, bottom);
}

#ifdef CPU_ONLY

template <typename Dtype>
bool IntegerProduct<Dtype>::ReadsCodes(const lowbit::BinaryProductShape&) const {
  return false;
}

template <typename Dtype>
bool IntegerProduct<Dtype>::ReadsCodesBackward(const lowbit::BinaryProductShape&) const {
  return false;
}

template <typename Dtype>
bool IntegerProduct<Dtype>::ForwardGpu(const lowbit::BinaryProductShape&, bool,
                                       const vector<shared_ptr<Blob<Dtype>>>&, const vector<Blob<Dtype>*>&,
                                       const vector<Blob<Dtype>*>&) {
  NO_GPU;
}

template <typename Dtype>
bool IntegerProduct<Dtype>::BackwardInBF16(const lowbit::BinaryProductShape&, Blob<Dtype>*, Blob<Dtype>*,
                                           const vector<shared_ptr<Blob<Dtype>>>&, const vector<bool>&,
                                           const vector<Blob<Dtype>*>&, const vector<bool>&,
                                           const vector<Blob<Dtype>*>&) {
  NO_GPU;
}

#else

template <typename Dtype>
bool IntegerProduct<Dtype>::ReadsCodes(const lowbit::BinaryProductShape& shape) const {
  if (!std::is_same<Dtype, float>::value || Caffe::mode() != Caffe::GPU || !maker_ ||
      !maker_->RestoresTop(maker_top_) || levels_.empty()) {
    return false;
  }
  if (shape == gpu_shape_ && (gpu_product_ || is_gpu_impossible_)) return !is_gpu_impossible_;
  return GpuBinaryProduct::Suits(shape, levels_);
}

template <typename Dtype>
bool IntegerProduct<Dtype>::ReadsCodesBackward(const lowbit::BinaryProductShape& shape) const {
  return ReadsCodes(shape) && maker_->OffersTopCodes(maker_top_) && BackwardPrecision() == Precision::kBF16 &&
         SuitsBF16(shape);
}

template <typename Dtype>
bool IntegerProduct<Dtype>::PrepareGpu(const lowbit::BinaryProductShape& shape, bool use_alpha,
                                       const Blob<Dtype>& weights) {
  const bool is_new_shape = !(shape == gpu_shape_) || (!gpu_product_ && !is_gpu_impossible_);
  if (is_new_shape) {
    // What there is goes first, so that both need not fit into memory.
    gpu_product_.reset();
    gpu_product_ = GpuBinaryProduct::Make(shape, levels_);
    gpu_shape_ = shape;
    is_gpu_impossible_ = !gpu_product_;
  }
  if (is_gpu_impossible_) return false;
  const Dtype* data = weights.gpu_data();
  const bool is_new = gpu_seen_.IsNew(weights.data(), true);
  if constexpr (std::is_same<Dtype, float>::value) {
    if (is_new_shape || is_new) gpu_product_->SetWeights(data, use_alpha);
  }
  return true;
}

template <typename Dtype>
bool IntegerProduct<Dtype>::ForwardGpu(const lowbit::BinaryProductShape& shape, bool use_alpha,
                                       const vector<shared_ptr<Blob<Dtype>>>& blobs,
                                       const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  is_unfilled_ = is_gpu_unfilled_ = false;
  if constexpr (std::is_same<Dtype, float>::value) {
    if (levels_.empty() || !PrepareGpu(shape, use_alpha, *blobs[0])) return false;
    const float* bias = blobs.size() > 1 ? blobs[1]->gpu_data() : nullptr;
    const int64_t elements = int64_t{shape.channels} * shape.height * shape.width;
    for (size_t i = 0; i < bottom.size(); ++i) {
      const int64_t images = bottom[i]->count() / elements;
      const KeptCodes* const codes = i == 0 ? BottomCodes() : nullptr;
      if (!codes) {
        gpu_product_->Run(images, bottom[i]->gpu_data(), bias, top[i]->mutable_gpu_data());
      } else if (!gpu_product_->Run(images, *codes, bias, top[i]->mutable_gpu_data())) {
        return false;
      }
    }
    is_gpu_unfilled_ = true;
  }
  return is_gpu_unfilled_;
}

template <typename Dtype>
bool IntegerProduct<Dtype>::BackwardInBF16(const lowbit::BinaryProductShape& shape, Blob<Dtype>* alphas,
                                           Blob<Dtype>* binary, const vector<shared_ptr<Blob<Dtype>>>& blobs,
                                           const vector<bool>& param_propagate_down,
                                           const vector<Blob<Dtype>*>& top,
                                           const vector<bool>& propagate_down,
                                           const vector<Blob<Dtype>*>& bottom) {
  if constexpr (std::is_same<Dtype, float>::value) {
    if (BackwardPrecision() != Precision::kBF16 || !SuitsBF16(shape)) return false;
    const int64_t elements = int64_t{shape.channels} * shape.height * shape.width;
    if (elements == 0) return false;
    const lowbit::IntegerLevels integers = lowbit::FindProductLevels(levels_, shape.weights());
    BinaryGradients gradients = {};
    gradients.shape = shape;
    if (is_gpu_unfilled_) {
      const GpuBinaryProduct::Signs signs = gpu_product_->signs();
      gradients.alphas = signs.alphas;
      gradients.sign_rows = signs.rows;
      gradients.row_words = signs.row_words;
    } else {
      FillBinaryWeights(*blobs[0], alphas, binary);
      gradients.alphas = alphas->gpu_data();
      gradients.binary = binary->gpu_data();
    }
    gradients.unit = integers.levels.empty() ? 1 : static_cast<float>(integers.unit);
    if (param_propagate_down[0]) gradients.weight_diff = blobs[0]->mutable_gpu_diff();
    if (blobs.size() > 1 && param_propagate_down[1]) gradients.bias_diff = blobs[1]->mutable_gpu_diff();
    for (size_t i = 0; i < bottom.size(); ++i) {
      gradients.images = static_cast<int>(bottom[i]->count() / elements);
      gradients.input_codes = gradients.weight_diff && i == 0 ? BottomCodes() : nullptr;
      gradients.input = gradients.weight_diff && !gradients.input_codes ? bottom[i]->gpu_data() : nullptr;
      gradients.output_diff = top[i]->gpu_diff();
      gradients.input_diff = propagate_down[i] ? bottom[i]->mutable_gpu_diff() : nullptr;
      // All bottoms have one shape, so that it is the first or none that is not done.
      if (!ComputeGradientsInBF16(gradients)) return false;
    }
    return true;
  }
  return false;
}

#endif  // CPU_ONLY

template <typename Dtype>
void IntegerProduct<Dtype>::FillBinaryWeights(const Blob<Dtype>& weights, Blob<Dtype>* alphas,
                                              Blob<Dtype>* binary) {
#ifndef CPU_ONLY
  if constexpr (std::is_same<Dtype, float>::value) {
    if (is_gpu_unfilled_) {
      ReshapeForBinary(weights, alphas, binary);
      gpu_product_->FillBinaryWeights(alphas->mutable_gpu_data(), binary->mutable_gpu_data());
      is_gpu_unfilled_ = false;
    }
  }
#endif
  if (!is_unfilled_) return;
  ReshapeForBinary(weights, alphas, binary);
  caffe_copy(alphas->count(), alphas_.data(), alphas->mutable_cpu_data());
  UnpackSigns(weights.shape(0), weights.count(1), signs_.data(), alphas_.data(), binary->mutable_cpu_data());
  is_unfilled_ = false;
}

template <typename Dtype>
void IntegerProduct<Dtype>::UnpackRows(const Blob<Dtype>& weights, int64_t first, int64_t count,
                                       Dtype* binary) const {
  const int64_t n = weights.count(1);
  UnpackSigns(count, n, signs_.data() + first * SignBytes(n), alphas_.data() + first, binary);
}

template <typename Dtype>
vector<Blob<Dtype>*> IntegerProduct<Dtype>::UnfilledWeights(const Blob<Dtype>& weights, Blob<Dtype>* alphas,
                                                            Blob<Dtype>* binary) {
  if (!is_unfilled_) return {};
  ReshapeForBinary(weights, alphas, binary);
  return {binary};
}

template class IntegerProduct<float>;
template class IntegerProduct<double>;

}  // namespace caffe
