// Fuzzes one of the readers, FUZZ_READER, with libFuzzer: see scripts/fuzz.sh.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "caffe/common.hpp"
#include "message_mutator.hpp"
#include "readers/readers.hpp"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using google::protobuf::TextFormat;

/// A definition may ask for much memory, which a blob then does not get. Here it is soon.
constexpr size_t kMostBlobBytes = size_t{1} << 26;
std::atomic<size_t> blob_bytes{0};

const caffe::fuzz::Reader& TheReader() {
  static const caffe::fuzz::Reader* reader = [] {
    for (const auto& candidate : caffe::fuzz::Readers()) {
      if (std::string(candidate.name) == FUZZ_READER) return &candidate;
    }
    std::abort();
  }();
  return *reader;
}

/// What the parser complains of is not worth a line each.
class Silent : public google::protobuf::io::ErrorCollector {
  void AddError(int, int, const std::string&) override {}
};

bool Parse(const std::string& bytes, google::protobuf::Message* message) {
  if (!TheReader().text) return message->ParsePartialFromString(bytes);
  Silent silent;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&silent);
  parser.AllowPartialMessage(true);
  return parser.ParseFromString(bytes, message);
}

std::string Written(const google::protobuf::Message& message) {
  std::string bytes;
  if (TheReader().text) {
    TextFormat::PrintToString(message, &bytes);
  } else {
    message.SerializePartialToString(&bytes);
  }
  return bytes;
}

/// Puts numbers into places where they are aligned, as binary formats have them.
void PutNumber(uint8_t* data, size_t size, std::minstd_rand* random) {
  static const uint64_t kNumbers[] = {0,          1,     2,      3,      4,          8,          16,
                                      0x7f,       0xff,  0x7fff, 0xffff, 0x7fffffff, 0xffffffff, 1ull << 32,
                                      1ull << 62, ~0ull, 4096,   4095,   512};
  const size_t bytes = size_t{1} << (*random)() % 4;
  if (size < bytes) return;
  // Most of what counts is at the start of a file or of a page.
  const size_t page = (*random)() % 2 ? 0 : (*random)() % (size / 512 + 1) * 512;
  const size_t place = std::min((page + (*random)() % 256) / bytes * bytes, size - bytes);
  uint64_t value = kNumbers[(*random)() % (sizeof(kNumbers) / sizeof(*kNumbers))];
  if ((*random)() % 2) {
    std::memcpy(&value, data + place, bytes);
    value += (*random)() % 9 - 4;
  }
  std::memcpy(data + place, &value, bytes);
}

}  // namespace

// libcaffe takes the memory of blobs from here.
extern "C" void* aligned_alloc(size_t alignment, size_t size) {
  if ((blob_bytes += size) > kMostBlobBytes) return nullptr;
  void* memory = nullptr;
  return posix_memalign(&memory, alignment, size) == 0 ? memory : nullptr;
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  caffe::logging::SetMinSeverity(caffe::logging::FATAL);
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  blob_bytes = 0;
  TheReader().read({reinterpret_cast<const char*>(data), size});
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::minstd_rand random(seed);
  if (TheReader().message != nullptr && random() % 8 != 0) {
    const std::unique_ptr<google::protobuf::Message> message(TheReader().message->New());
    if (Parse({reinterpret_cast<const char*>(data), size}, message.get())) {
      caffe::fuzz::MessageMutator(message.get(), seed).Mutate();
      const std::string bytes = Written(*message);
      if (bytes.size() <= max_size) {
        std::copy(bytes.begin(), bytes.end(), data);
        return bytes.size();
      }
    }
  }
  if (TheReader().message == nullptr && random() % 2 != 0) {
    for (unsigned numbers = random() % 3 + 1; numbers > 0; --numbers) PutNumber(data, size, &random);
    return size;
  }
  return LLVMFuzzerMutate(data, size, max_size);
}
