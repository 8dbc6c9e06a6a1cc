#include "caffe/lowbit/cuda/recordings.hpp"

#include <cstdlib>
#include <string>

namespace caffe {
namespace lowbit {
namespace gpu {

#ifdef CAFFE_GPU_EMULATOR

Recordings::~Recordings() = default;

void Recordings::Run(int, const std::function<void()>& start) { start(); }

#else

namespace {

// Sizes that are recorded; a net that gets ever other ones is not to fill the memory.
constexpr size_t kMostGraphs = 16;

bool AreWanted() {
  const char* const value = std::getenv("HWGQ_GPU_GRAPH");
  return !value || std::string(value) != "0";
}

class Graph {
 public:
  explicit Graph(const std::function<void()>& start) {
    // Of this thread alone: others may take memory meanwhile.
    HWGQ_CUDA_CHECK(cudaStreamBeginCapture(cudaStreamPerThread, cudaStreamCaptureModeThreadLocal));
    try {
      start();
    } catch (...) {
      cudaStreamEndCapture(cudaStreamPerThread, &graph_);
      if (graph_) cudaGraphDestroy(graph_);
      throw;
    }
    HWGQ_CUDA_CHECK(cudaStreamEndCapture(cudaStreamPerThread, &graph_));
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

#endif

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe
