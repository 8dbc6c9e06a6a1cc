#include "caffe/layers/crop_layer.hpp"
#include "caffe/util/crop_places.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/gpu_words.cuh"
#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

/// Where value i of a cut lies in the blob.
struct PlaceInBlob {
  CropPlaces places;
  __device__ int operator()(int i) const {
    const unsigned run = static_cast<unsigned>(i) / places.run;
    return places.Place(run) + (i - static_cast<int>(run) * places.run);
  }
};

template <typename Word>
struct CutWord {
  PlaceInBlob place;
  const Word* blob;
  Word* cut;
  __device__ void operator()(int i) const { cut[i] = blob[place(i)]; }
};

template <typename Word>
struct PutBackWord {
  PlaceInBlob place;
  const Word* cut;
  Word* blob;
  __device__ void operator()(int i) const { blob[place(i)] = cut[i]; }
};

/// Moves `count` values between a blob and a cut of it, by CutWord or PutBackWord.
template <template <typename> class Move, typename Dtype>
void MoveCut(CropPlaces places, int count, const Dtype* from, Dtype* to) {
  int64_t apart = places.first;
  for (int axis = 0; axis < places.axes; ++axis) apart |= places.stride[axis];
  WithWidestWord<Dtype>({places.run, apart}, {from, to}, [&](auto word) {
    using Word = decltype(word);
    constexpr int kValues = sizeof(Word) / sizeof(Dtype);
    places.run /= kValues;
    places.first /= kValues;
    for (int axis = 0; axis < places.axes; ++axis) places.stride[axis] /= kValues;
    GpuForEach(count / kValues,
               Move<Word>{{places}, reinterpret_cast<const Word*>(from), reinterpret_cast<Word*>(to)});
  });
}

}  // namespace

template <typename Dtype>
void CropLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  MoveCut<CutWord>(PlacesOfCrop(bottom[0]->shape(), top[0]->shape(), offsets.cpu_data()), top[0]->count(),
                   bottom[0]->gpu_data(), top[0]->mutable_gpu_data());
}

template <typename Dtype>
void CropLayer<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                    const vector<Blob<Dtype>*>& bottom) {
  // Only the shape of bottom 1 counts, so its values have gradient 0.
  for (int i = 0; i < 2; ++i) {
    if (propagate_down[i]) caffe_gpu_set(bottom[i]->count(), Dtype(0), bottom[i]->mutable_gpu_diff());
  }
  if (!propagate_down[0]) return;
  MoveCut<PutBackWord>(PlacesOfCrop(bottom[0]->shape(), top[0]->shape(), offsets.cpu_data()), top[0]->count(),
                       top[0]->gpu_diff(), bottom[0]->mutable_gpu_diff());
}

INSTANTIATE_LAYER_GPU_FUNCS(CropLayer);

}  // namespace caffe
