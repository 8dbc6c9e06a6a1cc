#include "caffe/layers/loss_layer.hpp"

#include <algorithm>

namespace caffe {

template <typename Dtype>
void LossLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  if (this->layer_param_.loss_weight_size() == 0) this->layer_param_.add_loss_weight(Dtype(1));
  // A weight for the loss alone: what comes out beside it is none.
  if (this->layer_param_.loss_weight_size() > 1) return;
  for (size_t i = 1; i < top.size(); ++i) this->layer_param_.add_loss_weight(0);
}

template <typename Dtype>
void LossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->shape(0), bottom[1]->shape(0))
      << "predictions and targets must hold the same number of items";
  top[0]->Reshape(vector<int>());
}

template <typename Dtype>
Dtype LossNormalizer(LossParameter_NormalizationMode mode, int outer_num, int inner_num, int valid_count) {
  double normalizer = 1;
  switch (mode) {
    case LossParameter_NormalizationMode_FULL:
      normalizer = static_cast<double>(outer_num) * inner_num;
      break;
    case LossParameter_NormalizationMode_VALID:
      normalizer = valid_count == -1 ? static_cast<double>(outer_num) * inner_num : valid_count;
      break;
    case LossParameter_NormalizationMode_BATCH_SIZE:
      normalizer = outer_num;
      break;
    case LossParameter_NormalizationMode_NONE:
      break;
    default:
      LOG(FATAL) << "unknown loss_param.normalization " << static_cast<int>(mode);
  }
  // A batch in which every item is ignored has loss 0, not 0 / 0.
  return static_cast<Dtype>(std::max(normalizer, 1.0));
}
template float LossNormalizer<float>(LossParameter_NormalizationMode, int, int, int);
template double LossNormalizer<double>(LossParameter_NormalizationMode, int, int, int);

LossParameter_NormalizationMode LossNormalizationMode(const LossParameter& param,
                                                      LossParameter_NormalizationMode fallback) {
  if (param.has_normalization()) return param.normalization();
  if (!param.has_normalize()) return fallback;
  return param.normalize() ? LossParameter_NormalizationMode_VALID
                           : LossParameter_NormalizationMode_BATCH_SIZE;
}

int CheckedLabel(double label, int position, int num_classes) {
  const int index = IndexIn(label, num_classes);
  CHECK(index >= 0) << "wrong label " << label << " at position " << position
                    << " of the batch: labels must be integers from 0 to " << num_classes - 1
                    << " (the prediction has " << num_classes << " channels)";
  return index;
}

INSTANTIATE_CLASS(LossLayer);

}  // namespace caffe
