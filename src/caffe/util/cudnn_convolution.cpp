#include "caffe/util/cudnn_convolution.hpp"

#ifdef USE_CUDNN

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <type_traits>

#include "caffe/util/gpu_memory.hpp"
#include "caffe/util/gpu_precision.hpp"

namespace caffe {
namespace cudnn {

namespace {

// The three things that cuDNN computes of a convolution, in its words: x is the input, w the weights, y the
// output, or their gradients.
struct Operands {
  cudnnTensorDescriptor_t x_desc, y_desc;
  cudnnFilterDescriptor_t w_desc;
  cudnnConvolutionDescriptor_t convolution;
  const void *x, *w, *y;
  void* result;  // takes the place of one of the three
};

// An algorithm may be listed with each kind of arithmetic (cudnnMathType_t).
constexpr int kMathTypes = 4;

struct ForwardPass {
  using Algorithm = cudnnConvolutionFwdAlgo_t;
  using Result = cudnnConvolutionFwdAlgoPerf_t;
  static constexpr int kIndex = 0, kCount = CUDNN_CONVOLUTION_FWD_ALGO_COUNT, kResults = kMathTypes * kCount;

  static cudnnStatus_t GetWorkspace(cudnnHandle_t handle, const Operands& a, Algorithm algorithm,
                                    size_t* bytes) {
    return cudnnGetConvolutionForwardWorkspaceSize(handle, a.x_desc, a.w_desc, a.convolution, a.y_desc,
                                                   algorithm, bytes);
  }
  static cudnnStatus_t Measure(cudnnHandle_t handle, const Operands& a, int* count, Result* results,
                               void* workspace, size_t bytes) {
    return cudnnFindConvolutionForwardAlgorithmEx(handle, a.x_desc, a.x, a.w_desc, a.w, a.convolution,
                                                  a.y_desc, a.result, kResults, count, results, workspace,
                                                  bytes);
  }
  static cudnnStatus_t Guess(cudnnHandle_t handle, const Operands& a, int* count, Result* results) {
    return cudnnGetConvolutionForwardAlgorithm_v7(handle, a.x_desc, a.w_desc, a.convolution, a.y_desc,
                                                  kResults, count, results);
  }
  static cudnnStatus_t Run(cudnnHandle_t handle, const Operands& a, Algorithm algorithm, void* workspace,
                           size_t bytes, const void* one, const void* beta) {
    return cudnnConvolutionForward(handle, one, a.x_desc, a.x, a.w_desc, a.w, a.convolution, algorithm,
                                   workspace, bytes, beta, a.y_desc, a.result);
  }
};

struct DataPass {
  using Algorithm = cudnnConvolutionBwdDataAlgo_t;
  using Result = cudnnConvolutionBwdDataAlgoPerf_t;
  static constexpr int kIndex = 1, kCount = CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT,
                       kResults = kMathTypes * kCount;

  static cudnnStatus_t GetWorkspace(cudnnHandle_t handle, const Operands& a, Algorithm algorithm,
                                    size_t* bytes) {
    return cudnnGetConvolutionBackwardDataWorkspaceSize(handle, a.w_desc, a.y_desc, a.convolution, a.x_desc,
                                                        algorithm, bytes);
  }
  static cudnnStatus_t Measure(cudnnHandle_t handle, const Operands& a, int* count, Result* results,
                               void* workspace, size_t bytes) {
    return cudnnFindConvolutionBackwardDataAlgorithmEx(handle, a.w_desc, a.w, a.y_desc, a.y, a.convolution,
                                                       a.x_desc, a.result, kResults, count, results,
                                                       workspace, bytes);
  }
  static cudnnStatus_t Guess(cudnnHandle_t handle, const Operands& a, int* count, Result* results) {
    return cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, a.w_desc, a.y_desc, a.convolution, a.x_desc,
                                                       kResults, count, results);
  }
  static cudnnStatus_t Run(cudnnHandle_t handle, const Operands& a, Algorithm algorithm, void* workspace,
                           size_t bytes, const void* one, const void* beta) {
    return cudnnConvolutionBackwardData(handle, one, a.w_desc, a.w, a.y_desc, a.y, a.convolution, algorithm,
                                        workspace, bytes, beta, a.x_desc, a.result);
  }
};

struct WeightsPass {
  using Algorithm = cudnnConvolutionBwdFilterAlgo_t;
  using Result = cudnnConvolutionBwdFilterAlgoPerf_t;
  static constexpr int kIndex = 2, kCount = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT,
                       kResults = kMathTypes * kCount;

  static cudnnStatus_t GetWorkspace(cudnnHandle_t handle, const Operands& a, Algorithm algorithm,
                                    size_t* bytes) {
    return cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, a.x_desc, a.y_desc, a.convolution, a.w_desc,
                                                          algorithm, bytes);
  }
  static cudnnStatus_t Measure(cudnnHandle_t handle, const Operands& a, int* count, Result* results,
                               void* workspace, size_t bytes) {
    return cudnnFindConvolutionBackwardFilterAlgorithmEx(handle, a.x_desc, a.x, a.y_desc, a.y, a.convolution,
                                                         a.w_desc, a.result, kResults, count, results,
                                                         workspace, bytes);
  }
  static cudnnStatus_t Guess(cudnnHandle_t handle, const Operands& a, int* count, Result* results) {
    return cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, a.x_desc, a.y_desc, a.convolution, a.w_desc,
                                                         kResults, count, results);
  }
  static cudnnStatus_t Run(cudnnHandle_t handle, const Operands& a, Algorithm algorithm, void* workspace,
                           size_t bytes, const void* one, const void* beta) {
    return cudnnConvolutionBackwardFilter(handle, one, a.x_desc, a.x, a.y_desc, a.y, a.convolution, algorithm,
                                          workspace, bytes, beta, a.w_desc, a.result);
  }
};

// How a pass over a shape is computed.
struct Choice {
  bool possible;
  int algorithm;
  cudnnMathType_t math;
  size_t workspace;
};

// Which pass, type of numbers, precision, device; and the shape.
using Key = std::array<int, 20>;

// The choices of all layers and threads.
class Choices {
 public:
  static Choices& All() {
    static Choices all;
    return all;
  }
  bool Find(const Key& key, Choice* choice) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = choices_.find(key);
    if (found == choices_.end()) return false;
    *choice = found->second;
    return true;
  }
  // Keeps the first one, where two threads have chosen at the same time.
  Choice Keep(const Key& key, const Choice& choice) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return choices_.emplace(key, choice).first->second;
  }

 private:
  std::mutex mutex_;
  std::map<Key, Choice> choices_;
};

bool SearchesByTime() {
  const char* const value = std::getenv("CAFFE_CUDNN_SEARCH");
  const string text = value ? value : "1";
  CHECK(text == "0" || text == "1") << "the environment variable CAFFE_CUDNN_SEARCH is '" << text
                                    << "': it may be 0 or 1";
  return text == "1";
}

size_t WorkspaceLimit() {
  if (const char* const value = std::getenv("CAFFE_CUDNN_WORKSPACE_MB")) {
    char* end = nullptr;
    const long megabytes = std::strtol(value, &end, 10);
    CHECK(end != value && *end == '\0' && megabytes >= 0 && megabytes <= 1 << 20)
        << "the environment variable CAFFE_CUDNN_WORKSPACE_MB is '" << value
        << "': it must be a number of MB";
    return static_cast<size_t>(megabytes) << 20;
  }
  return std::min<size_t>(GetGpuMemoryRoom().free / 4, size_t(1) << 30);
}

// Whether what a convolution was asked to compute with allows a result's. cuDNN lists results of other kinds,
// too.
bool IsAllowed(cudnnMathType_t math, cudnnMathType_t asked) {
  // CUDNN_DEFAULT_MATH allows TF32 as CUDNN_TENSOR_OP_MATH does; only the third kind goes below it.
  return asked == CUDNN_FMA_MATH ? math == CUDNN_FMA_MATH : math != CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
}

