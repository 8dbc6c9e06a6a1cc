// Functions element by element of libcaffe_onednn: see caffe/util/onednn_library.hpp.
#include <algorithm>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>

#include <unordered_map>
#include <utility>

#include "caffe/util/library_function.hpp"
#include "caffe/util/onednn_library.hpp"
#include "one_dnn.hpp"
#include "without_signals.hpp"

namespace caffe {

namespace {

using dnnl::memory;
using Kind = LibraryFunction::Kind;

// Elements that are computed at once, which stay in a cache between scaling and the function; and of what is
// left, so that there are but two primitives for all lengths.
constexpr int kBlock = 8192, kRest = 256;

dnnl::algorithm AlgorithmOf(Kind kind) {
  switch (kind) {
    case Kind::kElu:
      return dnnl::algorithm::eltwise_elu;
    case Kind::kExp:
      return dnnl::algorithm::eltwise_exp;
    case Kind::kSigmoid:
      return dnnl::algorithm::eltwise_logistic;
    case Kind::kSoftplus:
      return dnnl::algorithm::eltwise_soft_relu;
    case Kind::kTanh:
      return dnnl::algorithm::eltwise_tanh;
  }
  return dnnl::algorithm::undef;
}

/// A function of so many elements, for one thread.
class Elements {
 public:
  Elements(const LibraryFunction& f, int count)
      : x_(At(Of(count), DNNL_MEMORY_NONE)),
        y_(At(Of(count), DNNL_MEMORY_NONE)),
        // Handles are shared: a later set_data_handle is seen by the arguments.
        arguments_({{DNNL_ARG_SRC, x_}, {DNNL_ARG_DST, y_}}),
        primitive_(dnnl::eltwise_forward::primitive_desc(Cpu(), dnnl::prop_kind::forward_inference,
                                                         AlgorithmOf(f.kind), Of(count), Of(count),
                                                         f.kind == Kind::kSoftplus ? 1 : f.alpha)) {}

  void Compute(const float* x, float* y, dnnl::stream* stream) {
    x_.set_data_handle(const_cast<float*>(x));
    y_.set_data_handle(y);
    primitive_.execute(*stream, arguments_);
    stream->wait();
  }

 private:
  static memory::desc Of(int count) { return {{count}, memory::data_type::f32, memory::format_tag::a}; }

  memory x_, y_;
  const std::unordered_map<int, memory> arguments_;
  const dnnl::eltwise_forward primitive_;
};

struct Function {
  Elements block, rest;
};

Function* GetFunction(const LibraryFunction& f) {
  // Nets with ever new values of alpha must not fill the memory.
  constexpr size_t kMaxFunctions = 16;
  static thread_local std::map<std::pair<Kind, float>, Function> functions;
  const std::pair<Kind, float> key(f.kind, f.alpha);
  auto found = functions.find(key);
  if (found == functions.end()) {
    if (functions.size() >= kMaxFunctions) functions.clear();
    found = functions.emplace(key, Function{Elements(f, kBlock), Elements(f, kRest)}).first;
  }
  return &found->second;
}

void Scale(float scale, int count, const float* x, float* y) {
  for (int i = 0; i < count; ++i) y[i] = scale * x[i];
}

bool HasNan(int count, const float* x) {
  int nans = 0;
  for (int i = 0; i < count; ++i) nans += x[i] != x[i];
  return nans > 0;
}

void Compute(const LibraryFunction& f, Elements* elements, int count, const float* x, float* y,
             dnnl::stream* stream) {
  // Of what is no number oneDNN makes one, in some functions on some processors.
  if (HasNan(count, x)) {
    float numbers[kBlock], nans[kBlock];
    std::copy_n(x, count, nans);
    for (int i = 0; i < count; ++i) numbers[i] = x[i] == x[i] ? x[i] : 0;
    Compute(f, elements, count, numbers, y, stream);
    for (int i = 0; i < count; ++i) y[i] = nans[i] == nans[i] ? y[i] : nans[i];
    return;
  }
  if (f.inner_scale != 1) {
    Scale(f.inner_scale, count, x, y);
    x = y;
  }
  elements->Compute(x, y, stream);
  if (f.outer_scale != 1) Scale(f.outer_scale, count, y, y);
}

void Compute(const LibraryFunction& f, Elements* elements, int count, const float* x, const float* factors,
             float* y, dnnl::stream* stream) {
  if (!factors) {
    Compute(f, elements, count, x, y, stream);
    return;
  }
  float values[kBlock];
  Compute(f, elements, count, x, values, stream);
  for (int i = 0; i < count; ++i) y[i] = factors[i] * values[i];
}

}  // namespace

}  // namespace caffe

extern "C" bool caffe_onednn_elementwise(const caffe::LibraryFunction* f, int64_t count, const float* x,
                                         const float* factors, float* y) {
  try {
    const caffe::ThreadsOfOneDnn one(1);
    const caffe::WithoutSignals quiet;
    caffe::Function* const function = caffe::GetFunction(*f);
    static thread_local dnnl::stream stream(caffe::Cpu());
    const auto compute = [&](caffe::Elements* elements, int block, int64_t i) {
      caffe::Compute(*f, elements, block, x + i, factors ? factors + i : nullptr, y + i, &stream);
    };
    int64_t i = 0;
    for (; i + caffe::kBlock <= count; i += caffe::kBlock) compute(&function->block, caffe::kBlock, i);
    for (; i + caffe::kRest <= count; i += caffe::kRest) compute(&function->rest, caffe::kRest, i);
    if (i < count) {
      float last[caffe::kRest] = {}, last_factors[caffe::kRest] = {};
      std::copy(x + i, x + count, last);
      if (factors) std::copy(factors + i, factors + count, last_factors);
      caffe::Compute(*f, &function->rest, caffe::kRest, last, factors ? last_factors : nullptr, last,
                     &stream);
      std::copy_n(last, count - i, y + i);
    }
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}
