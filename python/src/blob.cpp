#include "caffe/blob.hpp"

#include <pybind11/numpy.h>

#include "bindings.hpp"
#include "blob_guard.hpp"
#include "shared_array.hpp"

namespace caffe {
namespace python {

namespace {

// A NumPy array over the blob's memory, which it keeps alive: it stays valid when the blob is reshaped or its
// net is gone. Memory that a caller lent to the blob can't be kept, so of that a copy is made, read-only for
// no change to get lost unnoticed.
py::array View(const Blob<Dtype>& blob, const std::shared_ptr<SyncedMemory>& memory) {
  const std::vector<py::ssize_t> shape(blob.shape().begin(), blob.shape().end());
  auto* values = static_cast<Dtype*>(memory->mutable_cpu_data());
  if (memory->cpu_owner() == nullptr) {
    py::array_t<Dtype> copy(shape, values);
    copy.attr("flags").attr("writeable") = false;
    return copy;
  }
  py::capsule owner(new std::shared_ptr<void>(memory->cpu_owner()),
                    [](void* held) { delete static_cast<std::shared_ptr<void>*>(held); });
  return py::array_t<Dtype>(shape, values, owner);
}

// Not while another thread runs the blob's net, which may change its shape and memory.
py::array DataView(const Blob<Dtype>& blob) {
  const NetGuard guard(NetOf(blob));
  return View(blob, blob.data());
}

py::array DiffView(const Blob<Dtype>& blob) {
  const NetGuard guard(NetOf(blob));
  return View(blob, blob.diff());
}

void Assign(const py::array& view, const py::object& value) { view[py::ellipsis()] = value; }

uintptr_t GpuPointer(const Blob<Dtype>& blob, const std::shared_ptr<SyncedMemory>& memory) {
  const NetGuard guard(NetOf(blob));
  return reinterpret_cast<uintptr_t>(memory->mutable_gpu_data());
}

template <bool is_gradient>
SharedArray SharedArrayOf(const std::shared_ptr<Blob<Dtype>>& blob) {
  return {blob, is_gradient};
}

// Gives a class the protocols by which other libraries take array_of(self).
template <typename Self, typename Class>
void DefineSharing(Class* shared, SharedArray (*array_of)(const Self&)) {
  shared
      ->def_property_readonly("__cuda_array_interface__",
                              [array_of](const Self& self) { return CudaArrayInterface(array_of(self)); })
      .def("__dlpack_device__", [](const Self&) { return DlpackDevice(); })
      .def(
          "__dlpack__",
          [array_of](const Self& self, const py::object& stream, const py::object& max_version,
                     const py::object& dl_device, const py::object& copy) {
            return ToDlpack(array_of(self), stream, max_version, dl_device, copy);
          },
          py::kw_only(), py::arg("stream") = py::none(), py::arg("max_version") = py::none(),
          py::arg("dl_device") = py::none(), py::arg("copy") = py::none());
}

// Both reshape(2, 3) and reshape([2, 3]).
std::vector<int> ShapeFrom(const py::args& args) {
  const py::object shape =
      args.size() == 1 && py::isinstance<py::sequence>(args[0]) ? py::object(args[0]) : py::object(args);
  try {
    return shape.cast<std::vector<int>>();
  } catch (const py::cast_error&) {
    throw py::type_error("a shape is made of whole numbers, not " + std::string(py::repr(shape)));
  }
}

size_t Position(const BlobVec& blobs, py::ssize_t index) {
  const auto size = static_cast<py::ssize_t>(blobs.size());
  if (index < -size || index >= size) {
    throw py::index_error("there is no blob " + std::to_string(index) + ": there are " +
                          std::to_string(size));
  }
  return static_cast<size_t>(index < 0 ? index + size : index);
}

py::list Part(const BlobVec& blobs, const py::slice& slice) {
  py::ssize_t start, stop, step, length;
  if (!slice.compute(static_cast<py::ssize_t>(blobs.size()), &start, &stop, &step, &length)) {
    throw py::error_already_set();
  }
  py::list part;
  for (py::ssize_t i = 0; i < length; ++i) part.append(blobs[start + i * step]);
  return part;
}

}  // namespace

void BindBlob(py::module_& module) {
  using BlobClass = Blob<Dtype>;
  py::class_<BlobClass, std::shared_ptr<BlobClass>> blob(module, "Blob",
                                                         "An N-dimensional array with its gradient.\n\n"
                                                         "Other libraries share its values as they do those "
                                                         "of shared_data.");
  blob.def_property_readonly("shape", [](const BlobClass& blob) { return py::tuple(py::cast(blob.shape())); })
      .def_property_readonly("num", &BlobClass::num, "The first of the four axes of old.")
      .def_property_readonly("channels", &BlobClass::channels)
      .def_property_readonly("height", &BlobClass::height)
      .def_property_readonly("width", &BlobClass::width)
      .def_property_readonly("count", py::overload_cast<>(&BlobClass::count, py::const_), "How many values.")
      .def(
          "reshape",
          [](BlobClass& blob, const py::args& shape) {
            const std::vector<int> sizes = ShapeFrom(shape);
            const NetGuard guard(NetOf(blob));
            blob.Reshape(sizes);
          },
          "reshape(*shape): changes the shape. Arrays taken before keep the old shape and memory.")
      .def_property(
          "data", &DataView,
          [](const BlobClass& blob, const py::object& value) { Assign(DataView(blob), value); },
          "The values, as an array that shares the blob's memory.")
      .def_property(
          "diff", &DiffView,
          [](const BlobClass& blob, const py::object& value) { Assign(DiffView(blob), value); },
          "The gradient, as an array that shares the blob's memory.")
      .def_property_readonly(
          "shared_data", &SharedArrayOf<false>,
          "The values, for libraries that take arrays without copying them: "
          "torch.from_dlpack,\n"
          "cupy.from_dlpack, numpy.from_dlpack, or torch.as_tensor and cupy.asarray in GPU "
          "mode.\n"
          "They get the memory of the mode (caffe.set_mode_gpu), with what is newest, and may "
          "write\n"
          "to it. Take it anew after the blob was used on the other side, by .data say.")
      .def_property_readonly("shared_diff", &SharedArrayOf<true>, "The gradient, as shared_data.")
      .def_property_readonly(
          "_gpu_data_ptr", [](const BlobClass& blob) { return GpuPointer(blob, blob.data()); },
          "Where the values are on the GPU, for reading and writing.")
      .def_property_readonly(
          "_gpu_diff_ptr", [](const BlobClass& blob) { return GpuPointer(blob, blob.diff()); },
          "Where the gradient is on the GPU, for reading and writing.");
  DefineSharing<std::shared_ptr<BlobClass>>(&blob, &SharedArrayOf<false>);

  py::class_<SharedArray> shared(
      module, "SharedArray",
      "A blob's values or gradient, for libraries that take arrays by DLPack or the CUDA array interface.");
  shared.def_property_readonly(
      "shape", [](const SharedArray& array) { return py::tuple(py::cast(array.blob->shape())); });
  DefineSharing<SharedArray>(&shared, [](const SharedArray& array) { return array; });

  // Iteration goes by index until there is none, so that a vector may grow meanwhile.
  py::class_<BlobVec, std::shared_ptr<BlobVec>>(module, "BlobVec", "The parameters of a layer.")
      .def("__len__", &BlobVec::size)
      .def("__getitem__", [](const BlobVec& blobs, py::ssize_t i) { return blobs[Position(blobs, i)]; })
      .def("__getitem__", &Part)
      .def(
          "add_blob",
          [](BlobVec& blobs, const py::args& shape) {
            blobs.push_back(std::make_shared<BlobClass>(ShapeFrom(shape)));
          },
          "add_blob(*shape): appends a blob of zeros.");
}

}  // namespace python
}  // namespace caffe