// The first of the results that is allowed.
template <typename Pass>
Choice FirstAllowed(cudnnHandle_t handle, const Operands& operands, cudnnMathType_t math,
                    const typename Pass::Result* results, int count, size_t limit) {
  for (int i = 0; i < count; ++i) {
    const typename Pass::Result& result = results[i];
    if (result.status != CUDNN_STATUS_SUCCESS || result.determinism != CUDNN_DETERMINISTIC ||
        !IsAllowed(result.mathType, math)) {
      continue;
    }
    CUDNN_CHECK(cudnnSetConvolutionMathType(operands.convolution, result.mathType));
    size_t bytes = 0;
    if (Pass::GetWorkspace(handle, operands, result.algo, &bytes) != CUDNN_STATUS_SUCCESS || bytes > limit)
      continue;
    return {true, static_cast<int>(result.algo), result.mathType, bytes};
  }
  return {};
}

// So many bytes, or as many as there is room for.
std::unique_ptr<const GpuArray<char>> TakeWorkspace(size_t* bytes) {
  for (;; *bytes /= 2) {
    try {
      return std::make_unique<const GpuArray<char>>(*bytes);
    } catch (const GpuMemoryError&) {
      if (*bytes == 0) throw;
    }
  }
}

template <typename Pass>
Choice Choose(cudnnHandle_t handle, const Operands& operands, cudnnMathType_t math) {
  CUDNN_CHECK(cudnnSetConvolutionMathType(operands.convolution, math));
  size_t limit = WorkspaceLimit();
  typename Pass::Result results[Pass::kResults];
  int count = 0;
  if (SearchesByTime()) {
    // Room for every algorithm that is allowed.
    size_t most = 0;
    for (int algorithm = 0; algorithm < Pass::kCount; ++algorithm) {
      size_t bytes = 0;
      const cudnnStatus_t status =
          Pass::GetWorkspace(handle, operands, static_cast<typename Pass::Algorithm>(algorithm), &bytes);
      if (status == CUDNN_STATUS_SUCCESS && bytes <= limit) most = std::max(most, bytes);
    }
    limit = most;
    const auto workspace = TakeWorkspace(&limit);
    if (Pass::Measure(handle, operands, &count, results, workspace->get(), limit) == CUDNN_STATUS_SUCCESS) {
      const Choice choice = FirstAllowed<Pass>(handle, operands, math, results, count, limit);
      if (choice.possible) return choice;
    }
    // An error of the device, which stays one, is told by what comes next.
    CUDNN_CHECK(cudnnSetConvolutionMathType(operands.convolution, math));
  }
  const cudnnStatus_t status = Pass::Guess(handle, operands, &count, results);
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) return {};
  CUDNN_CHECK(status);
  return FirstAllowed<Pass>(handle, operands, math, results, count, limit);
}

}  // namespace

template <typename Dtype>
struct Convolution<Dtype>::Parts {
  ConvolutionShape shape = {};
  bool allows_tf32 = false;
  TensorDescriptor input, output, input_bias, output_bias;
  FilterDescriptor weights;
  ConvolutionDescriptor convolution;

  Operands Describe() {
    return {input.get(), output.get(), weights.get(), convolution.get(), {}, {}, {}, {}};
  }

  Key MakeKey(int pass) const {
    const ConvolutionShape& s = shape;
    return {pass,           std::is_same<Dtype, double>::value,
            allows_tf32,    Caffe::device(),
            s.num,          s.in_channels,
            s.in_height,    s.in_width,
            s.out_channels, s.out_height,
            s.out_width,    s.group,
            s.kernel_h,     s.kernel_w,
            s.stride_h,     s.stride_w,
            s.pad_h,        s.pad_w,
            s.dilation_h,   s.dilation_w};
  }

  cudnnMathType_t Math() const {
    // Doubles are multiplied as they are either way, and faster on tensor cores.
    return allows_tf32 || std::is_same<Dtype, double>::value ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
  }

  // result = the pass's result + beta result.
  template <typename Pass>
  bool Run(const Operands& operands, const void* beta) {
    const cudnnHandle_t handle = CudnnHandle();
    const Key key = MakeKey(Pass::kIndex);
    Choice choice;
    if (!Choices::All().Find(key, &choice)) {
      if (beta == dataType<Dtype>::zero) {
        choice = Choose<Pass>(handle, operands, Math());
      } else {
        // Not on what is to be added to.
        Operands trial = operands;
        const GpuArray<Dtype> scratch(static_cast<size_t>(shape.out_channels) *
                                      (shape.in_channels / shape.group) * shape.kernel_h * shape.kernel_w);
        trial.result = scratch.get();
        choice = Choose<Pass>(handle, trial, Math());
      }
      choice = Choices::All().Keep(key, choice);
    }
    if (!choice.possible) return false;
    CUDNN_CHECK(cudnnSetConvolutionMathType(convolution.get(), choice.math));
    const GpuArray<char> workspace(choice.workspace);
    CUDNN_CHECK(Pass::Run(handle, operands, static_cast<typename Pass::Algorithm>(choice.algorithm),
                          workspace.get(), choice.workspace, dataType<Dtype>::one, beta));
    return true;
  }
};

