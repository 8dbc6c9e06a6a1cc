#ifndef CAFFE_LOWBIT_PACKED_NET_HPP_
#define CAFFE_LOWBIT_PACKED_NET_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace caffe {
namespace lowbit {

/**
 * @brief A packed model, ready for inference: weights as bits, arithmetic on integers.
 *
 * Made by `caffe pack`; docs/packed-format.md describes the file. Any number of threads may call Forward at
 * the same time. A pass allocates nothing once as many passes as run at a time have run with a batch as
 * large. Depends on the C++ standard library alone.
 */
class PackedNet {
 public:
  /// An input or output by name, with its dimensions in Caffe's order, without the first: the batch is free.
  struct Blob {
    std::string name;
    std::vector<int64_t> dimensions;
    /// Elements of one image.
    int64_t elements;
  };

  /// How long a stage took, and what it had to do, for all images of a pass.
  struct StageProfile {
    std::string name;
    std::string kind;
    std::string kernel;
    double seconds;
    /// Multiply-adds; 0 for stages without weights.
    int64_t multiply_adds;
    /// Of inputs, outputs and weights, each once.
    int64_t bytes;
  };

  /// In place of a GPU's number: the processor computes.
  static constexpr int kNoGpu = -1;

  /**
   * @brief Maps a file into memory.
   * @param threads how many threads a pass may use at most; 0 for as many as there are processors
   * (OMP_NUM_THREADS where it is set).
   * @param gpu the number of the GPU that computes, with libhwgq_cuda.so, which has to lie beside libhwgq.
   * @throws std::runtime_error naming the file, where it cannot be read or is no intact packed model; where
   * there is no such GPU, or the model has a layer that only Caffe computes.
   */
  explicit PackedNet(const std::string& path, int threads = 0, int gpu = kNoGpu);

  /// The same from memory, which is copied.
  PackedNet(const void* model, size_t size, int threads = 0, int gpu = kNoGpu);

  ~PackedNet();
  PackedNet(const PackedNet&) = delete;
  PackedNet& operator=(const PackedNet&) = delete;

  const std::string& name() const;
  const std::vector<Blob>& inputs() const;
  const std::vector<Blob>& outputs() const;
  int threads() const;
  /// kNoGpu where the processor computes.
  int gpu() const;

  /**
   * @brief Computes the outputs of a batch.
   *
   * @param images number of images, at least 1.
   * @param inputs for each input images x elements values, in Caffe's order; on the host, or where a GPU
   * computes also on that.
   * @param outputs for each output room for images x elements values, likewise.
   * @param threads at most so many, in place of what the constructor was told; 0 for that.
   * @throws std::runtime_error for no images, or another number of inputs or outputs than the net's.
   */
  void Forward(int64_t images, const std::vector<const float*>& inputs, const std::vector<float*>& outputs,
               int threads = 0) const;

  /// The same with arrays of as many pointers as there are inputs and outputs.
  void Forward(int64_t images, const float* const* inputs, float* const* outputs, int threads = 0) const;

  /// The same, with the time of each stage.
  std::vector<StageProfile> Profile(int64_t images, const std::vector<const float*>& inputs,
                                    const std::vector<float*>& outputs, int threads = 0) const;

 private:
  class Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_PACKED_NET_HPP_
