#include "caffe/layers/eltwise_layer.hpp"

#include "caffe/util/elementwise.hpp"
#include "caffe/util/eltwise.hpp"

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

namespace {

struct Host : HostSide {
  template <typename Function, typename T>
  static void Map(int64_t n, Function f, T* y) {
    MapElements(n, f, y);
  }
  // Two loops, each of which a compiler turns into vector instructions.
  template <typename FirstFunction, typename FirstT, typename Function, typename T>
  static void Map(int64_t n, FirstFunction f, FirstT* y, Function g, T* z) {
    MapElements(n, f, y);
    MapElements(n, g, z);
  }
};

}  // namespace

template <typename Dtype>
void EltwiseLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  EltwiseForward<Host>(op_, coeffs_, bottom, &max_idx_, top[0]);
}

template <typename Dtype>
void EltwiseLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  for (size_t i = 0; i < bottom.size(); ++i) {
    if (!propagate_down[i]) continue;
    EltwiseBackward<Host>(op_, stable_prod_grad_, coeffs_[i], max_idx_, *top[0], i, bottom);
  }
}

#ifdef CPU_ONLY
STUB_GPU(EltwiseLayer);
#endif

INSTANTIATE_CLASS(EltwiseLayer);
REGISTER_LAYER_CLASS(Eltwise);

}  // namespace caffe
