#include "caffe/layers/argmax_layer.hpp"
#include "caffe/util/gpu_axis.cuh"
#include "caffe/util/placed_value.hpp"

namespace caffe {

namespace {

// A place before all others stands for no value.
constexpr int kNowhere = -1;

template <typename Dtype>
struct First {
  CAFFE_HOST_DEVICE PlacedValue<Dtype> operator()(const PlacedValue<Dtype>& a,
                                                  const PlacedValue<Dtype>& b) const {
    if (a.place == kNowhere || b.place == kNowhere) return a.place == kNowhere ? b : a;
    return a.ComesBefore(b) ? a : b;
  }
};

// One of the largest values at each position: the first of those that come after `found`, or of all where
// found is null. Writes it there.
template <typename Dtype>
void FindNext(int positions, GpuAxis axis, const Dtype* x, const PlacedValue<Dtype>* found,
              PlacedValue<Dtype>* next) {
  GpuReduceAxis(
      positions, axis,
      [=] __device__(int at, int i) {
        const PlacedValue<Dtype> here = {x[axis.Index(at, i)], i};
        const bool taken = found && !found[at].ComesBefore(here);
        return taken ? PlacedValue<Dtype>{0, kNowhere} : here;
      },
      First<Dtype>(), PlacedValue<Dtype>{0, kNowhere},
      [=] __device__(int at, const PlacedValue<Dtype>& value) { next[at] = value; });
}

// Element `rank` of `ranks` of each position: its place, or its value, or the one and `ranks` on the other.
template <typename Dtype>
void Write(int positions, int inner, int rank, int ranks, bool values, bool both,
           const PlacedValue<Dtype>* found, Dtype* y) {
  const int rows = both ? 2 : 1;
  GpuForEach(positions, [=] __device__(int at) {
    Dtype* const out = y + at / inner * rows * ranks * inner + at % inner;
    out[rank * inner] = values && !both ? found[at].value : static_cast<Dtype>(found[at].place);
    if (both) out[ranks + rank] = found[at].value;
  });
}

}  // namespace

template <typename Dtype>
void ArgMaxLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (bottom[0]->count() == 0) return;
  const int dim = has_axis_ ? bottom[0]->shape(axis_) : bottom[0]->count(1);
  const int inner = has_axis_ ? bottom[0]->count(axis_ + 1) : 1;
  const int positions = bottom[0]->count() / dim;
  const int ranks = static_cast<int>(top_k_);
  const GpuArray<PlacedValue<Dtype>> found(2 * static_cast<size_t>(positions));
  PlacedValue<Dtype>* now = nullptr;
  PlacedValue<Dtype>* next = found.get();
  for (int rank = 0; rank < ranks; ++rank) {
    FindNext(positions, {dim, inner}, bottom[0]->gpu_data(), now, next);
    Write(positions, inner, rank, ranks, out_max_val_, out_max_val_ && !has_axis_, next,
          top[0]->mutable_gpu_data());
    now = next;
    next = rank % 2 == 0 ? found.get() + positions : found.get();
  }
}

INSTANTIATE_LAYER_GPU_FORWARD(ArgMaxLayer);

}  // namespace caffe
