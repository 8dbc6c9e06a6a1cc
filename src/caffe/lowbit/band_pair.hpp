#ifndef CAFFE_LOWBIT_BAND_PAIR_HPP_
#define CAFFE_LOWBIT_BAND_PAIR_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "caffe/lowbit/plan_check.hpp"
#include "caffe/lowbit/stage.hpp"

namespace caffe {
namespace lowbit {

/**
 * @brief A convolution and the pooling that alone reads its result, by turns for some rows each: so the
 * result needs no more memory than a band of rows, which stays in the second cache.
 */
class BandPair {
 public:
  /// Of stage number `first` and the one after it; null where they are no such pair, or the result is small.
  static std::unique_ptr<BandPair> Make(const Plan& plan, int first, const Stage& convolution,
                                        const Stage& pooling);

  /// The tensor between them, and the memory that it takes, however many images there are.
  int tensor() const { return tensor_; }
  size_t BandBytes() const { return row_bytes_ * most_rows_; }

  /**
   * @brief Runs both stages.
   *
   * @param tensors the place of the tensor between them is moved meanwhile.
   * @param rooms of both.
   * @param seconds where the time of each is added; null for nowhere.
   */
  void Run(Tensors* tensors, uint8_t* const* rooms, int threads, double* seconds) const;

 private:
  BandPair(const Plan& plan, int tensor, const PoolingInfo& info, const RowStage& convolution,
           const RowStage& pooling);

  void RunImage(Tensors* tensors, uint8_t* band, int image, uint8_t* const* rooms, int threads,
                double* seconds) const;

  const int tensor_;
  const PoolingInfo info_;
  const RowStage &convolution_, &pooling_;
  /// Of the tensor between them.
  const int height_;
  const size_t row_bytes_;
  /// Rows of the pooling's result at a time, and rows of its input that these need at most.
  int result_rows_, most_rows_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_BAND_PAIR_HPP_
