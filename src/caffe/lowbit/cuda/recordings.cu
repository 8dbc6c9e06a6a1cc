#include "caffe/lowbit/cuda/recordings.hpp"

#include <cstdlib>
#include <string>

#include "caffe/util/gpu_launch.cuh"

namespace caffe {
namespace lowbit {
namespace gpu {

namespace {

// Sizes that are recorded; a net that gets ever other ones is not to fill the memory.
constexpr size_t kMostGraphs = 16;

bool AreWanted() {
  const char* const value = std::getenv("HWGQ_GPU_GRAPH");
  return !value || std::string(value) != "0";
}

// A stream for recording, in which nothing runs. The legacy stream, which waits for threads' own streams,
// must not be used by any thread while one of these is recorded.
class RecordingStream {
 public:
  RecordingStream() { HWGQ_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~RecordingStream() { cudaStreamDestroy(stream_); }
  RecordingStream(const RecordingStream&) = delete;
  RecordingStream& operator=(const RecordingStream&) = delete;

  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Graph {
 public:
  explicit Graph(const std::function<void()>& start) {
    const RecordingStream stream;
    // Of this thread alone: others may take memory meanwhile.
    HWGQ_CUDA_CHECK(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
    try {
      const LaunchStream recorded(stream.get());
      start();
    } catch (...) {
      cudaStreamEndCapture(stream.get(), &graph_);
      if (graph_) cudaGraphDestroy(graph_);
      throw;
    }
    HWGQ_CUDA_CHECK(cudaStreamEndCapture(stream.get(), &graph_));
  }
  ~Graph() { cudaGraphDestroy(graph_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  cudaGraphExec_t Instantiate() const {
    cudaGraphExec_t made = nullptr;
    HWGQ_CUDA_CHECK(cudaGraphInstantiate(&made, graph_, 0));
    return made;
  }

 private:
  cudaGraph_t graph_ = nullptr;
};

}  // namespace

Recordings::~Recordings() {
  for (const auto& [size, graph] : graphs_) {
    if (graph && cudaGraphExecDestroy(graph) != cudaSuccess) cudaGetLastError();
  }
}

void Recordings::Run(int size, const std::function<void()>& start) {
  const auto found = graphs_.find(size);
  if (found == graphs_.end()) {
    if (graphs_.size() < kMostGraphs && AreWanted()) graphs_[size] = nullptr;
    return start();
  }
  if (!found->second) found->second = Graph(start).Instantiate();
  HWGQ_CUDA_CHECK(cudaGraphLaunch(found->second, cudaStreamPerThread));
}

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe
