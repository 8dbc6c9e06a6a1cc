// cuDNN: the formulas of its documentation, by loops, with sums in doubles.

#include "cudnn.h"

#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "gpu_emulator.h"
#include "state.hpp"
#include "streams.hpp"

struct cudnnContext {
  int device = 0;
  cudaStream_t stream = nullptr;
};

// The sizes of a dense tensor or filter; none until it is set.
struct cudnnTensorStruct {
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  int n = 0, c = 0, h = 0, w = 0;

  int64_t count() const { return static_cast<int64_t>(n) * c * h * w; }
  size_t bytes() const { return count() * (type == CUDNN_DATA_FLOAT ? 4 : 8); }
  bool operator==(const cudnnTensorStruct& other) const {
    return type == other.type && n == other.n && c == other.c && h == other.h && w == other.w;
  }
};

struct cudnnFilterStruct : cudnnTensorStruct {};

struct cudnnConvolutionStruct {
  int pad_h = 0, pad_w = 0, stride_h = 0, stride_w = 0, dilation_h = 0, dilation_w = 0;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  cudnnMathType_t math = CUDNN_DEFAULT_MATH;
  int groups = 1;
};

struct cudnnPoolingStruct {
  cudnnPoolingMode_t mode = CUDNN_POOLING_MAX;
  int height = 0, width = 0, pad_h = 0, pad_w = 0, stride_h = 0, stride_w = 0;
};

struct cudnnActivationStruct {
  cudnnActivationMode_t mode = CUDNN_ACTIVATION_RELU;
  bool is_set = false;
};

struct cudnnLRNStruct {
  unsigned n = 0;
  double alpha = 0, beta = 0, k = 0;
};

