#include "caffe/layers/eltwise_layer.hpp"

#include <algorithm>

#include "caffe/util/elementwise.hpp"

namespace caffe {

template <typename Dtype>
void EltwiseLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>&) {
  const EltwiseParameter& param = this->layer_param_.eltwise_param();
  op_ = param.operation();
  CHECK(param.coeff_size() == 0 || param.coeff_size() == static_cast<int>(bottom.size()))
      << "eltwise_param.coeff must be given once for each bottom, or not at all";
  CHECK(param.coeff_size() == 0 || op_ == EltwiseParameter_EltwiseOp_SUM)
      << "eltwise_param.coeff applies to operation: SUM only";
  coeffs_.assign(bottom.size(), 1);
  for (int i = 0; i < param.coeff_size(); ++i) coeffs_[i] = param.coeff(i);
  stable_prod_grad_ = param.stable_prod_grad();
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  for (size_t i = 1; i < bottom.size(); ++i) {
    CHECK(bottom[0]->shape() == bottom[i]->shape())
        << "all bottoms must have the same shape: bottom 0 has " << bottom[0]->shape_string() << ", bottom "
        << i << " has " << bottom[i]->shape_string();
  }
  for (const Blob<Dtype>* blob : bottom) {
    CHECK(blob != top[0]) << "cannot be computed in place; give the top another name";
  }
  top[0]->ReshapeLike(*bottom[0]);
  if (op_ == EltwiseParameter_EltwiseOp_MAX) max_idx_.Reshape(bottom[0]->shape());
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int count = top[0]->count();
  Dtype* y = top[0]->mutable_cpu_data();
  const Dtype* a = bottom[0]->cpu_data();
  int* which = nullptr;
  if (op_ == EltwiseParameter_EltwiseOp_MAX) {
    which = max_idx_.mutable_cpu_data();
    std::fill_n(which, count, 0);
  }
  // The first two together, then one more at a time.
  for (size_t i = 1; i < bottom.size(); ++i, a = y) {
    const Dtype* b = bottom[i]->cpu_data();
    switch (op_) {
      case EltwiseParameter_EltwiseOp_PROD:
        MapElements(count, [=](int64_t k) { return a[k] * b[k]; }, y);
        break;
      case EltwiseParameter_EltwiseOp_SUM:
        MapElements(
            count,
            [=, p = i == 1 ? coeffs_[0] : Dtype(1), q = coeffs_[i]](int64_t k) {
              return p * a[k] + q * b[k];
            },
            y);
        break;
      case EltwiseParameter_EltwiseOp_MAX:
        MapElements(
            count, [=, own = static_cast<int>(i)](int64_t k) { return b[k] > a[k] ? own : which[k]; }, which);
        MapElements(count, [=](int64_t k) { return b[k] > a[k] ? b[k] : a[k]; }, y);
        break;
    }
  }
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  const int count = top[0]->count();
  const Dtype* dy = top[0]->cpu_diff();
  for (size_t own = 0; own < bottom.size(); ++own) {
    if (!propagate_down[own]) continue;
    Dtype* dx = bottom[own]->mutable_cpu_diff();
    switch (op_) {
      case EltwiseParameter_EltwiseOp_PROD:
        if (stable_prod_grad_) {
          const Dtype* product = dy;
          for (size_t i = 0; i < bottom.size(); ++i) {
            if (i == own) continue;
            MapElements(
                count, [product, b = bottom[i]->cpu_data()](int64_t k) { return product[k] * b[k]; }, dx);
            product = dx;
          }
        } else {
          MapElements(
              count,
              [dy, y = top[0]->cpu_data(), x = bottom[own]->cpu_data()](int64_t k) {
                return y[k] / x[k] * dy[k];
              },
              dx);
        }
        break;
      case EltwiseParameter_EltwiseOp_SUM:
        MapElements(count, [dy, coeff = coeffs_[own]](int64_t k) { return coeff * dy[k]; }, dx);
        break;
      case EltwiseParameter_EltwiseOp_MAX:
        MapElements(
            count,
            [dy, own = static_cast<int>(own), which = max_idx_.cpu_data()](int64_t k) {
              return which[k] == own ? dy[k] : Dtype(0);
            },
            dx);
        break;
    }
  }
}

#ifdef CPU_ONLY
STUB_GPU(EltwiseLayer);
#endif

INSTANTIATE_CLASS(EltwiseLayer);
REGISTER_LAYER_CLASS(Eltwise);

}  // namespace caffe
