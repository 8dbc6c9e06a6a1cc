#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "caffe/util/image.hpp"
#include "log_capture.hpp"
#include "readers/readers.hpp"

namespace caffe {

// The fuzzers' inputs, those that once went wrong among them, also where there is no fuzzer.
TEST(ForeignFilesTest, AreSurvived) {
  const LogCapture quiet;
  for (const fuzz::Reader& reader : fuzz::Readers()) {
    int files = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(string(FUZZ_SOURCE_DIR "corpus/") + reader.name)) {
      SCOPED_TRACE(entry.path());
      EXPECT_NO_THROW(reader.read(ReadFileBytes(entry.path().string())));
      ++files;
    }
    EXPECT_GT(files, 0) << reader.name;
  }
}

}  // namespace caffe