template <typename Dtype>
Convolution<Dtype>::Convolution() : parts_(std::make_unique<Parts>()) {}

template <typename Dtype>
Convolution<Dtype>::~Convolution() = default;

template <typename Dtype>
void Convolution<Dtype>::SetShape(const ConvolutionShape& s) {
  Parts& parts = *parts_;
  parts.shape = s;
  parts.allows_tf32 = AllowTF32();
  parts.input.template Set<Dtype>(s.num, s.in_channels, s.in_height, s.in_width);
  parts.output.template Set<Dtype>(s.num, s.out_channels, s.out_height, s.out_width);
  parts.input_bias.template Set<Dtype>(1, s.in_channels, 1, 1);
  parts.output_bias.template Set<Dtype>(1, s.out_channels, 1, 1);
  CUDNN_CHECK(cudnnSetFilter4dDescriptor(parts.weights.get(), dataType<Dtype>::type, CUDNN_TENSOR_NCHW,
                                         s.out_channels, s.in_channels / s.group, s.kernel_h, s.kernel_w));
  CUDNN_CHECK(cudnnSetConvolution2dDescriptor(parts.convolution.get(), s.pad_h, s.pad_w, s.stride_h,
                                              s.stride_w, s.dilation_h, s.dilation_w, CUDNN_CROSS_CORRELATION,
                                              dataType<Dtype>::type));
  CUDNN_CHECK(cudnnSetConvolutionGroupCount(parts.convolution.get(), s.group));
}

template <typename Dtype>
bool Convolution<Dtype>::Convolve(const Dtype* input, const Dtype* weights, Dtype* output) {
  Operands operands = parts_->Describe();
  operands.x = input;
  operands.w = weights;
  operands.result = output;
  return parts_->template Run<ForwardPass>(operands, dataType<Dtype>::zero);
}

template <typename Dtype>
bool Convolution<Dtype>::ConvolveTransposed(const Dtype* output, const Dtype* weights, Dtype* input) {
  Operands operands = parts_->Describe();
  operands.y = output;
  operands.w = weights;
  operands.result = input;
  return parts_->template Run<DataPass>(operands, dataType<Dtype>::zero);
}

template <typename Dtype>
bool Convolution<Dtype>::AddWeightGradient(const Dtype* input, const Dtype* output, Dtype* weight_diff) {
  Operands operands = parts_->Describe();
  operands.x = input;
  operands.y = output;
  operands.result = weight_diff;
  return parts_->template Run<WeightsPass>(operands, dataType<Dtype>::one);
}

template <typename Dtype>
void Convolution<Dtype>::AddBias(bool to_inputs, const Dtype* bias, Dtype* images) {
  Parts& parts = *parts_;
  CUDNN_CHECK(cudnnAddTensor(CudnnHandle(), dataType<Dtype>::one,
                             (to_inputs ? parts.input_bias : parts.output_bias).get(), bias,
                             dataType<Dtype>::one, (to_inputs ? parts.input : parts.output).get(), images));
}

template <typename Dtype>
void Convolution<Dtype>::AddBiasGradient(bool of_inputs, const Dtype* images, Dtype* bias_diff) {
  Parts& parts = *parts_;
  CUDNN_CHECK(cudnnConvolutionBackwardBias(
      CudnnHandle(), dataType<Dtype>::one, (of_inputs ? parts.input : parts.output).get(), images,
      dataType<Dtype>::one, (of_inputs ? parts.input_bias : parts.output_bias).get(), bias_diff));
}

template class Convolution<float>;
template class Convolution<double>;

}  // namespace cudnn
}  // namespace caffe

#endif  // USE_CUDNN
