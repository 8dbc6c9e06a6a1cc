#include "caffe/util/gpu_memory.hpp"

#ifdef CAFFE_GPU_EMULATOR

#include <cuda_runtime.h>

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "caffe/net.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "gpu_emulator.h"
#include "gpu_test_util.hpp"
#include "net_test_util.hpp"

namespace caffe {

class GpuMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CUDA_CHECK(cudaSetDevice(0));
    // What earlier tests gave back.
    cudaMemPool_t pool = nullptr;
    CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, 0));
    CUDA_CHECK(cudaMemPoolTrimTo(pool, 0));
  }
  void TearDown() override {
    gpu_emulator::SetDeviceMemory(size_t{8} << 30);
    CUDA_CHECK(cudaSetDevice(0));
  }

  // Lets the GPU have no more than so much that is not in use.
  static void LeaveFree(size_t bytes) {
    const GpuMemoryRoom room = GetGpuMemoryRoom();
    gpu_emulator::SetDeviceMemory(room.total - room.free + bytes);
  }
};

TEST_F(GpuMemoryTest, WhatIsKeptIsFree) {
  LeaveFree(4 << 20);
  { const GpuArray<char> given_back(3 << 20); }
  const GpuMemoryRoom room = GetGpuMemoryRoom();
  EXPECT_EQ(4 << 20, room.free);
  EXPECT_EQ(3 << 20, room.kept);
  const string error = ErrorOf([] { const GpuArray<char> too_large(5 << 20); });
  EXPECT_TRUE(Contains(error, "5242880 bytes were asked for, 4194304 of ")) << error;
  EXPECT_TRUE(Contains(error, "3145728 of these in what was given back before")) << error;
  EXPECT_THROW(GpuAllocate(5 << 20), GpuMemoryError);
}

TEST_F(GpuMemoryTest, NetNamesTheLayerThatRunsOut) {
  const ModeForTest mode(Caffe::GPU);
  const auto product = [](const string& name, const string& bottom, const string& outputs) {
    return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" + bottom + "' top: '" + name +
           "' inner_product_param { num_output: " + outputs + " } } ";
  };
  for (const bool reuses_memory : {false, true}) {
    const auto net = MakeNet<float>(
        "state { phase: TRAIN } force_backward: true layer { name: 'data' type: 'Input' top: 'data' "
        "input_param { shape { dim: 2 dim: 3 } } } " +
        product("first", "data", "4") + product("large", "first", "300000") + product("last", "large", "2"));
    net->set_reuses_memory(reuses_memory);
    LeaveFree(1 << 20);
    const string error = ErrorOf([&] { net->Forward(); });
    EXPECT_TRUE(Contains(error, "'large'")) << error;
    EXPECT_TRUE(Contains(error, "InnerProduct")) << error;
    EXPECT_TRUE(Contains(error, "GPU 0 has not enough memory")) << error;
    gpu_emulator::SetDeviceMemory(size_t{8} << 30);
    net->Forward();
    LeaveFree(1 << 20);
    const string backward_error = ErrorOf([&] { net->Backward(); });
    EXPECT_TRUE(Contains(backward_error, "'last'")) << backward_error;
    EXPECT_TRUE(Contains(backward_error, "GPU 0 has not enough memory")) << backward_error;
    gpu_emulator::SetDeviceMemory(size_t{8} << 30);
  }
}

// One thread computes with an array that another ends, which has this GPU or the other.
TEST_F(GpuMemoryTest, ArraysOfAllThreadsStayUntilTheseAreDone) {
  const LateGpuWorkForTest late;
  for (const int device : {0, 1}) {
    CUDA_CHECK(cudaSetDevice(0));
    const size_t used = GetGpuMemoryUse().now;
    auto array = std::make_unique<GpuArray<int>>(1, cudaStreamLegacy);
    int* result = nullptr;
    CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&result), sizeof(int)));
    std::promise<void> started, ended;
    std::thread computing([&, data = array->get()] {
      gpu_emulator::Launch(1, 1, 0, [=] { *data = 7; });
      CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
      gpu_emulator::Launch(1, 1, 0, [=] { *result = *data; });
      started.set_value();
      ended.get_future().wait();
      CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
    });
    started.get_future().wait();
    CUDA_CHECK(cudaSetDevice(device));
    array.reset();
    // What this thread has put into streams is done, and of the other GPU all.
    CUDA_CHECK(device == 0 ? cudaStreamSynchronize(cudaStreamPerThread) : cudaDeviceSynchronize());
    ended.set_value();
    computing.join();
    EXPECT_EQ(7, *result) << "GPU " << device;
    CUDA_CHECK(cudaFreeHost(result));
    CUDA_CHECK(cudaSetDevice(0));
    EXPECT_EQ(used, GetGpuMemoryUse().now) << "GPU " << device;
  }
}

}  // namespace caffe

#endif  // CAFFE_GPU_EMULATOR
