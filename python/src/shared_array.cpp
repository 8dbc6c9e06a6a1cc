#include "shared_array.hpp"

#include <cstring>
#include <utility>
#include <vector>

#include "blob_guard.hpp"
#include "caffe/util/gpu_memory.hpp"
#include "caffe/util/gpu_stream.hpp"
#include "caffe/util/math_functions.hpp"
#include "dlpack.hpp"

namespace caffe {
namespace python {

namespace {

using Device = std::pair<int, int>;

constexpr Device kHost = {dlpack::kCpu, 0};

Device DeviceOfMode() {
#ifndef CPU_ONLY
  if (Caffe::mode() == Caffe::GPU) return {dlpack::kCuda, Caffe::device()};
#endif
  return kHost;
}

// What the protocols let a producer raise where it cannot give what was asked for.
[[noreturn]] void ThrowBufferError(const std::string& message) { throw py::buffer_error(message); }

// Memory that others may use, and what keeps it alive.
struct Lent {
  void* data;
  std::shared_ptr<void> owner;
};

// What is newest comes to that side first, and what others write there is newest: so the counter of changes
// and the head say.
Lent Lend(SyncedMemory* memory, bool on_gpu) {
  void* data = on_gpu ? memory->mutable_gpu_data() : memory->mutable_cpu_data();
  return {data, on_gpu ? memory->gpu_owner() : memory->cpu_owner()};
}

// The same of a copy.
Lent LendCopy(SyncedMemory* memory, bool on_gpu, size_t size) {
  SyncedMemory copy(size);
  Lent lent = Lend(&copy, on_gpu);
  if (on_gpu) {
#ifndef CPU_ONLY
    caffe_gpu_memcpy(size, memory->gpu_data(), lent.data);
#endif
  } else {
    std::memcpy(lent.data, memory->cpu_data(), size);
  }
  return lent;
}

// Lets the consumer's stream wait for what was started on the memory. The protocol counts streams so: none is
// the legacy stream, 1 is that, 2 is the calling thread's, -1 is for no waiting, and others are handles.
void LetConsumerWait(const py::object& stream, int device) {
#ifdef CPU_ONLY
  (void)stream;
  (void)device;
#else
  const auto number = stream.is_none() ? intptr_t{1} : stream.cast<intptr_t>();
  if (number == 0) throw py::value_error("stream 0 is ambiguous: 1 is the legacy stream, 2 the thread's");
  if (number == -1) return;
  const GpuDeviceGuard guard(device);
  GpuEvent started;
  started.Record(cudaStreamLegacy);
  started.LetWait(number == 1   ? cudaStreamLegacy
                  : number == 2 ? cudaStreamPerThread
                                : reinterpret_cast<cudaStream_t>(number));
#endif
}

// What lies behind a capsule's pointer.
template <typename Managed>
struct Exported {
  Managed managed;
  std::shared_ptr<void> owner;
  std::vector<int64_t> shape, strides;
};

constexpr const char* NameOf(const dlpack::ManagedTensor&) { return "dltensor"; }
constexpr const char* NameOf(const dlpack::VersionedTensor&) { return "dltensor_versioned"; }

template <typename Managed>
py::capsule Export(const Blob<Dtype>& blob, const Lent& lent, const Device& device, Managed managed) {
  auto exported = std::make_unique<Exported<Managed>>();
  exported->owner = lent.owner;
  for (int axis = 0; axis < blob.num_axes(); ++axis) {
    exported->shape.push_back(blob.shape(axis));
    exported->strides.push_back(blob.count(axis + 1));
  }
  managed.tensor = {lent.data,
                    {device.first, device.second},
                    blob.num_axes(),
                    {dlpack::kFloatCode, 8 * sizeof(Dtype), 1},
                    exported->shape.data(),
                    exported->strides.data(),
                    0};
  managed.context = exported.get();
  // Called by the consumer, in any thread.
  managed.deleter = [](Managed* self) { delete static_cast<Exported<Managed>*>(self->context); };
  exported->managed = managed;
  // A consumer gives the capsule another name, and calls the deleter itself.
  PyObject* capsule = PyCapsule_New(&exported->managed, NameOf(managed), [](PyObject* object) {
    const char* name = NameOf(Managed());
    if (!PyCapsule_IsValid(object, name)) return;
    auto* kept = static_cast<Managed*>(PyCapsule_GetPointer(object, name));
    kept->deleter(kept);
  });
  if (!capsule) throw py::error_already_set();
  exported.release();
  return py::reinterpret_steal<py::capsule>(capsule);
}

}  // namespace

py::dict CudaArrayInterface(const SharedArray& array) {
#ifdef CPU_ONLY
  (void)array;
  throw py::attribute_error(
      "there is no __cuda_array_interface__, as Caffe was built without CUDA: use blob.data, or "
      "numpy.from_dlpack(blob)");
#else
  if (Caffe::mode() != Caffe::GPU) {
    throw py::attribute_error(
        "there is no __cuda_array_interface__ in CPU mode: call caffe.set_mode_gpu(), or use blob.data");
  }
  const NetGuard guard(NetOf(*array.blob));
  const Blob<Dtype>& blob = *array.blob;
  void* data = Lend(array.memory().get(), true).data;
  py::dict interface;
  interface["shape"] = py::tuple(py::cast(blob.shape()));
  interface["typestr"] = "<f" + std::to_string(sizeof(Dtype));
  // The pointer of no values is to be 0.
  interface["data"] = py::make_tuple(blob.count() > 0 ? reinterpret_cast<uintptr_t>(data) : 0, false);
  interface["strides"] = py::none();
  // The legacy stream: it waits for those of all threads.
  interface["stream"] = 1;
  interface["version"] = 3;
  return interface;
#endif
}

py::tuple DlpackDevice() {
  const Device device = DeviceOfMode();
  return py::make_tuple(device.first, device.second);
}

py::capsule ToDlpack(const SharedArray& array, const py::object& stream, const py::object& max_version,
                     const py::object& dl_device, const py::object& copy) {
  const Device here = DeviceOfMode();
  const Device device = dl_device.is_none() ? here : dl_device.cast<Device>();
  if (device != here && device != kHost) {
    ThrowBufferError("a blob cannot be shared on device " + std::string(py::str(dl_device)) + ": it is on " +
                     std::string(py::str(DlpackDevice())) +
                     ", where the mode (caffe.set_mode_gpu) and the thread's GPU (caffe.set_device) put it");
  }
  const bool on_gpu = device.first == dlpack::kCuda;
  const bool copied = !copy.is_none() && copy.cast<bool>();
  const NetGuard guard(NetOf(*array.blob));
  const Blob<Dtype>& blob = *array.blob;
  SyncedMemory* memory = array.memory().get();
  const Lent lent = copied ? LendCopy(memory, on_gpu, blob.count() * sizeof(Dtype)) : Lend(memory, on_gpu);
  if (!lent.owner) {
    ThrowBufferError(
        "the blob's memory is lent by a C++ program, so nothing could keep it alive: ask for a copy");
  }
  if (on_gpu) LetConsumerWait(stream, device.second);
  const bool versioned = !max_version.is_none() && max_version.cast<std::pair<int, int>>().first >= 1;
  if (!versioned) return Export(blob, lent, device, dlpack::ManagedTensor());
  dlpack::VersionedTensor managed = {};
  managed.version = dlpack::kVersion;
  managed.flags = copied ? dlpack::kIsCopied : 0;
  return Export(blob, lent, device, managed);
}

}  // namespace python
}  // namespace caffe