namespace gpu_emulator {
namespace {

thread_local std::string last_error;

cudnnStatus_t Fail(cudnnStatus_t status, const std::string& why) {
  last_error = why;
  return status;
}

#define RETURN_UNLESS_SUCCESS(expression)                         \
  do {                                                            \
    if (const cudnnStatus_t status = (expression)) return status; \
  } while (0)
#define RETURN_BAD_PARAM_UNLESS(condition) \
  if (!(condition)) return Fail(CUDNN_STATUS_BAD_PARAM, std::string(__func__) + ": not " #condition)

cudnnStatus_t CheckHandle(cudnnHandle_t handle) {
  if (!handle) return Fail(CUDNN_STATUS_NOT_INITIALIZED, "no handle");
  if (handle->device != CurrentDevice()) {
    return Fail(CUDNN_STATUS_EXECUTION_FAILED, "the handle belongs to another GPU");
  }
  // What is computed here is computed at once, even if others are lazy.
  WaitForTurn(handle->stream);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t CheckOn(const char* name, const cudnnTensorStruct* tensor, const void* data) {
  if (!tensor || tensor->count() == 0)
    return Fail(CUDNN_STATUS_BAD_PARAM, std::string(name) + ": no descriptor");
  if (!data) return Fail(CUDNN_STATUS_BAD_PARAM, std::string(name) + " is null");
  return CheckOperand("cuDNN", name, data, tensor->bytes()) ? CUDNN_STATUS_SUCCESS
                                                            : CUDNN_STATUS_EXECUTION_FAILED;
}

/// Calls f with a value of the type.
template <typename F>
cudnnStatus_t WithType(cudnnDataType_t type, const F& f) {
  const DeviceAccess access;
  if (type == CUDNN_DATA_FLOAT) {
    f(float());
  } else {
    f(double());
  }
  return CUDNN_STATUS_SUCCESS;
}

/// *to = alpha value + beta *to; what is there is not read for beta 0.
template <typename T>
class Blend {
 public:
  Blend(const void* alpha, const void* beta)
      : alpha_(*static_cast<const T*>(alpha)), beta_(*static_cast<const T*>(beta)) {}
  void operator()(double value, T* to) const {
    *to = static_cast<T>(alpha_ * value + (beta_ == 0 ? 0.0 : static_cast<double>(beta_) * *to));
  }

 private:
  const T alpha_, beta_;
};

// ---- Convolution ----

enum class Pass { kForward, kData, kFilter };

struct ConvolutionCall {
  const cudnnTensorStruct *x, *y;
  const cudnnFilterStruct* w;
  const cudnnConvolutionStruct* convolution;
};

cudnnStatus_t CheckConvolution(cudnnHandle_t handle, const ConvolutionCall& a) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_BAD_PARAM_UNLESS(a.x && a.y && a.w && a.convolution);
  const cudnnConvolutionStruct& c = *a.convolution;
  RETURN_BAD_PARAM_UNLESS(a.x->count() > 0 && a.y->count() > 0 && a.w->count() > 0 && c.stride_h > 0);
  RETURN_BAD_PARAM_UNLESS(a.x->type == a.y->type && a.x->type == a.w->type && a.x->type == c.type);
  RETURN_BAD_PARAM_UNLESS(a.x->n == a.y->n && a.x->c == a.w->c * c.groups && a.y->c == a.w->n);
  RETURN_BAD_PARAM_UNLESS(a.y->c % c.groups == 0);
  const auto size = [](int in, int pad, int kernel, int dilation, int stride) {
    return (in + 2 * pad - (dilation * (kernel - 1) + 1)) / stride + 1;
  };
  RETURN_BAD_PARAM_UNLESS(a.y->h == size(a.x->h, c.pad_h, a.w->h, c.dilation_h, c.stride_h));
  RETURN_BAD_PARAM_UNLESS(a.y->w == size(a.x->w, c.pad_w, a.w->w, c.dilation_w, c.stride_w));
  return CUDNN_STATUS_SUCCESS;
}

// As cuDNN's users know it: the second needs workspace, and the third none.
cudnnStatus_t WorkspaceOf(int algorithm, const ConvolutionCall& a, size_t* bytes) {
  if (algorithm > 2) return Fail(CUDNN_STATUS_NOT_SUPPORTED, "an algorithm that does not exist");
  *bytes = algorithm == 1 ? a.x->bytes() : 0;
  return CUDNN_STATUS_SUCCESS;
}

/// A factor as the convolution's kind of arithmetic takes it.
float Rounded(float x, cudnnMathType_t math) {
  switch (math) {
    case CUDNN_FMA_MATH:
      return x;
    case CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION:
      return __half2float(__float2half(x));
    default:
      return RoundToTF32(x);
  }
}
double Rounded(double x, cudnnMathType_t) { return x; }

/// Calls f(index in x, in w, in y) for each product.
template <typename F>
void ForEachProduct(const ConvolutionCall& a, const F& f) {
  const cudnnConvolutionStruct& c = *a.convolution;
  const int out_group = a.y->c / c.groups;
  for (int n = 0; n < a.y->n; ++n) {
    for (int o = 0; o < a.y->c; ++o) {
      for (int oh = 0; oh < a.y->h; ++oh) {
        for (int ow = 0; ow < a.y->w; ++ow) {
          const int64_t y = ((static_cast<int64_t>(n) * a.y->c + o) * a.y->h + oh) * a.y->w + ow;
          for (int i = 0; i < a.w->c; ++i) {
            const int channel = o / out_group * a.w->c + i;
            for (int kh = 0; kh < a.w->h; ++kh) {
              const int h = oh * c.stride_h - c.pad_h + kh * c.dilation_h;
              if (h < 0 || h >= a.x->h) continue;
              for (int kw = 0; kw < a.w->w; ++kw) {
                const int w = ow * c.stride_w - c.pad_w + kw * c.dilation_w;
                if (w < 0 || w >= a.x->w) continue;
                f(((static_cast<int64_t>(n) * a.x->c + channel) * a.x->h + h) * a.x->w + w,
                  ((static_cast<int64_t>(o) * a.w->c + i) * a.w->h + kh) * a.w->w + kw, y);
              }
            }
          }
        }
      }
    }
  }
}

const cudnnTensorStruct& ResultOf(Pass pass, const ConvolutionCall& a) {
  return pass == Pass::kForward ? *a.y : pass == Pass::kData ? *a.x : *a.w;
}

/// One of x, w and y is the result, and null here.
cudnnStatus_t CheckOperands(Pass pass, const ConvolutionCall& a, const void* x, const void* w, const void* y,
                            const void* result) {
  if (pass != Pass::kData) RETURN_UNLESS_SUCCESS(CheckOn("x", a.x, x));
  if (pass != Pass::kFilter) RETURN_UNLESS_SUCCESS(CheckOn("w", a.w, w));
  if (pass != Pass::kForward) RETURN_UNLESS_SUCCESS(CheckOn("y", a.y, y));
  return CheckOn("the result", &ResultOf(pass, a), result);
}

cudnnStatus_t Convolve(cudnnHandle_t handle, Pass pass, const ConvolutionCall& a, const void* x,
                       const void* w, const void* y, int algorithm, void* workspace, size_t bytes,
                       const void* alpha, const void* beta, void* result) {
  RETURN_UNLESS_SUCCESS(CheckConvolution(handle, a));
  RETURN_UNLESS_SUCCESS(CheckOperands(pass, a, x, w, y, result));
  size_t needed = 0;
  RETURN_UNLESS_SUCCESS(WorkspaceOf(algorithm, a, &needed));
  RETURN_BAD_PARAM_UNLESS(bytes >= needed);
  if (needed > 0 && !CheckOperand("cuDNN", "the workspace", workspace, bytes))
    return CUDNN_STATUS_EXECUTION_FAILED;
  return WithType(a.x->type, [&](auto type) {
    using T = decltype(type);
    const auto factors = [&](const void* values) {
      return [values = static_cast<const T*>(values), math = a.convolution->math](int64_t i) -> double {
        return Rounded(values[i], math);
      };
    };
    const auto x_at = factors(x), w_at = factors(w), y_at = factors(y);
    std::vector<double> sums(ResultOf(pass, a).count());
    ForEachProduct(a, [&](int64_t in, int64_t weight, int64_t out) {
      switch (pass) {
        case Pass::kForward:
          sums[out] += x_at(in) * w_at(weight);
          break;
        case Pass::kData:
          sums[in] += y_at(out) * w_at(weight);
          break;
        case Pass::kFilter:
          sums[weight] += y_at(out) * x_at(in);
          break;
      }
    });
    const Blend<T> blend(alpha, beta);
    for (size_t i = 0; i < sums.size(); ++i) blend(sums[i], static_cast<T*>(result) + i);
    if (needed > 0) std::fill_n(static_cast<unsigned char*>(workspace), needed, 0xff);
  });
}

/// Those with less precision are faster, and listed even where others are asked for.
template <typename Result>
void FillResults(const ConvolutionCall& a, size_t workspace, int wanted, int* count, Result* results) {
  const cudnnMathType_t maths[] = {CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION, CUDNN_TENSOR_OP_MATH,
                                   a.convolution->math};
  *count = std::min(wanted, 9);
  for (int i = 0; i < *count; ++i) {
    const int algorithm = i % 3;
    size_t bytes = 0;
    WorkspaceOf(algorithm, a, &bytes);
    const bool fits = bytes <= workspace;
    results[i] = {};
    results[i].algo = static_cast<decltype(results[i].algo)>(algorithm);
    results[i].status = fits ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR;
    results[i].time = fits ? i + 1.0f : -1.0f;
    results[i].memory = bytes;
    results[i].determinism = algorithm == 0 ? CUDNN_NON_DETERMINISTIC : CUDNN_DETERMINISTIC;
    results[i].mathType = maths[i / 3];
  }
}

template <typename Result>
cudnnStatus_t Measure(cudnnHandle_t handle, Pass pass, const ConvolutionCall& a, const void* x, const void* w,
                      const void* y, void* result, int wanted, int* count, Result* results, void* workspace,
                      size_t bytes) {
  RETURN_UNLESS_SUCCESS(CheckConvolution(handle, a));
  RETURN_UNLESS_SUCCESS(CheckOperands(pass, a, x, w, y, result));
  if (bytes > 0 && !CheckOperand("cuDNN", "the workspace", workspace, bytes))
    return CUDNN_STATUS_EXECUTION_FAILED;
  FillResults(a, bytes, wanted, count, results);
  const DeviceAccess access;
  std::fill_n(static_cast<unsigned char*>(result), ResultOf(pass, a).bytes(), 0xff);
  return CUDNN_STATUS_SUCCESS;
}

template <typename Result>
cudnnStatus_t Guess(cudnnHandle_t handle, const ConvolutionCall& a, int wanted, int* count, Result* results) {
  RETURN_UNLESS_SUCCESS(CheckConvolution(handle, a));
  FillResults(a, std::numeric_limits<size_t>::max(), wanted, count, results);
  return CUDNN_STATUS_SUCCESS;
}

// ---- Pooling ----

cudnnStatus_t CheckPooling(cudnnHandle_t handle, const cudnnPoolingStruct* p, const cudnnTensorStruct* x,
                           const cudnnTensorStruct* y) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_BAD_PARAM_UNLESS(p && p->height > 0 && x && y && x->type == y->type && x->n == y->n && x->c == y->c);
  RETURN_BAD_PARAM_UNLESS(y->h == (x->h + 2 * p->pad_h - p->height) / p->stride_h + 1);
  RETURN_BAD_PARAM_UNLESS(y->w == (x->w + 2 * p->pad_w - p->width) / p->stride_w + 1);
  return CUDNN_STATUS_SUCCESS;
}

bool IsMax(const cudnnPoolingStruct& p) {
  return p.mode == CUDNN_POOLING_MAX || p.mode == CUDNN_POOLING_MAX_DETERMINISTIC;
}

/// Calls f(index in y, the elements of its window in x) for each window.
template <typename F>
void ForEachWindow(const cudnnPoolingStruct& p, const cudnnTensorStruct& x, const cudnnTensorStruct& y,
                   const F& f) {
  std::vector<int64_t> elements;
  for (int64_t i = 0; i < y.count(); ++i) {
    const int64_t channel = i / (y.h * y.w);
    const int top = static_cast<int>(i / y.w % y.h) * p.stride_h - p.pad_h;
    const int left = static_cast<int>(i % y.w) * p.stride_w - p.pad_w;
    elements.clear();
    for (int h = std::max(top, 0); h < std::min(top + p.height, x.h); ++h) {
      for (int w = std::max(left, 0); w < std::min(left + p.width, x.w); ++w) {
        elements.push_back((channel * x.h + h) * x.w + w);
      }
    }
    f(i, elements);
  }
}

template <typename T>
int64_t LargestOf(const T* x, const std::vector<int64_t>& elements) {
  return *std::max_element(elements.begin(), elements.end(),
                           [x](int64_t a, int64_t b) { return x[a] < x[b]; });
}

double Divisor(const cudnnPoolingStruct& p, const std::vector<int64_t>& elements) {
  return p.mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING ? static_cast<double>(p.height) * p.width
                                                               : static_cast<double>(elements.size());
}

// ---- Normalization ----

/// y = x (k + alpha / n sum of x^2)^-beta with the sum over the neighbours that `neighbours(i)` tells, n of
/// them, and the gradient. Neighbourhood is mutual.
template <typename T, typename Neighbours>
void Normalize(const cudnnLRNStruct& norm, double n, int64_t count, const T* x, const T* dy,
               const Neighbours& neighbours, const Blend<T>& blend, T* result) {
  std::vector<double> base(count);
  for (int64_t i = 0; i < count; ++i) {
    double sum = 0;
    neighbours(i, [&](int64_t j) { sum += static_cast<double>(x[j]) * x[j]; });
    base[i] = norm.k + norm.alpha / n * sum;
  }
  std::vector<double> values(count);
  for (int64_t i = 0; i < count; ++i) {
    if (!dy) {
      values[i] = x[i] * std::pow(base[i], -norm.beta);
      continue;
    }
    double sum = 0;
    neighbours(i, [&](int64_t j) { sum += dy[j] * x[j] * std::pow(base[j], -norm.beta - 1); });
    values[i] = dy[i] * std::pow(base[i], -norm.beta) - 2 * norm.alpha * norm.beta / n * x[i] * sum;
  }
  for (int64_t i = 0; i < count; ++i) blend(values[i], result + i);
}

cudnnStatus_t CheckNormalization(cudnnHandle_t handle, const cudnnLRNStruct* norm, const cudnnTensorStruct* x,
                                 const cudnnTensorStruct* y) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_BAD_PARAM_UNLESS(norm && norm->n > 0 && x && y && *x == *y);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t AcrossChannels(cudnnHandle_t handle, const cudnnLRNStruct* norm, const void* alpha,
                             const cudnnTensorStruct* x_desc, const void* x, const void* dy, const void* beta,
                             const cudnnTensorStruct* result_desc, void* result) {
  RETURN_UNLESS_SUCCESS(CheckNormalization(handle, norm, x_desc, result_desc));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("the result", result_desc, result));
  const int before = (static_cast<int>(norm->n) - 1) / 2, size = static_cast<int>(norm->n);
  const int64_t plane = static_cast<int64_t>(x_desc->h) * x_desc->w;
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const auto neighbours = [&](int64_t i, auto f) {
      const int c = static_cast<int>(i / plane % x_desc->c);
      for (int j = std::max(c - before, 0); j < std::min(c - before + size, x_desc->c); ++j)
        f(i + (j - c) * plane);
    };
    Normalize(*norm, size, x_desc->count(), static_cast<const T*>(x), static_cast<const T*>(dy), neighbours,
              Blend<T>(alpha, beta), static_cast<T*>(result));
  });
}

