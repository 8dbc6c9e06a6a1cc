#include "caffe/layers/dummy_data_layer.hpp"

namespace caffe {

namespace {

// The deprecated four dimensions are given once for all tops, or once for each.
int LegacyDim(const google::protobuf::RepeatedField<google::protobuf::uint32>& values, int index) {
  return static_cast<int>(values.Get(values.size() == 1 ? 0 : index));
}

}  // namespace

template <typename Dtype>
void DummyDataLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  const DummyDataParameter& param = this->layer_param_.dummy_data_param();
  const int num_top = static_cast<int>(top.size());
  const auto once_or_each = [num_top](int size) { return size == 1 || size == num_top; };
  CHECK(param.data_filler_size() == 0 || once_or_each(param.data_filler_size()))
      << "dummy_data_param.data_filler must be given once, once for each of the " << num_top
      << " tops, or not at all";
  const bool legacy = param.num_size() > 0;
  if (legacy) {
    CHECK_EQ(param.shape_size(), 0)
        << "give dummy_data_param.shape or num, channels, height and width, not both";
    CHECK(once_or_each(param.num_size()) && once_or_each(param.channels_size()) &&
          once_or_each(param.height_size()) && once_or_each(param.width_size()))
        << "dummy_data_param.num, channels, height and width must be given once, or once for each top";
  } else {
    CHECK(once_or_each(param.shape_size()))
        << "dummy_data_param.shape must be given once, or once for each top";
  }
  FillerParameter zero;
  zero.set_type("constant");
  for (int i = 0; i < num_top; ++i) {
    const FillerParameter& filler =
        param.data_filler_size() == 0 ? zero : param.data_filler(param.data_filler_size() == 1 ? 0 : i);
    fillers_.emplace_back(GetFiller<Dtype>(filler));
    refill_.push_back(filler.type() != "constant");
    if (legacy) {
      top[i]->Reshape(LegacyDim(param.num(), i), LegacyDim(param.channels(), i), LegacyDim(param.height(), i),
                      LegacyDim(param.width(), i));
    } else {
      top[i]->Reshape(param.shape(param.shape_size() == 1 ? 0 : i));
    }
    if (!refill_[i]) fillers_[i]->Fill(top[i]);
  }
}

template <typename Dtype>
void DummyDataLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  for (size_t i = 0; i < top.size(); ++i) {
    if (refill_[i]) fillers_[i]->Fill(top[i]);
  }
}

template <typename Dtype>
void DummyDataLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&,
                                         const vector<Blob<Dtype>*>&) {}

INSTANTIATE_CLASS(DummyDataLayer);
REGISTER_LAYER_CLASS(DummyData);

}  // namespace caffe
