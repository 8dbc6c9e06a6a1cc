#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "packed_model_input.hpp"

namespace caffe {
namespace lowbit {

// The fuzzer's inputs, those that once went wrong among them, also where there is no fuzzer.
TEST(PackedCorpusTest, IsSurvived) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(FUZZ_SOURCE_DIR "corpus/packed_model")) {
    SCOPED_TRACE(entry.path());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    ASSERT_FALSE(bytes.empty());
    EXPECT_NO_THROW(TryPackedModel(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
    ++files;
  }
  EXPECT_GT(files, 0);
}

}  // namespace lowbit
}  // namespace caffe
