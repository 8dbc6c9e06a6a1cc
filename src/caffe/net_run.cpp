// Running a Net: forward and backward passes, their callbacks and debug lines.
#include <algorithm>

#include "caffe/net.hpp"
#include "caffe/util/gpu_clear.hpp"
#include "caffe/util/gpu_memory.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

template <typename Dtype>
Dtype MeanMagnitude(Dtype absolute_sum, const Blob<Dtype>& blob) {
  return blob.count() ? absolute_sum / blob.count() : Dtype(0);
}

}  // namespace

template <typename Dtype>
void Net<Dtype>::FollowOtherThreads() {
#ifndef CPU_ONLY
  if (Caffe::mode() != Caffe::GPU) return;
  const std::thread::id here = std::this_thread::get_id();
  if (last_thread_ != here && last_thread_ != std::thread::id()) GpuFollowAllThreads();
  last_thread_ = here;
#endif
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardFromTo(int start, int end) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  FollowOtherThreads();
  CHECK_GE(start, 0) << "there is no layer " << start;
  CHECK_LT(end, static_cast<int>(layers_.size())) << "there is no layer " << end;
  CHECK(!reuses_memory_ || start == 0) << "a net that reuses memory has lost what layer " << start
                                       << " reads: begin at the first layer, or set_reuses_memory(false)";
  JoinLayers(TrainsUnseen() && end + 1 == static_cast<int>(layers_.size()));
  Dtype loss = 0;
  for (int i = start; i <= end; ++i) {
    for (Callback* callback : before_forward_) callback->run(i);
    if (reuses_memory_) {
      LendData(i);
      LendKeptBlobs(i, layers_[i]->KeptBlobs());
    }
    loss += layers_[i]->Forward(bottom_vecs_[i], top_vecs_[i]);
    if (debug_info_) ForwardDebugInfo(i);
    for (Callback* callback : after_forward_) callback->run(i);
    if (reuses_memory_) TakeBackData(i);
  }
  return loss;
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardFrom(int start) {
  return ForwardFromTo(start, static_cast<int>(layers_.size()) - 1);
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardTo(int end) {
  return ForwardFromTo(0, end);
}

template <typename Dtype>
const vector<Blob<Dtype>*>& Net<Dtype>::Forward(Dtype* loss) {
  const Dtype total = ForwardFrom(0);
  if (loss) *loss = total;
  return net_output_blobs_;
}

template <typename Dtype>
const vector<Blob<Dtype>*>& Net<Dtype>::ForwardPrefilled(Dtype* loss) {
  return Forward(loss);
}

template <typename Dtype>
const vector<Blob<Dtype>*>& Net<Dtype>::Forward(const vector<Blob<Dtype>*>& bottom, Dtype* loss) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  CHECK_LE(bottom.size(), net_input_blobs_.size())
      << "the net has " << net_input_blobs_.size() << " input(s), not " << bottom.size();
  for (size_t i = 0; i < bottom.size(); ++i) net_input_blobs_[i]->CopyFrom(*bottom[i]);
  return Forward(loss);
}

template <typename Dtype>
void Net<Dtype>::BackwardFromTo(int start, int end) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  FollowOtherThreads();
  CHECK_GE(end, 0) << "there is no layer " << end;
  CHECK_LT(start, static_cast<int>(layers_.size())) << "there is no layer " << start;
  CHECK(!reuses_memory_ || phase_ == TRAIN)
      << "a net of the TEST phase that reuses memory keeps nothing for Backward: set_reuses_memory(false)";
  for (int i = start; i >= end; --i) {
    for (Callback* callback : before_backward_) callback->run(i);
    if (reuses_memory_) TakeBackRestoredData(i);
    if (layer_need_backward_[i]) {
      if (reuses_memory_) {
        CHECK(!are_kept_gone_[i]) << "a net that reuses memory goes backward once after each Forward: "
                                     "run Forward again, or set_reuses_memory(false)";
        RestoreData(i);
        LendKeptBlobs(i, layers_[i]->BackwardBlobs());
        LendDiffs(i);
      }
      layers_[i]->Backward(top_vecs_[i], bottom_need_backward_[i], bottom_vecs_[i]);
      if (debug_info_) BackwardDebugInfo(i);
    }
    for (Callback* callback : after_backward_) callback->run(i);
    if (reuses_memory_ && layer_need_backward_[i]) {
      TakeBackDiffs(i);
      TakeBackKeptBlobs(i);
    }
  }
}

template <typename Dtype>
void Net<Dtype>::remove_after_backward(Callback* value) {
  after_backward_.erase(std::remove(after_backward_.begin(), after_backward_.end(), value),
                        after_backward_.end());
}

