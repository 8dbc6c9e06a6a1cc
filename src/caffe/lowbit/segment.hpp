#ifndef CAFFE_LOWBIT_SEGMENT_HPP_
#define CAFFE_LOWBIT_SEGMENT_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "caffe/lowbit/band_pair.hpp"
#include "caffe/lowbit/memory_plan.hpp"
#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"

namespace caffe {
namespace lowbit {

/// A plan's stages, ready to run.
struct StageList {
  explicit StageList(const Plan& plan);

  std::vector<std::unique_ptr<Stage>> stages;
  /// For each stage: of it and the next one, or null.
  std::vector<std::unique_ptr<BandPair>> pairs;
};

/// What a segment computes in.
struct Workspace {
  int images = 0;
  AlignedBytes memory;
  /// Of all tensors; those that are not the segment's have no place.
  Tensors tensors;
  /// For each of the segment's stages.
  std::vector<uint8_t*> rooms;
};

/**
 * @brief Some stages of a plan that follow one another, and the tensors whose memory is theirs.
 *
 * A pass goes through the head with few images at a time, whose tensors stay in a core's caches, and then
 * through the tail with all of them, because the tail reads more weights than it has values: see TailOf.
 */
class Segment {
 public:
  /// Where the tail begins: at the first stage whose weights all images of a batch had better share, or that
  /// Caffe computes; the number of stages where there is none.
  static int TailOf(const Plan& plan);

  /// Stages [begin, end). With `is_head` the tensors that no stage from `end` on uses are its own, and no
  /// output; else those that some stage from `begin` on uses. Plan and stages must outlive it.
  Segment(const Plan& plan, const StageList& list, int begin, int end, bool is_head);

  bool Owns(int tensor) const { return owns_[tensor]; }

  /// Memory that so many images take.
  size_t Bytes(int images) const { return PlanMemory(Lifetimes(images)).bytes; }

  std::unique_ptr<Workspace> NewWorkspace(int images) const;

  /**
   * @brief Runs the stages for the workspace's images.
   *
   * @param seconds where the time of each of the plan's stages is added; null for nowhere.
   */
  void Run(Workspace* workspace, int threads, double* seconds) const;

 private:
  /// Of all tensors, and then of the segment's rooms.
  std::vector<Lifetime> Lifetimes(int images) const;

  const Plan& plan_;
  const StageList& list_;
  const int begin_, end_;
  std::vector<bool> owns_;
};

/// What the weights of a convolution take, binary or not.
size_t WeightBytes(const StageInfo& convolution);

/// What so many images of a tensor take.
size_t TensorBytes(const TensorInfo& tensor, int images);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_SEGMENT_HPP_
