#include <algorithm>
#include <numeric>

#include "caffe/layers/embed_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/item_index.hpp"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

template <typename Dtype>
void GpuForward(int num, int num_rows, int row_size, const Dtype* indices, const Dtype* rows,
                const Dtype* bias, Dtype* y) {
  GpuForEach(static_cast<int64_t>(num) * row_size, [=] __device__(int at) {
    const int index = IndexIn(indices[at / row_size], num_rows), i = at % row_size;
    if (index < 0) return;
    const Dtype value = rows[static_cast<int64_t>(index) * row_size + i];
    y[at] = bias ? value + bias[i] : value;
  });
}

// Adds to each row what its occurrences are due, in their order: places[starts[s]] ... are those of the
// s-th row that occurs at all.
template <typename Dtype>
void AddRowGradients(int distinct, int row_size, const int* starts, const int* places, const Dtype* indices,
                     const Dtype* dy, Dtype* drows) {
  GpuForEach(static_cast<int64_t>(distinct) * row_size, [=] __device__(int at) {
    const int s = at / row_size, i = at % row_size;
    Dtype* const to = drows + static_cast<int64_t>(indices[places[starts[s]]]) * row_size + i;
    Dtype sum = *to;
    for (int p = starts[s]; p < starts[s + 1]; ++p) sum += dy[places[p] * row_size + i];
    *to = sum;
  });
}

}  // namespace

template <typename Dtype>
void EmbedLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  // The indices are few, and most often come from the host.
  const Dtype* indices = bottom[0]->cpu_data();
  for (int i = 0; i < M_; ++i) CheckedIndex(indices[i], i, K_);
  GpuForward(M_, K_, N_, bottom[0]->gpu_data(), this->blobs_[0]->gpu_data(),
             bias_term_ ? this->blobs_[1]->gpu_data() : nullptr, top[0]->mutable_gpu_data());
}

template <typename Dtype>
void EmbedLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                     const vector<Blob<Dtype>*>& bottom) {
  CHECK(!propagate_down[0]) << "indices have no gradient";
  const Dtype* dy = top[0]->gpu_diff();
  if (bias_term_ && this->param_propagate_down_[1]) {
    caffe_gpu_gemv(CblasTrans, M_, N_, Dtype(1), dy, bias_multiplier_.gpu_data(), Dtype(1),
                   this->blobs_[1]->mutable_gpu_diff());
  }
  if (!this->param_propagate_down_[0] || M_ == 0) return;
  // Sorted by index, the occurrences of a row are one thread's to add up: the same sum every time.
  const Dtype* indices = bottom[0]->cpu_data();
  vector<int> rows(M_), places(M_), starts;
  for (int i = 0; i < M_; ++i) rows[i] = CheckedIndex(indices[i], i, K_);
  std::iota(places.begin(), places.end(), 0);
  std::stable_sort(places.begin(), places.end(), [&](int a, int b) { return rows[a] < rows[b]; });
  for (int p = 0; p < M_; ++p) {
    if (p == 0 || rows[places[p]] != rows[places[p - 1]]) starts.push_back(p);
  }
  const int distinct = static_cast<int>(starts.size());
  starts.push_back(M_);
  const GpuArray<int> gpu_starts(starts.size()), gpu_places(places.size());
  caffe_gpu_memcpy(starts.size() * sizeof(int), starts.data(), gpu_starts.get());
  caffe_gpu_memcpy(places.size() * sizeof(int), places.data(), gpu_places.get());
  AddRowGradients(distinct, N_, gpu_starts.get(), gpu_places.get(), bottom[0]->gpu_data(), dy,
                  this->blobs_[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(EmbedLayer);

}  // namespace caffe
