#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "caffe/lowbit/huge_pages.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/syncedmem.hpp"
#include "caffe/util/host_arena.hpp"

namespace caffe {

namespace {

constexpr size_t kBytes = 3 * lowbit::kHugePage + 100;

// Whether the system was asked for large pages where an address lies.
bool IsAskedFor(const void* memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  std::ifstream maps("/proc/self/smaps");
  bool is_there = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin, end;  // NOLINT(google-runtime-int): as sscanf has it
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
      is_there = begin <= address && address < end;
    if (is_there && line.find("VmFlags:") == 0) return line.find(" hg") != std::string::npos;
  }
  return false;
}

class HugePagesTest : public testing::Test {
 protected:
  void SetUp() override {
    struct stat unused;
    if (stat("/sys/kernel/mm/transparent_hugepage", &unused) != 0) {
      GTEST_SKIP() << "the system has no large pages to ask for";
    }
  }
};

}  // namespace

TEST_F(HugePagesTest, AreAskedForWhereMemoryIsLarge) {
  SyncedMemory blob(kBytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(blob.cpu_data()) % lowbit::kHugePage, 0u);
  EXPECT_TRUE(IsAskedFor(blob.cpu_data()));

  const lowbit::AlignedBytes packed(kBytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(packed.data()) % lowbit::kHugePage, 0u);
  EXPECT_TRUE(IsAskedFor(packed.data()));

  HostArena arena;
  const std::shared_ptr<void> piece = arena.Take(kBytes);
  EXPECT_TRUE(IsAskedFor(static_cast<const char*>(piece.get()) + lowbit::kHugePage));
}

TEST_F(HugePagesTest, AreNotAskedForBesideARange) {
  // The system's own, as the heap may have been asked for before.
  constexpr size_t kMapped = 4 * lowbit::kHugePage;
  void* const memory =
      mmap(nullptr, kMapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t page = (begin / lowbit::kHugePage + 1) * lowbit::kHugePage;
  // A byte is missing at each end of what would be three.
  lowbit::PreferHugePages(reinterpret_cast<void*>(page + 1), 3 * lowbit::kHugePage - 2);
  EXPECT_FALSE(IsAskedFor(reinterpret_cast<void*>(page)));
  EXPECT_TRUE(IsAskedFor(reinterpret_cast<void*>(page + lowbit::kHugePage)));
  EXPECT_FALSE(IsAskedFor(reinterpret_cast<void*>(page + 2 * lowbit::kHugePage)));
  munmap(memory, kMapped);
}

TEST(AlignmentTest, FitsTheSize) {
  EXPECT_EQ(lowbit::AlignmentFor(0), 64u);
  EXPECT_EQ(lowbit::AlignmentFor(lowbit::kHugePage - 1), 64u);
  EXPECT_EQ(lowbit::AlignmentFor(lowbit::kHugePage), lowbit::kHugePage);
}

}  // namespace caffe
