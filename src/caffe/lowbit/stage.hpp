#ifndef CAFFE_LOWBIT_STAGE_HPP_
#define CAFFE_LOWBIT_STAGE_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/steps.hpp"

namespace caffe {
namespace lowbit {

struct BinaryKernel;
struct FloatKernel;
struct Int8Kernel;

/// A stage of a plan, ready to run: its weights are laid out for the kernel that was chosen. Immutable.
class Stage {
 public:
  virtual ~Stage() = default;

  /// Bytes that a pass over so many images needs beside the tensors.
  virtual size_t RoomBytes(int images) const = 0;

  /// Computes the stage's tensors from its inputs, on at most `threads` threads. `room` is 64-byte aligned.
  virtual void Run(const Tensors& tensors, uint8_t* room, int threads) const = 0;

  /// The kernel or way of computing, for reports.
  virtual const char* Kernel() const = 0;
};

/// A stage that can compute some rows of its result at a time.
class RowStage : public Stage {
 public:
  /// What all rows need. Those of other images come with it.
  virtual void Prepare(const Tensors& tensors, uint8_t* room, int threads) const = 0;

  /// Rows of an image's result, from the first on, that are computed together: pieces end where these do.
  virtual int RowsTogether() const { return 1; }

  /// Computes the rows [begin, end) of the result, counted through all images.
  virtual void RunRows(const Tensors& tensors, uint8_t* room, int64_t begin, int64_t end,
                       int threads) const = 0;

  /// Rows of an image's result.
  virtual int ResultHeight() const = 0;

  void Run(const Tensors& tensors, uint8_t* room, int threads) const final {
    Prepare(tensors, room, threads);
    RunRows(tensors, room, 0, int64_t{tensors.images} * ResultHeight(), threads);
  }
};

/// The plan's arrays must outlive the stage.
std::unique_ptr<Stage> MakeStage(const Plan& plan, const StageInfo& stage);

/// Packs its weights on `threads` threads.
std::unique_ptr<Stage> MakeBinaryConvolution(const Plan& plan, const StageInfo& stage, int threads = 1);
std::unique_ptr<Stage> MakeBinaryConvolution(const Plan& plan, const StageInfo& stage,
                                             const BinaryKernel& kernel, int threads);
std::unique_ptr<Stage> MakeFloatConvolution(const Plan& plan, const StageInfo& stage);
/// Product by product, with a kernel without tiles.
std::unique_ptr<Stage> MakeFloatConvolution(const Plan& plan, const StageInfo& stage,
                                            const FloatKernel& kernel);
/// Whether it has few enough products when its windows are filtered, see window_filter.hpp.
bool HasFewProductsFiltered(const Plan& plan, const StageInfo& stage);
/// Whether it has, and sums are not compared with thresholds as they are: exact ones can be equal to them.
bool IsFiltered(const Plan& plan, const StageInfo& stage);
/// Such a one, with a kernel without tiles.
std::unique_ptr<Stage> MakeFilteredConvolution(const Plan& plan, const StageInfo& stage,
                                               const FloatKernel& kernel);
/// With a kernel that has tiles.
std::unique_ptr<Stage> MakeFloatTileConvolution(const Plan& plan, const StageInfo& stage,
                                                const FloatKernel& kernel);
/// Of 8-bit weights; null where sums of so many products leave 32 bits.
std::unique_ptr<Stage> MakeInt8Convolution(const Plan& plan, const StageInfo& stage,
                                           const Int8Kernel& kernel);
std::unique_ptr<Stage> MakePooling(const Plan& plan, const StageInfo& stage);
/// Maps, softmax and local response normalization.
std::unique_ptr<Stage> MakeElementwise(const Plan& plan, const StageInfo& stage);
/// Of a Caffe layer: see foreign_layer.hpp. @throws PlanError where there is no such layer.
std::unique_ptr<Stage> MakeForeignStage(const Plan& plan, const StageInfo& stage);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_STAGE_HPP_