template <typename Dtype>
void Net<Dtype>::BackwardFrom(int start) {
  BackwardFromTo(start, 0);
}

template <typename Dtype>
void Net<Dtype>::BackwardTo(int end) {
  BackwardFromTo(static_cast<int>(layers_.size()) - 1, end);
}

template <typename Dtype>
void Net<Dtype>::Backward() {
  BackwardFrom(static_cast<int>(layers_.size()) - 1);
  if (!debug_info_) return;
  Dtype asum_data = 0, asum_diff = 0, sumsq_data = 0, sumsq_diff = 0;
  for (const Blob<Dtype>* param : learnable_params_) {
    asum_data += param->asum_data();
    asum_diff += param->asum_diff();
    sumsq_data += param->sumsq_data();
    sumsq_diff += param->sumsq_diff();
  }
  LOG_IF(INFO, Caffe::root_solver()) << "    [Backward] All net params (data, diff): "
                                     << "L1 norm = (" << asum_data << ", " << asum_diff << "); "
                                     << "L2 norm = (" << std::sqrt(sumsq_data) << ", "
                                     << std::sqrt(sumsq_diff) << ")";
}

template <typename Dtype>
Dtype Net<Dtype>::ForwardBackward() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  Dtype loss;
  Forward(&loss);
  Backward();
  return loss;
}

template <typename Dtype>
void Net<Dtype>::Reshape() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    try {
      layers_[i]->Reshape(bottom_vecs_[i], top_vecs_[i]);
    } catch (const Error& error) {
      throw error.WithLayer(layer_names_[i], layers_[i]->type());
    }
  }
}

template <typename Dtype>
void Net<Dtype>::Update() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  FollowOtherThreads();
  for (Blob<Dtype>* param : learnable_params_) param->Update();
  ShowUpdate();
}

template <typename Dtype>
void Net<Dtype>::ShowUpdate() {
  if (!debug_info_) return;
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  for (size_t i = 0; i < params_.size(); ++i) UpdateDebugInfo(static_cast<int>(i));
}

template <typename Dtype>
void Net<Dtype>::GiveGradients(const GradientTaker& taker) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  // The gradient by a parameter of several layers is the sum of theirs.
  vector<int> users(learnable_params_.size(), 0);
  for (const int id : learnable_param_ids_) ++users[id];
  gives_gradient_.assign(learnable_params_.size(), false);
  const bool has_python = std::any_of(layers_.begin(), layers_.end(),
                                      [](const auto& layer) { return string(layer->type()) == "Python"; });
  const bool may_give = taker && Caffe::mode() == Caffe::CPU && TrainsUnseen() && !has_python &&
                        before_backward_.empty() && after_backward_.empty();
  for (size_t i = 0; i < params_.size(); ++i) {
    const int id = learnable_param_ids_[i];
    const auto [layer_id, blob] = param_layer_indices_[i];
    Layer<Dtype>* const layer = layers_[layer_id].get();
    if (!may_give) {
      layer->SetGradientTaker(blob, nullptr);
    } else if (users[id] == 1 && layer_need_backward_[layer_id] && layer->param_propagate_down(blob)) {
      gives_gradient_[id] = layer->SetGradientTaker(
          blob,
          [taker, id](int64_t begin, int64_t count, Dtype* gradient) { taker(id, begin, count, gradient); });
    }
  }
}

template <typename Dtype>
void Net<Dtype>::ClearParamDiffs() {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  FollowOtherThreads();
  vector<Blob<Dtype>*> kept;
  for (size_t id = 0; id < learnable_params_.size(); ++id) {
    if (!gives_gradient_[id]) kept.push_back(learnable_params_[id]);
  }
#ifndef CPU_ONLY
  if (Caffe::mode() == Caffe::GPU) return GpuClearDiffs(kept);
#endif
  for (Blob<Dtype>* param : kept) caffe_set(param->count(), Dtype(0), param->mutable_cpu_diff());
}

template <typename Dtype>
void Net<Dtype>::ForwardDebugInfo(const int layer_id) {
  for (size_t top_id = 0; top_id < top_vecs_[layer_id].size(); ++top_id) {
    const Blob<Dtype>& blob = *top_vecs_[layer_id][top_id];
    LOG_IF(INFO, Caffe::root_solver())
        << "    [Forward] Layer " << layer_names_[layer_id] << ", top blob "
        << blob_names_[top_id_vecs_[layer_id][top_id]] << " data: " << MeanMagnitude(blob.asum_data(), blob);
  }
  for (size_t param_id = 0; param_id < param_id_vecs_[layer_id].size(); ++param_id) {
    const Blob<Dtype>& blob = *layers_[layer_id]->blobs()[param_id];
    LOG_IF(INFO, Caffe::root_solver()) << "    [Forward] Layer " << layer_names_[layer_id] << ", param blob "
                                       << param_display_names_[param_id_vecs_[layer_id][param_id]]
                                       << " data: " << MeanMagnitude(blob.asum_data(), blob);
  }
}

