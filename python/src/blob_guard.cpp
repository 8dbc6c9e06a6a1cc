#include "blob_guard.hpp"

#include <unordered_map>

namespace caffe {
namespace python {

namespace {

// Read and changed with the interpreter's lock held. An entry may outlive its blob, and then gives a blob
// that came to lie at the same place a lock that it does not need.
std::unordered_map<const Blob<Dtype>*, std::weak_ptr<Net<Dtype>>>& Owners() {
  static auto* owners = new std::unordered_map<const Blob<Dtype>*, std::weak_ptr<Net<Dtype>>>;
  return *owners;
}

void ForgetNetsThatAreGone() {
  auto& owners = Owners();
  for (auto entry = owners.begin(); entry != owners.end();) {
    entry = entry->second.expired() ? owners.erase(entry) : std::next(entry);
  }
}

}  // namespace

NetGuard::NetGuard(std::shared_ptr<Net<Dtype>> net) : net_(std::move(net)) {
  if (!net_) return;
  lock_ = std::unique_lock<std::recursive_mutex>(net_->mutex(), std::try_to_lock);
  if (lock_.owns_lock()) return;
  const py::gil_scoped_release release;
  lock_.lock();
}

void GuardBlobs(const std::shared_ptr<Net<Dtype>>& net) {
  ForgetNetsThatAreGone();
  for (const auto& blob : net->blobs()) Owners()[blob.get()] = net;
  for (const auto& layer : net->layers()) {
    for (const auto& blob : layer->blobs()) Owners()[blob.get()] = net;
  }
}

std::shared_ptr<Net<Dtype>> NetOf(const Blob<Dtype>& blob) {
  const auto owner = Owners().find(&blob);
  return owner == Owners().end() ? nullptr : owner->second.lock();
}

}  // namespace python
}  // namespace caffe