cudnnStatus_t WithinChannels(cudnnHandle_t handle, const cudnnLRNStruct* norm, const void* alpha,
                             const cudnnTensorStruct* x_desc, const void* x, const void* dy, const void* temp,
                             const void* temp2, const void* beta, const cudnnTensorStruct* result_desc,
                             void* result) {
  RETURN_UNLESS_SUCCESS(CheckNormalization(handle, norm, x_desc, result_desc));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("temp", x_desc, temp));
  RETURN_UNLESS_SUCCESS(CheckOn("temp2", x_desc, temp2));
  RETURN_UNLESS_SUCCESS(CheckOn("the result", result_desc, result));
  const int size = static_cast<int>(norm->n), before = (size - 1) / 2;
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const auto neighbours = [&](int64_t i, auto f) {
      const int h = static_cast<int>(i / x_desc->w % x_desc->h), w = static_cast<int>(i % x_desc->w);
      for (int a = std::max(h - before, 0); a < std::min(h - before + size, x_desc->h); ++a) {
        for (int b = std::max(w - before, 0); b < std::min(w - before + size, x_desc->w); ++b) {
          f(i + (a - h) * x_desc->w + (b - w));
        }
      }
    };
    Normalize(*norm, static_cast<double>(size) * size, x_desc->count(), static_cast<const T*>(x),
              static_cast<const T*>(dy), neighbours, Blend<T>(alpha, beta), static_cast<T*>(result));
  });
}

cudnnStatus_t CheckBatchNorm(cudnnHandle_t handle, cudnnBatchNormMode_t mode, const cudnnTensorStruct* x,
                             const cudnnTensorStruct* y, const cudnnTensorStruct* channels, double epsilon) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_BAD_PARAM_UNLESS(x && y && channels && *x == *y && epsilon >= CUDNN_BN_MIN_EPSILON);
  RETURN_BAD_PARAM_UNLESS(channels->n == 1 && channels->c == x->c && channels->h == 1 && channels->w == 1);
  if (mode == CUDNN_BATCHNORM_PER_ACTIVATION) RETURN_BAD_PARAM_UNLESS(x->h == 1 && x->w == 1);
  return CUDNN_STATUS_SUCCESS;
}

/// Calls f(index) for each element of a channel.
template <typename F>
void ForChannel(const cudnnTensorStruct& x, int c, const F& f) {
  const int64_t plane = static_cast<int64_t>(x.h) * x.w;
  for (int64_t n = 0; n < x.n; ++n) {
    for (int64_t i = 0; i < plane; ++i) f((n * x.c + c) * plane + i);
  }
}

template <typename Descriptor>
cudnnStatus_t Create(Descriptor** desc) {
  *desc = new Descriptor;
  return CUDNN_STATUS_SUCCESS;
}

template <typename Descriptor>
cudnnStatus_t Destroy(Descriptor* desc) {
  delete desc;
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace
}  // namespace gpu_emulator

using namespace gpu_emulator;

extern "C" {

size_t cudnnGetVersion() { return CUDNN_VERSION; }

const char* cudnnGetErrorString(cudnnStatus_t status) {
  switch (status) {
    case CUDNN_STATUS_SUCCESS:
      return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM:
      return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_INTERNAL_ERROR:
      return "CUDNN_STATUS_INTERNAL_ERROR";
    case CUDNN_STATUS_EXECUTION_FAILED:
      return "CUDNN_STATUS_EXECUTION_FAILED";
  }
  return "CUDNN_STATUS_UNKNOWN";
}

void cudnnGetLastErrorString(char* message, size_t max_size) {
  std::snprintf(message, max_size, "%s", last_error.c_str());
  last_error.clear();
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  if (NeedDevice() != cudaSuccess) return Fail(CUDNN_STATUS_NOT_INITIALIZED, "there is no GPU");
  *handle = new cudnnContext{CurrentDevice(), nullptr};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* desc) { return Create(desc); }
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t desc) { return Destroy(desc); }
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* desc) { return Create(desc); }
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t desc) { return Destroy(desc); }
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* desc) { return Create(desc); }
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t desc) { return Destroy(desc); }
cudnnStatus_t cudnnCreatePoolingDescriptor(cudnnPoolingDescriptor_t* desc) { return Create(desc); }
cudnnStatus_t cudnnDestroyPoolingDescriptor(cudnnPoolingDescriptor_t desc) { return Destroy(desc); }
cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t* desc) { return Create(desc); }
cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t desc) { return Destroy(desc); }
cudnnStatus_t cudnnCreateLRNDescriptor(cudnnLRNDescriptor_t* desc) { return Create(desc); }
cudnnStatus_t cudnnDestroyLRNDescriptor(cudnnLRNDescriptor_t desc) { return Destroy(desc); }

cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t desc, cudnnDataType_t type, int n, int c,
                                           int h, int w, int n_stride, int c_stride, int h_stride,
                                           int w_stride) {
  RETURN_BAD_PARAM_UNLESS(desc && n > 0 && c > 0 && h > 0 && w > 0);
  // The project has dense ones only.
  RETURN_BAD_PARAM_UNLESS(w_stride == 1 && h_stride == w && c_stride == h * w && n_stride == c * h * w);
  *desc = {type, n, c, h, w};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t desc, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
  RETURN_BAD_PARAM_UNLESS(desc && format == CUDNN_TENSOR_NCHW && k > 0 && c > 0 && h > 0 && w > 0);
  static_cast<cudnnTensorStruct&>(*desc) = {type, k, c, h, w};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnAddTensor(cudnnHandle_t handle, const void* alpha, cudnnTensorDescriptor_t a_desc,
                             const void* a, const void* beta, cudnnTensorDescriptor_t c_desc, void* c) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_UNLESS_SUCCESS(CheckOn("A", a_desc, a));
  RETURN_UNLESS_SUCCESS(CheckOn("C", c_desc, c));
  const auto fits = [](int one, int all) { return one == 1 || one == all; };
  RETURN_BAD_PARAM_UNLESS(a_desc->type == c_desc->type && fits(a_desc->n, c_desc->n) &&
                          fits(a_desc->c, c_desc->c) && fits(a_desc->h, c_desc->h) &&
                          fits(a_desc->w, c_desc->w));
  return WithType(c_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    for (int64_t i = 0; i < c_desc->count(); ++i) {
      const int64_t w = i % c_desc->w, h = i / c_desc->w % c_desc->h,
                    channel = i / c_desc->w / c_desc->h % c_desc->c;
      const int64_t n = i / c_desc->w / c_desc->h / c_desc->c;
      const int64_t at =
          ((std::min<int64_t>(n, a_desc->n - 1) * a_desc->c + std::min<int64_t>(channel, a_desc->c - 1)) *
               a_desc->h +
           std::min<int64_t>(h, a_desc->h - 1)) *
              a_desc->w +
          std::min<int64_t>(w, a_desc->w - 1);
      blend(static_cast<const T*>(a)[at], static_cast<T*>(c) + i);
    }
  });
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t desc, int pad_h, int pad_w,
                                              int stride_h, int stride_w, int dilation_h, int dilation_w,
                                              cudnnConvolutionMode_t mode, cudnnDataType_t type) {
  RETURN_BAD_PARAM_UNLESS(desc && pad_h >= 0 && pad_w >= 0 && stride_h > 0 && stride_w > 0 &&
                          dilation_h > 0 && dilation_w > 0 && mode == CUDNN_CROSS_CORRELATION);
  const int groups = desc->groups;
  *desc = {pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, type, CUDNN_DEFAULT_MATH, groups};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t desc, cudnnMathType_t math) {
  RETURN_BAD_PARAM_UNLESS(desc);
  desc->math = math;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t desc, int groups) {
  RETURN_BAD_PARAM_UNLESS(desc && groups > 0);
  desc->groups = groups;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t handle, cudnnTensorDescriptor_t x_desc,
                                                      cudnnFilterDescriptor_t w_desc,
                                                      cudnnConvolutionDescriptor_t convolution,
                                                      cudnnTensorDescriptor_t y_desc,
                                                      cudnnConvolutionFwdAlgo_t algorithm, size_t* bytes) {
  const ConvolutionCall call = {x_desc, y_desc, w_desc, convolution};
  RETURN_UNLESS_SUCCESS(CheckConvolution(handle, call));
  return WorkspaceOf(algorithm, call, bytes);
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, cudnnTensorDescriptor_t x_desc,
                                                     cudnnFilterDescriptor_t w_desc,
                                                     cudnnConvolutionDescriptor_t convolution,
                                                     cudnnTensorDescriptor_t y_desc, int wanted, int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* results) {
  return Guess(handle, {x_desc, y_desc, w_desc, convolution}, wanted, count, results);
}

cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(cudnnHandle_t handle, cudnnTensorDescriptor_t x_desc,
                                                     const void* x, cudnnFilterDescriptor_t w_desc,
                                                     const void* w, cudnnConvolutionDescriptor_t convolution,
                                                     cudnnTensorDescriptor_t y_desc, void* y, int wanted,
                                                     int* count, cudnnConvolutionFwdAlgoPerf_t* results,
                                                     void* workspace, size_t bytes) {
  return Measure(handle, Pass::kForward, {x_desc, y_desc, w_desc, convolution}, x, w, nullptr, y, wanted,
                 count, results, workspace, bytes);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void* alpha, cudnnTensorDescriptor_t x_desc,
                                      const void* x, cudnnFilterDescriptor_t w_desc, const void* w,
                                      cudnnConvolutionDescriptor_t convolution,
                                      cudnnConvolutionFwdAlgo_t algorithm, void* workspace, size_t bytes,
                                      const void* beta, cudnnTensorDescriptor_t y_desc, void* y) {
  return Convolve(handle, Pass::kForward, {x_desc, y_desc, w_desc, convolution}, x, w, nullptr, algorithm,
                  workspace, bytes, alpha, beta, y);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t handle, cudnnFilterDescriptor_t w_desc, cudnnTensorDescriptor_t dy_desc,
    cudnnConvolutionDescriptor_t convolution, cudnnTensorDescriptor_t dx_desc,
    cudnnConvolutionBwdDataAlgo_t algorithm, size_t* bytes) {
  const ConvolutionCall call = {dx_desc, dy_desc, w_desc, convolution};
  RETURN_UNLESS_SUCCESS(CheckConvolution(handle, call));
  return WorkspaceOf(algorithm, call, bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t handle, cudnnFilterDescriptor_t w_desc, cudnnTensorDescriptor_t dy_desc,
    cudnnConvolutionDescriptor_t convolution, cudnnTensorDescriptor_t dx_desc, int wanted, int* count,
    cudnnConvolutionBwdDataAlgoPerf_t* results) {
  return Guess(handle, {dx_desc, dy_desc, w_desc, convolution}, wanted, count, results);
}

cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(
    cudnnHandle_t handle, cudnnFilterDescriptor_t w_desc, const void* w, cudnnTensorDescriptor_t dy_desc,
    const void* dy, cudnnConvolutionDescriptor_t convolution, cudnnTensorDescriptor_t dx_desc, void* dx,
    int wanted, int* count, cudnnConvolutionBwdDataAlgoPerf_t* results, void* workspace, size_t bytes) {
  return Measure(handle, Pass::kData, {dx_desc, dy_desc, w_desc, convolution}, nullptr, w, dy, dx, wanted,
                 count, results, workspace, bytes);
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void* alpha,
                                           cudnnFilterDescriptor_t w_desc, const void* w,
                                           cudnnTensorDescriptor_t dy_desc, const void* dy,
                                           cudnnConvolutionDescriptor_t convolution,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void* workspace,
                                           size_t bytes, const void* beta, cudnnTensorDescriptor_t dx_desc,
                                           void* dx) {
  return Convolve(handle, Pass::kData, {dx_desc, dy_desc, w_desc, convolution}, nullptr, w, dy, algorithm,
                  workspace, bytes, alpha, beta, dx);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t handle, cudnnTensorDescriptor_t x_desc, cudnnTensorDescriptor_t dy_desc,
    cudnnConvolutionDescriptor_t convolution, cudnnFilterDescriptor_t dw_desc,
    cudnnConvolutionBwdFilterAlgo_t algorithm, size_t* bytes) {
  const ConvolutionCall call = {x_desc, dy_desc, dw_desc, convolution};
  RETURN_UNLESS_SUCCESS(CheckConvolution(handle, call));
  return WorkspaceOf(algorithm, call, bytes);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t handle, cudnnTensorDescriptor_t x_desc, cudnnTensorDescriptor_t dy_desc,
    cudnnConvolutionDescriptor_t convolution, cudnnFilterDescriptor_t dw_desc, int wanted, int* count,
    cudnnConvolutionBwdFilterAlgoPerf_t* results) {
  return Guess(handle, {x_desc, dy_desc, dw_desc, convolution}, wanted, count, results);
}

cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(
    cudnnHandle_t handle, cudnnTensorDescriptor_t x_desc, const void* x, cudnnTensorDescriptor_t dy_desc,
    const void* dy, cudnnConvolutionDescriptor_t convolution, cudnnFilterDescriptor_t dw_desc, void* dw,
    int wanted, int* count, cudnnConvolutionBwdFilterAlgoPerf_t* results, void* workspace, size_t bytes) {
  return Measure(handle, Pass::kFilter, {x_desc, dy_desc, dw_desc, convolution}, x, nullptr, dy, dw, wanted,
                 count, results, workspace, bytes);
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void* alpha,
                                             cudnnTensorDescriptor_t x_desc, const void* x,
                                             cudnnTensorDescriptor_t dy_desc, const void* dy,
                                             cudnnConvolutionDescriptor_t convolution,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm, void* workspace,
                                             size_t bytes, const void* beta, cudnnFilterDescriptor_t dw_desc,
                                             void* dw) {
  return Convolve(handle, Pass::kFilter, {x_desc, dy_desc, dw_desc, convolution}, x, nullptr, dy, algorithm,
                  workspace, bytes, alpha, beta, dw);
}

cudnnStatus_t cudnnConvolutionBackwardBias(cudnnHandle_t handle, const void* alpha,
                                           cudnnTensorDescriptor_t dy_desc, const void* dy, const void* beta,
                                           cudnnTensorDescriptor_t db_desc, void* db) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_UNLESS_SUCCESS(CheckOn("dy", dy_desc, dy));
  RETURN_UNLESS_SUCCESS(CheckOn("db", db_desc, db));
  RETURN_BAD_PARAM_UNLESS(db_desc->type == dy_desc->type && db_desc->n == 1 && db_desc->h == 1 &&
                          db_desc->w == 1 && db_desc->c == dy_desc->c);
  return WithType(dy_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    for (int c = 0; c < dy_desc->c; ++c) {
      double sum = 0;
      ForChannel(*dy_desc, c, [&](int64_t i) { sum += static_cast<const T*>(dy)[i]; });
      blend(sum, static_cast<T*>(db) + c);
    }
  });
}

