#ifndef CAFFE_FUZZ_READERS_SCRATCH_HPP_
#define CAFFE_FUZZ_READERS_SCRATCH_HPP_

#include <google/protobuf/text_format.h>

#include <string>
#include <utility>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {
namespace fuzz {

/// The path of a file in the folder that this process keeps its files in, until it ends.
std::string ScratchPath(const std::string& name);

/// Makes such a file of the bytes, in place of one that is there, and returns its path.
std::string WriteScratch(const std::string& name, const std::string& bytes);

/// Puts records, keys and values, into a database, which is made where it is not there.
void WriteRecords(const std::string& backend, const std::string& folder,
                  const std::vector<std::pair<std::string, std::string>>& records);

/// A datum of this shape that has no values yet.
Datum DatumOf(int channels, int height, int width);

/// Makes a data layer, and one batch.
void RunDataLayer(const LayerParameter& param);

/// The message of a prototxt that is right.
template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  CHECK(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

/// Runs what may refuse a file.
template <typename Read>
void MayRefuse(Read read) {
  try {
    read();
  } catch (const Error&) {
    // What a wrong file is to give.
  }
}

}  // namespace fuzz
}  // namespace caffe

#endif  // CAFFE_FUZZ_READERS_SCRATCH_HPP_
