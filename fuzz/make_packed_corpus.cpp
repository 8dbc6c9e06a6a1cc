// Writes the fuzzer's first inputs into a folder: small models made by chance, of all kinds of stages and
// steps.
#include <fstream>
#include <iostream>
#include <string>

#include "caffe/test/random_packed_model.hpp"

int main(int argc, char** argv) {
  using caffe::lowbit::PackedModel;
  if (argc != 2) {
    std::cerr << "usage: make_packed_corpus FOLDER\n";
    return 1;
  }
  constexpr int kFiles = 32;
  constexpr size_t kMostBytes = 4096;
  int files = 0;
  for (unsigned seed = 0; files < kFiles; ++seed) {
    const caffe::lowbit::RandomModel model(seed, {1 + static_cast<int>(seed % 5), 9, 5});
    const std::vector<uint8_t> bytes = PackedModel(model.plan()).bytes;
    if (bytes.size() > kMostBytes) continue;
    const std::string path = std::string(argv[1]) + "/random" + std::to_string(files++) + ".hwgq";
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) {
      std::cerr << path << " cannot be written\n";
      return 1;
    }
  }
}
