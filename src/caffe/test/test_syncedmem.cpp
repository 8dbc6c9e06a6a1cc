#include "caffe/syncedmem.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "caffe/test/test_error_util.hpp"

namespace caffe {

TEST(SyncedMemoryTest, TakesMemoryWhenItIsTouched) {
  SyncedMemory memory(10);
  EXPECT_EQ(memory.head(), SyncedMemory::UNINITIALIZED);
  EXPECT_EQ(memory.size(), 10u);
  EXPECT_NE(memory.cpu_data(), nullptr);
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
  EXPECT_EQ(memory.mutable_cpu_data(), memory.cpu_data());

  SyncedMemory empty;
  EXPECT_EQ(empty.size(), 0u);
  EXPECT_NE(empty.cpu_data(), nullptr) << "an empty blob has a pointer too";
}

TEST(SyncedMemoryTest, StartsAsZerosAndKeepsWhatIsWritten) {
  for (size_t size : {1, 63, 64, 1000}) {
    SyncedMemory memory(size);
    EXPECT_EQ(std::memcmp(memory.cpu_data(), std::vector<char>(size, 0).data(), size), 0);
    std::memset(memory.mutable_cpu_data(), 7, size);
    EXPECT_EQ(std::memcmp(memory.cpu_data(), std::vector<char>(size, 7).data(), size), 0);
  }
}

TEST(SyncedMemoryTest, IsAlignedForVectors) {
  for (size_t size : {1, 3, 100}) {
    SyncedMemory memory(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.cpu_data()) % 64, 0u);
  }
}

TEST(SyncedMemoryTest, UsesTheCallersMemory) {
  char theirs[4] = {1, 2, 3, 4};
  SyncedMemory memory(sizeof(theirs));
  std::memset(memory.mutable_cpu_data(), 9, sizeof(theirs));
  memory.set_cpu_data(theirs);
  EXPECT_EQ(memory.cpu_data(), theirs);
  EXPECT_EQ(memory.head(), SyncedMemory::HEAD_AT_CPU);
  static_cast<char*>(memory.mutable_cpu_data())[0] = 5;
  EXPECT_EQ(theirs[0], 5);
  EXPECT_THROW(memory.set_cpu_data(nullptr), Error);
  EXPECT_EQ(memory.cpu_data(), theirs);
}

TEST(SyncedMemoryTest, TooMuchIsAnErrorThatNamesTheSize) {
  SyncedMemory memory(size_t(1) << 60);
  EXPECT_TRUE(Contains(ErrorOf([&] { memory.cpu_data(); }), "could not allocate 1152921504606846976 bytes"));
  EXPECT_EQ(memory.head(), SyncedMemory::UNINITIALIZED);
  SyncedMemory beyond(SIZE_MAX);
  EXPECT_THROW(beyond.cpu_data(), Error);
}

#ifdef CPU_ONLY

TEST(SyncedMemoryTest, WithoutAGpuItsSideIsAnError) {
  SyncedMemory memory(8);
  char theirs[8];
  for (const std::string& error :
       {ErrorOf([&] { memory.gpu_data(); }), ErrorOf([&] { memory.mutable_gpu_data(); }),
        ErrorOf([&] { memory.set_gpu_data(theirs); })}) {
    EXPECT_TRUE(Contains(error, "needs a GPU"));
    EXPECT_TRUE(Contains(error, "solver_mode: CPU"));
  }
}

#endif  // CPU_ONLY

TEST(SyncedMemoryTest, TellsWhetherItMayHaveChanged) {
  SyncedMemory memory(sizeof(int));
  memory.cpu_data();
  const uint64_t before = memory.version();
  memory.cpu_data();
  EXPECT_EQ(memory.version(), before);
  EXPECT_FALSE(memory.is_held_by_others());
  memory.mutable_cpu_data();
  EXPECT_NE(memory.version(), before);
  {
    const std::shared_ptr<void> held = memory.cpu_owner();
    EXPECT_TRUE(memory.is_held_by_others());
  }
  EXPECT_FALSE(memory.is_held_by_others());
  const uint64_t own = memory.version();
  int lent = 3;
  memory.set_cpu_data(&lent);
  EXPECT_NE(memory.version(), own);
  EXPECT_TRUE(memory.is_held_by_others());
}

}  // namespace caffe
