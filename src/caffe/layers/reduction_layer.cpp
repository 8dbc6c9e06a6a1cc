#include "caffe/layers/reduction_layer.hpp"

#include <algorithm>

#include "caffe/util/math_functions.hpp"
#include "caffe/util/ones.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/reduce.hpp"
#include "caffe/util/reduction_functions.hpp"

namespace caffe {

namespace {

template <typename Dtype, typename Function>
CAFFE_TARGET_CLONES void SumRows(int64_t begin, int64_t end, int64_t dim, Dtype coeff, Function f,
                                 const Dtype* x, Dtype* y) {
  for (int64_t row = begin; row < end; ++row) {
    const Dtype* values = x + row * dim;
    y[row] = coeff * SumOver<Dtype>(dim, [=](int64_t i) { return f.Forward(values[i]); });
  }
}

template <typename Dtype, typename Function>
CAFFE_TARGET_CLONES void SpreadRows(int64_t begin, int64_t end, int64_t dim, Dtype coeff, Function f,
                                    const Dtype* x, const Dtype* y, const Dtype* dy, Dtype* dx) {
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t i = row * dim; i < (row + 1) * dim; ++i)
      dx[i] = coeff * dy[row] * f.Derivative(x[i], y[row]);
  }
}

}  // namespace

template <typename Dtype>
void ReductionLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  op_ = this->layer_param_.reduction_param().operation();
}

template <typename Dtype>
void ReductionLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const ReductionParameter& param = this->layer_param_.reduction_param();
  axis_ = bottom[0]->CanonicalAxisIndex(param.axis());
  top[0]->Reshape(vector<int>(bottom[0]->shape().begin(), bottom[0]->shape().begin() + axis_));
  num_ = bottom[0]->count(0, axis_);
  dim_ = bottom[0]->count(axis_);
  coeff_ = param.coeff();
  if (op_ == ReductionParameter_ReductionOp_MEAN) coeff_ /= std::max(dim_, 1);
  if (op_ == ReductionParameter_ReductionOp_MEAN || op_ == ReductionParameter_ReductionOp_SUM) {
    ReshapeOnes({dim_}, &sum_multiplier_);
  }
}

template <typename Dtype>
void ReductionLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  WithReductionFunction<Dtype>(op_, [&](auto f) {
    ParallelFor(num_, kElementGrain / std::max(dim_, 1) + 1,
                [&](int64_t begin, int64_t end) { SumRows(begin, end, dim_, coeff_, f, x, y); });
  });
}

template <typename Dtype>
void ReductionLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  const Dtype* x = bottom[0]->cpu_data();
  const Dtype* y = top[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  WithReductionFunction<Dtype>(op_, [&](auto f) {
    ParallelFor(num_, kElementGrain / std::max(dim_, 1) + 1,
                [&](int64_t begin, int64_t end) { SpreadRows(begin, end, dim_, coeff_, f, x, y, dy, dx); });
  });
}

#ifdef CPU_ONLY
STUB_GPU(ReductionLayer);
#endif

INSTANTIATE_CLASS(ReductionLayer);
REGISTER_LAYER_CLASS(Reduction);

}  // namespace caffe
