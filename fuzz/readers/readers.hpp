#ifndef CAFFE_FUZZ_READERS_READERS_HPP_
#define CAFFE_FUZZ_READERS_READERS_HPP_

#include <string>
#include <vector>

#include "caffe/proto/caffe.pb.h"

namespace caffe {
namespace fuzz {

/// A way that a foreign file takes into libcaffe.
struct Reader {
  /// Of the fuzzer, and of the folder of its inputs.
  const char* name;
  /// Reads a file of these bytes as users have it read. Returns where the file is right, and where it is
  /// refused by an Error; all else that may happen is a defect.
  void (*read)(const std::string& bytes);
  /// The message that such a file holds, to change inputs by its fields; null where it holds none.
  const google::protobuf::Message* message = nullptr;
  /// Whether the message is written as text.
  bool text = false;
};

const std::vector<Reader>& Readers();

// The readers, by the files that they are in.

// read_net.cpp
void ReadNet(const std::string& bytes);
void ReadSolver(const std::string& bytes);
// read_weights.cpp
void ReadWeights(const std::string& bytes);
void ReadState(const std::string& bytes);
void ReadHdf5(const std::string& bytes);
// read_records.cpp
void ReadMean(const std::string& bytes);
void ReadRecord(const std::string& bytes);
void ReadImageBytes(const std::string& bytes);
// read_databases.cpp
void ReadLmdb(const std::string& bytes);
/// The first byte says which of a LevelDB's files the others are: C for CURRENT, M for MANIFEST-N, T for the
/// table, L for the log.
void ReadLevelDb(const std::string& bytes);
// read_lists.cpp
void ReadImageListBytes(const std::string& bytes);
void ReadWindowFileBytes(const std::string& bytes);

}  // namespace fuzz
}  // namespace caffe

#endif  // CAFFE_FUZZ_READERS_READERS_HPP_
