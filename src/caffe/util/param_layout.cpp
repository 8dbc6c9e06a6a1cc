#include "caffe/util/param_layout.hpp"

namespace caffe {

template <typename Dtype>
ParamLayout::ParamLayout(const Net<Dtype>& net) : num_layers_(static_cast<int>(net.layers().size())) {
  offsets_.push_back(0);
  size_t param = 0;
  for (int layer = 0; layer < num_layers_; ++layer) {
    for (const auto& blob : net.layers()[layer]->blobs()) {
      if (net.param_owners()[param++] < 0) Add(layer, blob->count(), sizeof(Dtype));
    }
  }
}

template ParamLayout::ParamLayout(const Net<float>& net);
template ParamLayout::ParamLayout(const Net<double>& net);

void ParamLayout::Add(int layer, size_t count, size_t element_size) {
  const size_t step = kAlignment / element_size;
  layers_.push_back(layer);
  offsets_.push_back(offsets_.back() + (count + step - 1) / step * step);
}

vector<int> ParamLayout::FirstToSend(size_t least) const {
  vector<int> first_to_send(num_layers_, -1);
  int sent = num_params();
  int first = sent;
  for (int layer = num_layers_ - 1; layer >= 0; --layer) {
    while (first > 0 && layers_[first - 1] == layer) --first;
    if (first == sent || (first > 0 && offset(sent) - offset(first) < least)) continue;
    first_to_send[layer] = first;
    sent = first;
  }
  return first_to_send;
}

}  // namespace caffe
