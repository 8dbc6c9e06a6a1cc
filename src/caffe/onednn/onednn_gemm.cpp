// Products of matrices of libcaffe_onednn: see caffe/util/onednn_library.hpp.
#include <omp.h>

#include <map>
#include <oneapi/dnnl/dnnl.hpp>

#include <tuple>
#include <unordered_map>

#include "caffe/util/onednn_library.hpp"
#include "caffe/util/scratch_memory.hpp"
#include "one_dnn.hpp"
#include "without_signals.hpp"

namespace caffe {

namespace {

using dnnl::memory;

/// A product of BF16 of one shape, for one thread. What it is called with is made once: products may be
/// small.
struct BF16Product {
  dnnl::matmul primitive;
  memory a, b, c, scratchpad;
  std::unordered_map<int, memory> arguments;
};

/// What is known of a product before its operands.
struct BF16Shape {
  bool trans_a;
  int m, n, k, lda, ldb, ldc;
  bool is_added;

  auto Tied() const { return std::tie(trans_a, m, n, k, lda, ldb, ldc, is_added); }
  bool operator<(const BF16Shape& other) const { return Tied() < other.Tied(); }
};

BF16Product MakeBF16Product(const BF16Shape& shape) {
  using Strides = memory::dims;
  const memory::desc a({shape.m, shape.k}, memory::data_type::bf16,
                       shape.trans_a ? Strides{1, shape.lda} : Strides{shape.lda, 1});
  const memory::desc b({shape.k, shape.n}, memory::data_type::bf16, Strides{shape.ldb, 1});
  const memory::desc c({shape.m, shape.n}, memory::data_type::f32, Strides{shape.ldc, 1});
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (shape.is_added) {
    dnnl::post_ops add;
    add.append_sum(1);
    attributes.set_post_ops(add);
  }
  const ThreadsOfOneDnn one(1);
  const dnnl::matmul::primitive_desc desc(Cpu(), a, b, c, attributes);
  BF16Product product = {dnnl::matmul(desc),
                         At(a, DNNL_MEMORY_NONE),
                         At(b, DNNL_MEMORY_NONE),
                         At(c, DNNL_MEMORY_NONE),
                         At(desc.scratchpad_desc(), DNNL_MEMORY_NONE),
                         {}};
  // Handles are shared: a later set_data_handle is seen by the arguments.
  product.arguments = {{DNNL_ARG_SRC, product.a},
                       {DNNL_ARG_WEIGHTS, product.b},
                       {DNNL_ARG_DST, product.c},
                       {DNNL_ARG_SCRATCHPAD, product.scratchpad}};
  return product;
}

BF16Product* GetBF16Product(const BF16Shape& shape) {
  // Nets with images of ever new sizes must not fill the memory.
  constexpr size_t kMaxProducts = 64;
  static thread_local std::map<BF16Shape, BF16Product> products;
  auto found = products.find(shape);
  if (found == products.end()) {
    if (products.size() >= kMaxProducts) products.clear();
    found = products.emplace(shape, MakeBF16Product(shape)).first;
  }
  return &found->second;
}

}  // namespace

}  // namespace caffe

extern "C" bool caffe_onednn_sgemm(char trans_a, char trans_b, int m, int n, int k, float alpha,
                                   const float* a, int lda, const float* b, int ldb, float beta, float* c,
                                   int ldc) {
  const caffe::WithoutSignals quiet;
  return dnnl_sgemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) == dnnl_success;
}

extern "C" bool caffe_onednn_bf16_gemm(bool trans_a, int m, int n, int k, const uint16_t* a, int lda,
                                       const uint16_t* b, int ldb, bool is_added, float* c, int ldc) {
  try {
    caffe::BF16Product* const product = caffe::GetBF16Product({trans_a, m, n, k, lda, ldb, ldc, is_added});
    static thread_local caffe::ScratchMemory scratchpad;
    static thread_local dnnl::stream stream(caffe::Cpu());
    product->a.set_data_handle(const_cast<uint16_t*>(a));
    product->b.set_data_handle(const_cast<uint16_t*>(b));
    product->c.set_data_handle(c);
    product->scratchpad.set_data_handle(scratchpad.Get(product->scratchpad.get_desc().get_size()));
    const caffe::ThreadsOfOneDnn one(1);
    const caffe::WithoutSignals quiet;
    product->primitive.execute(stream, product->arguments);
    stream.wait();
    return true;
  } catch (const dnnl::error&) {
    return false;
  }
}

extern "C" caffe::BF16Instructions caffe_onednn_bf16_instructions() {
  const auto has = [isa = dnnl::get_effective_cpu_isa()](dnnl::cpu_isa wanted) {
    const auto bits = static_cast<unsigned>(wanted);
    return (static_cast<unsigned>(isa) & bits) == bits;
  };
  if (has(dnnl::cpu_isa::avx512_core_amx)) return caffe::BF16Instructions::kTiles;
  return has(dnnl::cpu_isa::avx512_core_bf16) ? caffe::BF16Instructions::kVectors
                                              : caffe::BF16Instructions::kNone;
}
