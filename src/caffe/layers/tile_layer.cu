#include "caffe/layers/tile_layer.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/gpu_words.cuh"
#include "caffe/util/tiling.hpp"

namespace caffe {

namespace {

template <typename Word>
struct RepeatWord {
  Tiling tiling;
  const Word* x;
  Word* y;
  __device__ void operator()(int i) const { y[i] = x[tiling.ValueAt(i)]; }
};

template <typename Dtype>
struct GradientOfCopy {
  Tiling tiling;
  const Dtype* dy;
  __device__ Dtype operator()(int i, int tile) const { return dy[tiling.Place(i, tile)]; }
};

template <typename Dtype>
struct AddUpCopies {
  GradientOfCopy<Dtype> gradient;
  Dtype* dx;
  __device__ void operator()(int i) const {
    Dtype sum = gradient(i, 0);
    for (unsigned tile = 1; tile < gradient.tiling.tiles; ++tile) sum += gradient(i, tile);
    dx[i] = sum;
  }
};

template <typename Dtype>
struct StoreGradient {
  Dtype* dx;
  __device__ void operator()(int i, Dtype sum) const { dx[i] = sum; }
};

}  // namespace

template <typename Dtype>
void TileLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const Dtype* x = bottom[0]->gpu_data();
  Dtype* y = top[0]->mutable_gpu_data();
  WithWidestWord<Dtype>({inner_dim_}, {x, y}, [&](auto word) {
    using Word = decltype(word);
    constexpr unsigned kValues = sizeof(Word) / sizeof(Dtype);
    GpuForEach(top[0]->count() / kValues, RepeatWord<Word>{{inner_dim_ / kValues, tiles_},
                                                           reinterpret_cast<const Word*>(x),
                                                           reinterpret_cast<Word*>(y)});
  });
}

template <typename Dtype>
void TileLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                    const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) return;
  // From here on neighbouring values' copies lie close enough for threads that take a value each.
  constexpr unsigned kLongRun = 32;
  const int count = bottom[0]->count();
  const GradientOfCopy<Dtype> gradient = {{inner_dim_, tiles_}, top[0]->gpu_diff()};
  Dtype* dx = bottom[0]->mutable_gpu_diff();
  if (inner_dim_ >= kLongRun) {
    GpuForEach(count, AddUpCopies<Dtype>{gradient, dx});
  } else {
    GpuSumRows<Dtype>(count, tiles_, gradient, StoreGradient<Dtype>{dx});
  }
}

INSTANTIATE_LAYER_GPU_FUNCS(TileLayer);

}  // namespace caffe
