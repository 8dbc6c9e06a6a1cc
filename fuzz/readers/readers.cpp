#include "readers.hpp"

namespace caffe {
namespace fuzz {

const std::vector<Reader>& Readers() {
  static const std::vector<Reader> readers = {
      {"net", ReadNet, &NetParameter::default_instance(), true},
      {"solver", ReadSolver, &SolverParameter::default_instance(), true},
      {"weights", ReadWeights, &NetParameter::default_instance()},
      {"state", ReadState, &SolverState::default_instance()},
      {"hdf5", ReadHdf5},
      {"mean", ReadMean, &BlobProto::default_instance()},
      {"record", ReadRecord, &Datum::default_instance()},
      {"image", ReadImageBytes},
      {"lmdb", ReadLmdb},
      {"leveldb", ReadLevelDb},
      {"image_list", ReadImageListBytes},
      {"window_file", ReadWindowFileBytes},
  };
  return readers;
}

}  // namespace fuzz
}  // namespace caffe
