#include "caffe/layers/reshape_layer.hpp"

namespace caffe {

template <typename Dtype>
void ReshapeLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {
  const BlobShape& shape = this->layer_param_.reshape_param().shape();
  inferred_axis_ = -1;
  copy_axes_.clear();
  int64_t product = 1;
  for (int i = 0; i < shape.dim_size(); ++i) {
    const int64_t dim = shape.dim(i);
    if (dim == 0) {
      copy_axes_.push_back(i);
    } else if (dim == -1) {
      CHECK_EQ(inferred_axis_, -1) << "reshape_param.shape may hold only one -1";
      inferred_axis_ = i;
    } else {
      CHECK_GT(dim, 0) << "reshape_param.shape holds a negative dimension";
      product *= dim;
      CHECK_LE(product, INT_MAX) << "reshape_param.shape asks for too many elements";
    }
  }
  constant_count_ = static_cast<int>(product);
}

template <typename Dtype>
void ReshapeLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK(top[0] != bottom[0]) << "cannot be computed in place; give the top another name";
  const ReshapeParameter& param = this->layer_param_.reshape_param();
  const int axes = bottom[0]->num_axes();
  const int start = param.axis() >= 0 ? param.axis() : axes + param.axis() + 1;
  CHECK(start >= 0 && start <= axes) << "reshape_param.axis " << param.axis()
                                     << " is out of range for a blob of " << axes << " axes";
  CHECK_GE(param.num_axes(), -1) << "reshape_param.num_axes must be -1 (all) or not negative";
  const bool takes_all = param.num_axes() == -1;
  CHECK(takes_all || param.num_axes() <= axes - start)
      << "reshape_param.axis and num_axes reach past the last axis";
  const int end = takes_all ? axes : start + param.num_axes();
  const vector<int>& from = bottom[0]->shape();
  vector<int> shape(from.begin(), from.begin() + start);
  for (const int64_t dim : param.shape().dim()) shape.push_back(static_cast<int>(dim));
  shape.insert(shape.end(), from.begin() + end, from.end());

  int64_t explicit_count = constant_count_;
  explicit_count *= bottom[0]->count(0, start);
  explicit_count *= bottom[0]->count(end);
  for (const int axis : copy_axes_) {
    CHECK_LT(start + axis, axes)
        << "reshape_param.shape copies (0) a dimension that the bottom does not have";
    shape[start + axis] = from[start + axis];
    explicit_count *= from[start + axis];
  }
  if (inferred_axis_ >= 0) {
    CHECK(explicit_count > 0 && bottom[0]->count() % explicit_count == 0)
        << "cannot infer -1: the bottom holds " << bottom[0]->count() << " elements, which is no multiple of "
        << explicit_count << ", the product of the other dimensions";
    shape[start + inferred_axis_] = static_cast<int>(bottom[0]->count() / explicit_count);
  }
  top[0]->Reshape(shape);
  CHECK_EQ(top[0]->count(), bottom[0]->count())
      << "the new shape " << top[0]->shape_string() << " holds another number of elements than the bottom, "
      << bottom[0]->shape_string();
  top[0]->ShareData(*bottom[0]);
  top[0]->ShareDiff(*bottom[0]);
}

template <typename Dtype>
void ReshapeLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) {}

template <typename Dtype>
void ReshapeLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&,
                                       const vector<Blob<Dtype>*>&) {}

INSTANTIATE_CLASS(ReshapeLayer);
REGISTER_LAYER_CLASS(Reshape);

}  // namespace caffe
