#include "caffe/util/numerics_check.hpp"

#include <algorithm>
#include <cmath>

namespace caffe {

namespace {

template <typename Dtype>
bool AllFinite(const Dtype* values, int count) {
  return std::all_of(values, values + count, [](Dtype value) { return std::isfinite(value); });
}

// "[2, 0, 5, 5]", the place of a value along the axes.
string PlaceOf(int index, const vector<int>& shape) {
  string text;
  for (size_t axis = shape.size(); axis-- > 0; index /= shape[axis]) {
    text = std::to_string(index % shape[axis]) + (text.empty() ? "" : ", ") + text;
  }
  return "[" + text + "]";
}

// " holds nan at [...]", where the data, or the gradients, of a blob hold an infinity or no number; else "".
template <typename Dtype>
string Find(const Blob<Dtype>& blob, bool gradients) {
  // A sum over all shows it, and on a GPU leaves them there; but it may overflow by itself.
  if (std::isfinite(gradients ? blob.asum_diff() : blob.asum_data())) return "";
  const Dtype* values = gradients ? blob.cpu_diff() : blob.cpu_data();
  const Dtype* const end = values + blob.count();
  const auto is_broken = [](Dtype value) { return !std::isfinite(value); };
  const Dtype* const first = std::find_if(values, end, is_broken);
  if (first == end) return "";
  ostringstream text;
  text << " holds " << *first << " at " << PlaceOf(static_cast<int>(first - values), blob.shape())
       << ", the first of " << std::count_if(first, end, is_broken) << " such values among " << blob.count();
  return text.str();
}

}  // namespace

template <typename Dtype>
bool IsFinite(const Blob<Dtype>& blob) {
  return AllFinite(blob.cpu_data(), blob.count());
}

template <typename Dtype>
NumericsCheck<Dtype>::NumericsCheck(Net<Dtype>* net)
    : net_(net),
      after_forward_(this, &NumericsCheck::LookForward),
      after_backward_(this, &NumericsCheck::LookBackward) {
  net_->add_after_forward(&after_forward_);
  net_->add_after_backward(&after_backward_);
}

template <typename Dtype>
void NumericsCheck<Dtype>::LookForward(int layer) {
  const vector<Blob<Dtype>*>& tops = net_->top_vecs()[layer];
  for (size_t i = 0; i < tops.size(); ++i) {
    const string found = Find(*tops[i], false);
    if (found.empty()) continue;
    const string& name = net_->blob_names()[net_->top_ids(layer)[i]];
    Fail(layer, "top blob '" + name + "'" + found + ", after the forward pass" + BrokenParameters(layer));
  }
}

template <typename Dtype>
void NumericsCheck<Dtype>::LookBackward(int layer) {
  if (!net_->layer_need_backward()[layer]) return;
  const string when = ", after the backward pass";
  const vector<Blob<Dtype>*>& bottoms = net_->bottom_vecs()[layer];
  for (size_t i = 0; i < bottoms.size(); ++i) {
    if (!net_->bottom_need_backward()[layer][i]) continue;
    const string found = Find(*bottoms[i], true);
    if (found.empty()) continue;
    const string& name = net_->blob_names()[net_->bottom_ids(layer)[i]];
    Fail(layer, "the gradient of bottom blob '" + name + "'" + found + when + BrokenParameters(layer));
  }
  Layer<Dtype>& made_by = *net_->layers()[layer];
  for (size_t i = 0; i < made_by.blobs().size(); ++i) {
    if (!made_by.param_propagate_down(static_cast<int>(i))) continue;
    const string found = Find(*made_by.blobs()[i], true);
    if (found.empty()) continue;
    Fail(layer, "the gradient of parameter " + std::to_string(i) + found + when + BrokenParameters(layer));
  }
}

template <typename Dtype>
void NumericsCheck<Dtype>::CheckParameters() {
  if (!enabled_) return;
  for (size_t layer = 0; layer < net_->layers().size(); ++layer) {
    const auto& blobs = net_->layers()[layer]->blobs();
    for (size_t i = 0; i < blobs.size(); ++i) {
      const string found = Find(*blobs[i], false);
      if (found.empty()) continue;
      Fail(static_cast<int>(layer), "parameter " + std::to_string(i) + found + ", after the update");
    }
  }
}

template <typename Dtype>
string NumericsCheck<Dtype>::BrokenParameters(int layer) const {
  string broken;
  const auto& blobs = net_->layers()[layer]->blobs();
  for (size_t i = 0; i < blobs.size(); ++i) {
    if (!IsFinite(*blobs[i])) broken += (broken.empty() ? "" : ", ") + std::to_string(i);
  }
  return broken.empty() ? "" : "; such values are in the layer's parameters, too: " + broken;
}

template <typename Dtype>
void NumericsCheck<Dtype>::Fail(int layer, const string& message) {
  found_ = true;
  throw Error(message, net_->layer_names()[layer], net_->layers()[layer]->type());
}

template bool IsFinite(const Blob<float>&);
template bool IsFinite(const Blob<double>&);
INSTANTIATE_CLASS(NumericsCheck);

}  // namespace caffe
