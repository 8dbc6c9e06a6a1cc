#ifndef CAFFE_LOWBIT_FLOAT_VECTOR_HPP_
#define CAFFE_LOWBIT_FLOAT_VECTOR_HPP_

namespace caffe {
namespace lowbit {
namespace {

template <int kLanes>
struct VectorOf {
  typedef float Type __attribute__((vector_size(kLanes * 4), aligned(4)));
};

/// By the number of lanes: a template's parameter that is a vector loses how it is aligned.
template <int kLanes>
using VectorType = typename VectorOf<kLanes>::Type;

}  // namespace
}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FLOAT_VECTOR_HPP_
