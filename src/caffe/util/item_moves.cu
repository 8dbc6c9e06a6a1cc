#include <algorithm>
#include <cstdint>

#include "caffe/util/gpu_launch.cuh"
#include "caffe/util/gpu_words.cuh"
#include "caffe/util/item_moves.hpp"

namespace caffe {

namespace {

// The stream goes on with numbers that may be gone from the host by then: pageable memory is read at once.
void CopyToGpu(const std::vector<int>& numbers, int* gpu) {
  CUDA_CHECK(cudaMemcpyAsync(gpu, numbers.data(), numbers.size() * sizeof(int), cudaMemcpyHostToDevice,
                             cudaStreamPerThread));
}

template <typename Word>
struct TakeWord {
  const int* index;
  unsigned item_words;
  const Word* x;
  Word* y;
  __device__ void operator()(int i) const {
    const unsigned item = i / item_words, word = i - item * item_words;
    y[i] = x[index[item] * item_words + word];
  }
};

template <typename Dtype>
struct AddUpElement {
  const int* begin;
  const int* positions;
  unsigned item_size;
  const Dtype* dy;
  Dtype* dx;
  __device__ void operator()(int i) const {
    const unsigned item = i / item_size, element = i - item * item_size;
    Dtype sum = 0;
    for (int p = begin[item]; p < begin[item + 1]; ++p) sum += dy[positions[p] * item_size + element];
    dx[i] = sum;
  }
};

}  // namespace

template <typename Dtype>
void TakeItems(GpuSide, const std::vector<int>& index, int item_size, const Dtype* x, Dtype* y) {
  if (index.empty()) return;
  const GpuArray<int> gpu_index(index.size());
  CopyToGpu(index, gpu_index.get());
  WithWidestWord<Dtype>({item_size}, {x, y}, [&](auto word) {
    using Word = decltype(word);
    const unsigned item_words = item_size / (sizeof(Word) / sizeof(Dtype));
    GpuForEach(static_cast<int64_t>(index.size()) * item_words,
               TakeWord<Word>{gpu_index.get(), item_words, reinterpret_cast<const Word*>(x),
                              reinterpret_cast<Word*>(y)});
  });
}

template <typename Dtype>
void AddUpItems(GpuSide, const std::vector<int>& index, int items, int item_size, const Dtype* dy,
                Dtype* dx) {
  const ItemPositions by_item = PositionsOfItems(index, items);
  std::vector<int> numbers = by_item.begin;
  numbers.insert(numbers.end(), by_item.positions.begin(), by_item.positions.end());
  const GpuArray<int> gpu_numbers(numbers.size());
  CopyToGpu(numbers, gpu_numbers.get());
  GpuForEach(int64_t{1} * items * item_size,
             AddUpElement<Dtype>{gpu_numbers.get(), gpu_numbers.get() + by_item.begin.size(),
                                 static_cast<unsigned>(item_size), dy, dx});
}

template void TakeItems(GpuSide, const std::vector<int>&, int, const float*, float*);
template void TakeItems(GpuSide, const std::vector<int>&, int, const double*, double*);
template void AddUpItems(GpuSide, const std::vector<int>&, int, int, const float*, float*);
template void AddUpItems(GpuSide, const std::vector<int>&, int, int, const double*, double*);

}  // namespace caffe