cudnnStatus_t cudnnSoftmaxForward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algorithm,
                                  cudnnSoftmaxMode_t mode, const void* alpha, cudnnTensorDescriptor_t x_desc,
                                  const void* x, const void* beta, cudnnTensorDescriptor_t y_desc, void* y) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("y", y_desc, y));
  RETURN_BAD_PARAM_UNLESS(*x_desc == *y_desc && algorithm == CUDNN_SOFTMAX_ACCURATE &&
                          mode == CUDNN_SOFTMAX_MODE_CHANNEL);
  const int64_t plane = static_cast<int64_t>(x_desc->h) * x_desc->w;
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    std::vector<double> e(x_desc->c);
    for (int64_t place = 0; place < x_desc->n * plane; ++place) {
      const int64_t first = place / plane * x_desc->c * plane + place % plane;
      const T* const values = static_cast<const T*>(x) + first;
      double largest = values[0], sum = 0;
      for (int c = 1; c < x_desc->c; ++c) largest = std::max<double>(largest, values[c * plane]);
      for (int c = 0; c < x_desc->c; ++c) sum += e[c] = std::exp(values[c * plane] - largest);
      for (int c = 0; c < x_desc->c; ++c) blend(e[c] / sum, static_cast<T*>(y) + first + c * plane);
    }
  });
}

cudnnStatus_t cudnnSoftmaxBackward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algorithm,
                                   cudnnSoftmaxMode_t mode, const void* alpha, cudnnTensorDescriptor_t y_desc,
                                   const void* y, cudnnTensorDescriptor_t dy_desc, const void* dy,
                                   const void* beta, cudnnTensorDescriptor_t dx_desc, void* dx) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_UNLESS_SUCCESS(CheckOn("y", y_desc, y));
  RETURN_UNLESS_SUCCESS(CheckOn("dy", dy_desc, dy));
  RETURN_UNLESS_SUCCESS(CheckOn("dx", dx_desc, dx));
  RETURN_BAD_PARAM_UNLESS(*y_desc == *dy_desc && *y_desc == *dx_desc && algorithm == CUDNN_SOFTMAX_ACCURATE &&
                          mode == CUDNN_SOFTMAX_MODE_CHANNEL);
  const int64_t plane = static_cast<int64_t>(y_desc->h) * y_desc->w;
  return WithType(y_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    for (int64_t place = 0; place < y_desc->n * plane; ++place) {
      const int64_t first = place / plane * y_desc->c * plane + place % plane;
      const T *const ys = static_cast<const T*>(y) + first, *const dys = static_cast<const T*>(dy) + first;
      double dot = 0;
      for (int c = 0; c < y_desc->c; ++c) dot += static_cast<double>(ys[c * plane]) * dys[c * plane];
      for (int c = 0; c < y_desc->c; ++c) {
        blend(ys[c * plane] * (dys[c * plane] - dot), static_cast<T*>(dx) + first + c * plane);
      }
    }
  });
}

cudnnStatus_t cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t desc, cudnnPoolingMode_t mode,
                                          cudnnNanPropagation_t, int height, int width, int pad_h, int pad_w,
                                          int stride_h, int stride_w) {
  RETURN_BAD_PARAM_UNLESS(desc && height > 0 && width > 0 && pad_h >= 0 && pad_w >= 0 && stride_h > 0 &&
                          stride_w > 0);
  *desc = {mode, height, width, pad_h, pad_w, stride_h, stride_w};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnPoolingForward(cudnnHandle_t handle, cudnnPoolingDescriptor_t pooling, const void* alpha,
                                  cudnnTensorDescriptor_t x_desc, const void* x, const void* beta,
                                  cudnnTensorDescriptor_t y_desc, void* y) {
  RETURN_UNLESS_SUCCESS(CheckPooling(handle, pooling, x_desc, y_desc));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("y", y_desc, y));
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    const T* const values = static_cast<const T*>(x);
    ForEachWindow(*pooling, *x_desc, *y_desc, [&](int64_t i, const std::vector<int64_t>& elements) {
      double result = 0;
      if (IsMax(*pooling)) {
        result = values[LargestOf(values, elements)];
      } else {
        for (const int64_t element : elements) result += values[element] / Divisor(*pooling, elements);
      }
      blend(result, static_cast<T*>(y) + i);
    });
  });
}

cudnnStatus_t cudnnPoolingBackward(cudnnHandle_t handle, cudnnPoolingDescriptor_t pooling, const void* alpha,
                                   cudnnTensorDescriptor_t y_desc, const void* y,
                                   cudnnTensorDescriptor_t dy_desc, const void* dy,
                                   cudnnTensorDescriptor_t x_desc, const void* x, const void* beta,
                                   cudnnTensorDescriptor_t dx_desc, void* dx) {
  RETURN_UNLESS_SUCCESS(CheckPooling(handle, pooling, x_desc, y_desc));
  RETURN_UNLESS_SUCCESS(CheckOn("y", y_desc, y));
  RETURN_UNLESS_SUCCESS(CheckOn("dy", dy_desc, dy));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("dx", dx_desc, dx));
  RETURN_BAD_PARAM_UNLESS(*y_desc == *dy_desc && *x_desc == *dx_desc);
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    const T *const values = static_cast<const T*>(x), *const gradients = static_cast<const T*>(dy);
    std::vector<double> sums(x_desc->count());
    ForEachWindow(*pooling, *x_desc, *y_desc, [&](int64_t i, const std::vector<int64_t>& elements) {
      if (IsMax(*pooling)) {
        const int64_t largest = LargestOf(values, elements);
        // The output tells which.
        if (values[largest] != static_cast<const T*>(y)[i]) sums[largest] = std::nan("");
        sums[largest] += gradients[i];
      } else {
        for (const int64_t element : elements) sums[element] += gradients[i] / Divisor(*pooling, elements);
      }
    });
    for (size_t i = 0; i < sums.size(); ++i) blend(sums[i], static_cast<T*>(dx) + i);
  });
}

cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t desc, cudnnActivationMode_t mode,
                                           cudnnNanPropagation_t, double) {
  RETURN_BAD_PARAM_UNLESS(desc);
  *desc = {mode, true};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnActivationForward(cudnnHandle_t handle, cudnnActivationDescriptor_t activation,
                                     const void* alpha, cudnnTensorDescriptor_t x_desc, const void* x,
                                     const void* beta, cudnnTensorDescriptor_t y_desc, void* y) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("y", y_desc, y));
  RETURN_BAD_PARAM_UNLESS(activation && activation->is_set && *x_desc == *y_desc);
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    for (int64_t i = 0; i < x_desc->count(); ++i) {
      const double value = static_cast<const T*>(x)[i];
      blend(activation->mode == CUDNN_ACTIVATION_RELU   ? std::max(value, 0.0)
            : activation->mode == CUDNN_ACTIVATION_TANH ? std::tanh(value)
                                                        : 1 / (1 + std::exp(-value)),
            static_cast<T*>(y) + i);
    }
  });
}

cudnnStatus_t cudnnActivationBackward(cudnnHandle_t handle, cudnnActivationDescriptor_t activation,
                                      const void* alpha, cudnnTensorDescriptor_t y_desc, const void* y,
                                      cudnnTensorDescriptor_t dy_desc, const void* dy,
                                      cudnnTensorDescriptor_t x_desc, const void* x, const void* beta,
                                      cudnnTensorDescriptor_t dx_desc, void* dx) {
  RETURN_UNLESS_SUCCESS(CheckHandle(handle));
  RETURN_UNLESS_SUCCESS(CheckOn("y", y_desc, y));
  RETURN_UNLESS_SUCCESS(CheckOn("dy", dy_desc, dy));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("dx", dx_desc, dx));
  RETURN_BAD_PARAM_UNLESS(activation && activation->is_set && *x_desc == *y_desc && *x_desc == *dy_desc &&
                          *x_desc == *dx_desc);
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    for (int64_t i = 0; i < x_desc->count(); ++i) {
      const double in = static_cast<const T*>(x)[i], out = static_cast<const T*>(y)[i];
      blend(static_cast<const T*>(dy)[i] * (activation->mode == CUDNN_ACTIVATION_RELU   ? (in > 0 ? 1 : 0)
                                            : activation->mode == CUDNN_ACTIVATION_TANH ? 1 - out * out
                                                                                        : out * (1 - out)),
            static_cast<T*>(dx) + i);
    }
  });
}

cudnnStatus_t cudnnSetLRNDescriptor(cudnnLRNDescriptor_t desc, unsigned n, double alpha, double beta,
                                    double k) {
  RETURN_BAD_PARAM_UNLESS(desc && n >= CUDNN_LRN_MIN_N && n <= CUDNN_LRN_MAX_N &&
                          beta >= CUDNN_LRN_MIN_BETA && k >= CUDNN_LRN_MIN_K);
  *desc = {n, alpha, beta, k};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnLRNCrossChannelForward(cudnnHandle_t handle, cudnnLRNDescriptor_t norm, cudnnLRNMode_t,
                                          const void* alpha, cudnnTensorDescriptor_t x_desc, const void* x,
                                          const void* beta, cudnnTensorDescriptor_t y_desc, void* y) {
  return AcrossChannels(handle, norm, alpha, x_desc, x, nullptr, beta, y_desc, y);
}

cudnnStatus_t cudnnLRNCrossChannelBackward(cudnnHandle_t handle, cudnnLRNDescriptor_t norm, cudnnLRNMode_t,
                                           const void* alpha, cudnnTensorDescriptor_t y_desc, const void* y,
                                           cudnnTensorDescriptor_t dy_desc, const void* dy,
                                           cudnnTensorDescriptor_t x_desc, const void* x, const void* beta,
                                           cudnnTensorDescriptor_t dx_desc, void* dx) {
  RETURN_UNLESS_SUCCESS(CheckOn("y", y_desc, y));
  RETURN_UNLESS_SUCCESS(CheckOn("dy", dy_desc, dy));
  return AcrossChannels(handle, norm, alpha, x_desc, x, dy, beta, dx_desc, dx);
}

cudnnStatus_t cudnnDivisiveNormalizationForward(cudnnHandle_t handle, cudnnLRNDescriptor_t norm,
                                                cudnnDivNormMode_t, const void* alpha,
                                                cudnnTensorDescriptor_t x_desc, const void* x,
                                                const void* means, void* temp, void* temp2, const void* beta,
                                                cudnnTensorDescriptor_t y_desc, void* y) {
  RETURN_BAD_PARAM_UNLESS(!means);
  return WithinChannels(handle, norm, alpha, x_desc, x, nullptr, temp, temp2, beta, y_desc, y);
}

cudnnStatus_t cudnnDivisiveNormalizationBackward(cudnnHandle_t handle, cudnnLRNDescriptor_t norm,
                                                 cudnnDivNormMode_t, const void* alpha,
                                                 cudnnTensorDescriptor_t x_desc, const void* x,
                                                 const void* means, const void* dy, void* temp, void* temp2,
                                                 const void* beta, cudnnTensorDescriptor_t dx_desc, void* dx,
                                                 void* d_means) {
  RETURN_BAD_PARAM_UNLESS(!means && !d_means);
  RETURN_UNLESS_SUCCESS(CheckOn("dy", x_desc, dy));
  return WithinChannels(handle, norm, alpha, x_desc, x, dy, temp, temp2, beta, dx_desc, dx);
}

cudnnStatus_t cudnnDeriveBNTensorDescriptor(cudnnTensorDescriptor_t derived, cudnnTensorDescriptor_t x_desc,
                                            cudnnBatchNormMode_t mode) {
  RETURN_BAD_PARAM_UNLESS(derived && x_desc && x_desc->count() > 0);
  const bool each = mode == CUDNN_BATCHNORM_PER_ACTIVATION;
  *derived = {x_desc->type, 1, x_desc->c, each ? x_desc->h : 1, each ? x_desc->w : 1};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    cudnnTensorDescriptor_t x_desc, const void* x, cudnnTensorDescriptor_t y_desc, void* y,
    cudnnTensorDescriptor_t channels, const void* scale, const void* bias, double average_factor,
    void* running_mean, void* running_variance, double epsilon, void* save_mean,
    void* save_inverse_deviation) {
  RETURN_UNLESS_SUCCESS(CheckBatchNorm(handle, mode, x_desc, y_desc, channels, epsilon));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("y", y_desc, y));
  for (const void* operand :
       {scale, bias, const_cast<const void*>(running_mean), const_cast<const void*>(running_variance),
        const_cast<const void*>(save_mean), const_cast<const void*>(save_inverse_deviation)}) {
    RETURN_UNLESS_SUCCESS(CheckOn("an operand for each channel", channels, operand));
  }
  RETURN_BAD_PARAM_UNLESS(x != y);
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    const T* const values = static_cast<const T*>(x);
    const double count = static_cast<double>(x_desc->count()) / x_desc->c;
    for (int c = 0; c < x_desc->c; ++c) {
      double mean = 0, variance = 0;
      ForChannel(*x_desc, c, [&](int64_t i) { mean += values[i] / count; });
      ForChannel(*x_desc, c, [&](int64_t i) { variance += (values[i] - mean) * (values[i] - mean) / count; });
      const double inverse = 1 / std::sqrt(variance + epsilon);
      ForChannel(*x_desc, c, [&](int64_t i) {
        blend((values[i] - mean) * inverse * static_cast<const T*>(scale)[c] + static_cast<const T*>(bias)[c],
              static_cast<T*>(y) + i);
      });
      const auto average = [&](double value, void* running) {
        T& kept = static_cast<T*>(running)[c];
        kept = static_cast<T>(kept * (1 - average_factor) + value * average_factor);
      };
      average(mean, running_mean);
      average(variance * count / (count - 1), running_variance);
      static_cast<T*>(save_mean)[c] = static_cast<T>(mean);
      static_cast<T*>(save_inverse_deviation)[c] = static_cast<T>(inverse);
    }
  });
}

