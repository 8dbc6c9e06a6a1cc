#include "caffe/util/axis_parts.hpp"
#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/gpu_words.cuh"

namespace caffe {

namespace {

template <typename Word>
struct CopyWordOfRow {
  unsigned width;
  const Word* from;
  unsigned from_stride;
  Word* to;
  unsigned to_stride;
  __device__ void operator()(int i) const {
    const unsigned row = i / width, column = i - row * width;
    to[row * to_stride + column] = from[row * from_stride + column];
  }
};

}  // namespace

template <typename Dtype>
void CopyRows(GpuSide, int rows, int width, const Dtype* from, int from_stride, Dtype* to, int to_stride) {
  WithWidestWord<Dtype>({width, from_stride, to_stride}, {from, to}, [&](auto word) {
    using Word = decltype(word);
    constexpr unsigned kValues = sizeof(Word) / sizeof(Dtype);
    const unsigned words = width / kValues;
    GpuForEach(int64_t{1} * rows * words,
               CopyWordOfRow<Word>{words, reinterpret_cast<const Word*>(from), from_stride / kValues,
                                   reinterpret_cast<Word*>(to), to_stride / kValues});
  });
}

template void CopyRows(GpuSide, int, int, const float*, int, float*, int);
template void CopyRows(GpuSide, int, int, const double*, int, double*, int);

}  // namespace caffe
