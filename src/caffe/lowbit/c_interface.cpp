#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/lowbit/hwgq.h"
#include "caffe/lowbit/packed_net.hpp"

namespace {

using caffe::lowbit::PackedNet;

thread_local std::string last_error;

std::vector<hwgq_blob> Blobs(const std::vector<PackedNet::Blob>& blobs) {
  std::vector<hwgq_blob> result;
  result.reserve(blobs.size());
  for (const PackedNet::Blob& blob : blobs) {
    result.push_back({blob.name.c_str(), blob.dimensions.data(), blob.dimensions.size(), blob.elements});
  }
  return result;
}

// No exception leaves the library through C.
template <typename Result, typename Function>
Result Guarded(Result on_failure, Function function) {
  try {
    return function();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "unknown error";
  }
  return on_failure;
}

}  // namespace

struct hwgq_net {
  template <typename... Arguments>
  explicit hwgq_net(Arguments... arguments)
      : net(arguments...), inputs(Blobs(net.inputs())), outputs(Blobs(net.outputs())) {}

  const PackedNet net;
  const std::vector<hwgq_blob> inputs, outputs;
};

namespace {

hwgq_net* Load(const char* path, int gpu) {
  return Guarded<hwgq_net*>(nullptr, [=] {
    if (!path) throw std::invalid_argument("there is no path");
    return new hwgq_net(std::string(path), 0, gpu);
  });
}

// Any other number would have the processor compute.
int CheckedGpu(int gpu) {
  if (gpu < 0) throw std::invalid_argument("there is no GPU " + std::to_string(gpu));
  return gpu;
}

}  // namespace

extern "C" {

hwgq_net* hwgq_load(const char* path) { return Load(path, PackedNet::kNoGpu); }

hwgq_net* hwgq_load_memory(const void* model, size_t size) {
  return Guarded<hwgq_net*>(nullptr, [=] { return new hwgq_net(model, size); });
}

hwgq_net* hwgq_load_gpu(const char* path, int gpu) {
  return Guarded<hwgq_net*>(nullptr, [=] { return Load(path, CheckedGpu(gpu)); });
}

hwgq_net* hwgq_load_memory_gpu(const void* model, size_t size, int gpu) {
  return Guarded<hwgq_net*>(nullptr, [=] { return new hwgq_net(model, size, 0, CheckedGpu(gpu)); });
}

void hwgq_free(hwgq_net* net) { delete net; }

size_t hwgq_inputs(const hwgq_net* net) { return net->inputs.size(); }

size_t hwgq_outputs(const hwgq_net* net) { return net->outputs.size(); }

const hwgq_blob* hwgq_input(const hwgq_net* net, size_t index) {
  return index < net->inputs.size() ? &net->inputs[index] : nullptr;
}

const hwgq_blob* hwgq_output(const hwgq_net* net, size_t index) {
  return index < net->outputs.size() ? &net->outputs[index] : nullptr;
}

int hwgq_forward(const hwgq_net* net, int64_t images, const float* const* inputs, float* const* outputs,
                 int threads) {
  return Guarded(-1, [=] {
    net->net.Forward(images, inputs, outputs, threads);
    return 0;
  });
}

const char* hwgq_error(void) { return last_error.c_str(); }

}  // extern "C"
