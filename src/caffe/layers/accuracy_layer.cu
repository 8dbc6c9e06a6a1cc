#include "caffe/layers/accuracy_layer.hpp"
#include "caffe/util/gpu_axis.cuh"
#include "caffe/util/gpu_loss.cuh"

namespace caffe {

namespace {

// How many scores at each position are at least as high as that of its label; 0 where that is none.
template <typename Dtype>
void Rank(int positions, GpuAxis axis, LabelRule<Dtype> rule, const Dtype* scores, const Dtype* labels,
          int* at_least) {
  GpuSumAxis<int>(
      positions, axis,
      [=] __device__(int at, int c) {
        const int label = rule(labels[at]);
        return label < 0 ? 0 : static_cast<int>(scores[axis.Index(at, c)] >= scores[axis.Index(at, label)]);
      },
      [=] __device__(int at, int count) { at_least[at] = count; });
}

// The sum's loss is the number of hits.
template <typename Dtype>
LossSum<int> CountHits(int positions, TopKRule top_k, LabelRule<Dtype> rule, const Dtype* labels,
                       const int* at_least) {
  return GpuSumLosses<int>(positions, [=] __device__(int, int at) {
    const int label = rule(labels[at]);
    if (label == rule.kWrong) return LossSum<int>::Wrong(at);
    if (label == rule.kIgnored) return LossSum<int>::None();
    return LossSum<int>::Of(top_k.IsHit(at_least[at]));
  });
}

// The accuracy of each class and how often it occurs. Integers may be added up in any order.
template <typename Dtype>
void PerClass(int positions, TopKRule top_k, LabelRule<Dtype> rule, const Dtype* labels, const int* at_least,
              Dtype* accuracy, Dtype* occurrences) {
  const int classes = rule.classes;
  const GpuArray<int> counts(2 * static_cast<size_t>(classes));
  int* const hits = counts.get();
  int* const all = hits + classes;
  caffe_gpu_memset(2 * static_cast<size_t>(classes) * sizeof(int), 0, hits);
  GpuForEach(positions, [=] __device__(int at) {
    const int label = rule(labels[at]);
    if (label < 0) return;
    atomicAdd(all + label, 1);
    if (top_k.IsHit(at_least[at])) atomicAdd(hits + label, 1);
  });
  GpuForEach(classes, [=] __device__(int c) {
    occurrences[c] = static_cast<Dtype>(all[c]);
    accuracy[c] = TopKRule::Accuracy<Dtype>(hits[c], all[c]);
  });
}

}  // namespace

template <typename Dtype>
void AccuracyLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const int classes = bottom[0]->shape(label_axis_), positions = outer_num_ * inner_num_;
  const LabelRule<Dtype> rule = {classes, has_ignore_label_, ignore_label_};
  const TopKRule top_k = {top_k_};
  const Dtype* labels = bottom[1]->gpu_data();
  const GpuArray<int> at_least(positions);
  Rank(positions, {classes, inner_num_}, rule, bottom[0]->gpu_data(), labels, at_least.get());
  const LossSum<int> sum = CountHits(positions, top_k, rule, labels, at_least.get());
  CheckLabels(sum.wrong, *bottom[1], classes);
  top[0]->mutable_cpu_data()[0] = TopKRule::Accuracy<Dtype>(sum.loss, sum.count);
  if (top.size() < 2) return;
  PerClass(positions, top_k, rule, labels, at_least.get(), top[1]->mutable_gpu_data(),
           nums_buffer_.mutable_gpu_data());
}

template <typename Dtype>
void AccuracyLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>& bottom) {
  Backward_cpu(top, propagate_down, bottom);
}

INSTANTIATE_LAYER_GPU_FUNCS(AccuracyLayer);

}  // namespace caffe
