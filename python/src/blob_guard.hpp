#ifndef CAFFE_PYTHON_BLOB_GUARD_HPP_
#define CAFFE_PYTHON_BLOB_GUARD_HPP_

#include <memory>
#include <mutex>

#include "bindings.hpp"

namespace caffe {
namespace python {

/// Locks a net for the thread that holds the interpreter's lock, which others may have while it waits.
class NetGuard {
 public:
  /// Does nothing for a null net.
  explicit NetGuard(std::shared_ptr<Net<Dtype>> net);

 private:
  std::shared_ptr<Net<Dtype>> net_;
  std::unique_lock<std::recursive_mutex> lock_;
};

/// Remembers that these blobs and parameters are the net's.
void GuardBlobs(const std::shared_ptr<Net<Dtype>>& net);

/// The net that a blob belongs to; null for one of none, or of one that is gone.
std::shared_ptr<Net<Dtype>> NetOf(const Blob<Dtype>& blob);

}  // namespace python
}  // namespace caffe

#endif  // CAFFE_PYTHON_BLOB_GUARD_HPP_
