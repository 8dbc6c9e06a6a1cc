#ifndef CAFFE_PYTHON_DLPACK_HPP_
#define CAFFE_PYTHON_DLPACK_HPP_

/// @file
/// The structures by which array libraries hand arrays to each other, as the DLPack protocol lays them out
/// (https://dmlc.github.io/dlpack/latest/c_api.html).

#include <cstdint>

namespace caffe {
namespace python {
namespace dlpack {

enum DeviceType : int32_t { kCpu = 1, kCuda = 2 };

struct Device {
  int32_t type;
  int32_t id;
};

struct DataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
constexpr uint8_t kFloatCode = 2;

struct Tensor {
  void* data;
  Device device;
  int32_t axes;
  DataType type;
  int64_t* shape;
  int64_t* strides;  ///< in elements
  uint64_t byte_offset;
};

/// Before version 1, in a capsule "dltensor".
struct ManagedTensor {
  Tensor tensor;
  void* context;
  void (*deleter)(ManagedTensor*);
};

struct Version {
  uint32_t major, minor;
};
constexpr Version kVersion = {1, 0};

/// From version 1 on, in a capsule "dltensor_versioned".
struct VersionedTensor {
  Version version;
  void* context;
  void (*deleter)(VersionedTensor*);
  uint64_t flags;
  Tensor tensor;
};
constexpr uint64_t kIsCopied = 2;

}  // namespace dlpack
}  // namespace python
}  // namespace caffe

#endif  // CAFFE_PYTHON_DLPACK_HPP_