template <typename Dtype>
void Net<Dtype>::BackwardDebugInfo(const int layer_id) {
  for (size_t bottom_id = 0; bottom_id < bottom_vecs_[layer_id].size(); ++bottom_id) {
    if (!bottom_need_backward_[layer_id][bottom_id]) continue;
    const Blob<Dtype>& blob = *bottom_vecs_[layer_id][bottom_id];
    LOG_IF(INFO, Caffe::root_solver())
        << "    [Backward] Layer " << layer_names_[layer_id] << ", bottom blob "
        << blob_names_[bottom_id_vecs_[layer_id][bottom_id]]
        << " diff: " << MeanMagnitude(blob.asum_diff(), blob);
  }
  for (size_t param_id = 0; param_id < param_id_vecs_[layer_id].size(); ++param_id) {
    if (!layers_[layer_id]->param_propagate_down(static_cast<int>(param_id))) continue;
    const Blob<Dtype>& blob = *layers_[layer_id]->blobs()[param_id];
    LOG_IF(INFO, Caffe::root_solver()) << "    [Backward] Layer " << layer_names_[layer_id] << ", param blob "
                                       << param_display_names_[param_id_vecs_[layer_id][param_id]]
                                       << " diff: " << MeanMagnitude(blob.asum_diff(), blob);
  }
}

template <typename Dtype>
void Net<Dtype>::UpdateDebugInfo(const int param_id) {
  const Blob<Dtype>& blob = *params_[param_id];
  const string& layer_name = layer_names_[param_layer_indices_[param_id].first];
  const string& param_name = param_display_names_[param_id];
  const int owner = param_owners_[param_id];
  if (owner < 0) {
    LOG_IF(INFO, Caffe::root_solver()) << "    [Update] Layer " << layer_name << ", param " << param_name
                                       << " data: " << MeanMagnitude(blob.asum_data(), blob)
                                       << "; diff: " << MeanMagnitude(blob.asum_diff(), blob);
  } else {
    LOG_IF(INFO, Caffe::root_solver())
        << "    [Update] Layer " << layer_name << ", param blob " << param_name << " (owned by layer "
        << layer_names_[param_layer_indices_[owner].first] << ", param " << param_display_names_[owner]
        << ") diff: " << MeanMagnitude(blob.asum_diff(), blob);
  }
}

#define INSTANTIATE(Dtype)                                                                       \
  template void Net<Dtype>::FollowOtherThreads();                                                \
  template Dtype Net<Dtype>::ForwardFromTo(int, int);                                            \
  template Dtype Net<Dtype>::ForwardFrom(int);                                                   \
  template Dtype Net<Dtype>::ForwardTo(int);                                                     \
  template const vector<Blob<Dtype>*>& Net<Dtype>::Forward(Dtype*);                              \
  template const vector<Blob<Dtype>*>& Net<Dtype>::ForwardPrefilled(Dtype*);                     \
  template const vector<Blob<Dtype>*>& Net<Dtype>::Forward(const vector<Blob<Dtype>*>&, Dtype*); \
  template void Net<Dtype>::BackwardFromTo(int, int);                                            \
  template void Net<Dtype>::remove_after_backward(Callback*);                                    \
  template void Net<Dtype>::BackwardFrom(int);                                                   \
  template void Net<Dtype>::BackwardTo(int);                                                     \
  template void Net<Dtype>::Backward();                                                          \
  template Dtype Net<Dtype>::ForwardBackward();                                                  \
  template void Net<Dtype>::Reshape();                                                           \
  template void Net<Dtype>::Update();                                                            \
  template void Net<Dtype>::ShowUpdate();                                                        \
  template void Net<Dtype>::GiveGradients(const GradientTaker&);                                 \
  template void Net<Dtype>::ClearParamDiffs();                                                   \
  template void Net<Dtype>::ForwardDebugInfo(const int);                                         \
  template void Net<Dtype>::BackwardDebugInfo(const int);                                        \
  template void Net<Dtype>::UpdateDebugInfo(const int)
INSTANTIATE(float);
INSTANTIATE(double);

}  // namespace caffe
