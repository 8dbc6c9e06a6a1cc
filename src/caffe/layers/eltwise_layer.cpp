#include "caffe/layers/eltwise_layer.hpp"

#include "caffe/util/elementwise.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

template <typename Body>
void ForElements(int count, Body body) {
  ParallelFor(count, kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace

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
  top[0]->ReshapeLike(*bottom[0]);
  if (op_ == EltwiseParameter_EltwiseOp_MAX) max_idx_.Reshape(bottom[0]->shape());
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int count = top[0]->count();
  const int num = static_cast<int>(bottom.size());
  vector<const Dtype*> x;
  for (const Blob<Dtype>* blob : bottom) x.push_back(blob->cpu_data());
  Dtype* y = top[0]->mutable_cpu_data();
  switch (op_) {
    case EltwiseParameter_EltwiseOp_PROD:
      ForElements(count, [&x, y, num](int64_t i) {
        Dtype product = x[0][i];
        for (int b = 1; b < num; ++b) product *= x[b][i];
        y[i] = product;
      });
      break;
    case EltwiseParameter_EltwiseOp_SUM:
      ForElements(count, [&x, y, num, this](int64_t i) {
        Dtype sum = coeffs_[0] * x[0][i];
        for (int b = 1; b < num; ++b) sum += coeffs_[b] * x[b][i];
        y[i] = sum;
      });
      break;
    case EltwiseParameter_EltwiseOp_MAX: {
      int* which = max_idx_.mutable_cpu_data();
      ForElements(count, [&x, y, num, which](int64_t i) {
        int best = 0;
        for (int b = 1; b < num; ++b) {
          if (x[b][i] > x[best][i]) best = b;
        }
        which[i] = best;
        y[i] = x[best][i];
      });
      break;
    }
    default:
      LOG(FATAL) << "unknown eltwise_param.operation";
  }
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  const int count = top[0]->count();
  const int num = static_cast<int>(bottom.size());
  const Dtype* y = top[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  vector<const Dtype*> x;
  for (const Blob<Dtype>* blob : bottom) x.push_back(blob->cpu_data());
  for (int own = 0; own < num; ++own) {
    if (!propagate_down[own]) continue;
    Dtype* dx = bottom[own]->mutable_cpu_diff();
    switch (op_) {
      case EltwiseParameter_EltwiseOp_PROD:
        if (stable_prod_grad_) {
          ForElements(count, [&x, dx, dy, num, own](int64_t i) {
            Dtype others = dy[i];
            for (int b = 0; b < num; ++b) {
              if (b != own) others *= x[b][i];
            }
            dx[i] = others;
          });
        } else {
          ForElements(count, [&x, dx, dy, y, own](int64_t i) { dx[i] = y[i] / x[own][i] * dy[i]; });
        }
        break;
      case EltwiseParameter_EltwiseOp_SUM:
        ForElements(count, [dx, dy, coeff = coeffs_[own]](int64_t i) { dx[i] = coeff * dy[i]; });
        break;
      case EltwiseParameter_EltwiseOp_MAX:
        ForElements(count, [dx, dy, own, which = max_idx_.cpu_data()](int64_t i) {
          dx[i] = which[i] == own ? dy[i] : Dtype(0);
        });
        break;
      default:
        LOG(FATAL) << "unknown eltwise_param.operation";
    }
  }
}

#ifdef CPU_ONLY
STUB_GPU(EltwiseLayer);
#endif

INSTANTIATE_CLASS(EltwiseLayer);
REGISTER_LAYER_CLASS(Eltwise);

}  // namespace caffe