cudnnStatus_t cudnnBatchNormalizationForwardInference(cudnnHandle_t handle, cudnnBatchNormMode_t mode,
                                                      const void* alpha, const void* beta,
                                                      cudnnTensorDescriptor_t x_desc, const void* x,
                                                      cudnnTensorDescriptor_t y_desc, void* y,
                                                      cudnnTensorDescriptor_t channels, const void* scale,
                                                      const void* bias, const void* mean,
                                                      const void* variance, double epsilon) {
  RETURN_UNLESS_SUCCESS(CheckBatchNorm(handle, mode, x_desc, y_desc, channels, epsilon));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("y", y_desc, y));
  for (const void* operand : {scale, bias, mean, variance}) {
    RETURN_UNLESS_SUCCESS(CheckOn("an operand for each channel", channels, operand));
  }
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha, beta);
    for (int c = 0; c < x_desc->c; ++c) {
      const double inverse = 1 / std::sqrt(static_cast<const T*>(variance)[c] + epsilon);
      ForChannel(*x_desc, c, [&](int64_t i) {
        const double value = (static_cast<const T*>(x)[i] - static_cast<const T*>(mean)[c]) * inverse;
        blend(value * static_cast<const T*>(scale)[c] + static_cast<const T*>(bias)[c],
              static_cast<T*>(y) + i);
      });
    }
  });
}

cudnnStatus_t cudnnBatchNormalizationBackward(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha_data, const void* beta_data,
    const void* alpha_param, const void* beta_param, cudnnTensorDescriptor_t x_desc, const void* x,
    cudnnTensorDescriptor_t dy_desc, const void* dy, cudnnTensorDescriptor_t dx_desc, void* dx,
    cudnnTensorDescriptor_t channels, const void* scale, void* scale_diff, void* bias_diff, double epsilon,
    const void* save_mean, const void* save_inverse_deviation) {
  RETURN_UNLESS_SUCCESS(CheckBatchNorm(handle, mode, x_desc, dy_desc, channels, epsilon));
  RETURN_UNLESS_SUCCESS(CheckOn("x", x_desc, x));
  RETURN_UNLESS_SUCCESS(CheckOn("dy", dy_desc, dy));
  RETURN_UNLESS_SUCCESS(CheckOn("dx", dx_desc, dx));
  for (const void* operand : {scale, const_cast<const void*>(scale_diff), const_cast<const void*>(bias_diff),
                              save_mean, save_inverse_deviation}) {
    RETURN_UNLESS_SUCCESS(CheckOn("an operand for each channel", channels, operand));
  }
  RETURN_BAD_PARAM_UNLESS(dx != dy && dx != x);
  return WithType(x_desc->type, [&](auto type) {
    using T = decltype(type);
    const Blend<T> blend(alpha_data, beta_data), blend_param(alpha_param, beta_param);
    const double count = static_cast<double>(x_desc->count()) / x_desc->c;
    for (int c = 0; c < x_desc->c; ++c) {
      const double mean = static_cast<const T*>(save_mean)[c],
                   inverse = static_cast<const T*>(save_inverse_deviation)[c];
      const auto normalized = [&](int64_t i) { return (static_cast<const T*>(x)[i] - mean) * inverse; };
      double sum = 0, products = 0;
      ForChannel(*x_desc, c, [&](int64_t i) {
        sum += static_cast<const T*>(dy)[i];
        products += static_cast<const T*>(dy)[i] * normalized(i);
      });
      ForChannel(*x_desc, c, [&](int64_t i) {
        blend(static_cast<const T*>(scale)[c] * inverse *
                  (static_cast<const T*>(dy)[i] - sum / count - normalized(i) * products / count),
              static_cast<T*>(dx) + i);
      });
      blend_param(products, static_cast<T*>(scale_diff) + c);
      blend_param(sum, static_cast<T*>(bias_diff) + c);
    }
  });
}

}  // extern "C"
