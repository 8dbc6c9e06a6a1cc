#include "caffe/blob.hpp"

#include <pybind11/numpy.h>

#include "bindings.hpp"

namespace caffe {
namespace python {

namespace {

// A NumPy array over the blob's memory. It holds the memory itself, so that it stays valid when the blob is
// reshaped or its net is gone.
py::array View(const Blob<Dtype>& blob, const std::shared_ptr<SyncedMemory>& memory) {
  auto* values = static_cast<Dtype*>(memory->mutable_cpu_data());
  py::capsule owner(new std::shared_ptr<SyncedMemory>(memory),
                    [](void* held) { delete static_cast<std::shared_ptr<SyncedMemory>*>(held); });
  return py::array_t<Dtype>(std::vector<py::ssize_t>(blob.shape().begin(), blob.shape().end()), values,
                            owner);
}

void Assign(const py::array& view, const py::object& value) { view[py::ellipsis()] = value; }

std::vector<int> ShapeFromArgs(const py::args& args) {
  // Both reshape(2, 3) and reshape([2, 3]).
  if (args.size() == 1 && py::isinstance<py::sequence>(args[0])) return args[0].cast<std::vector<int>>();
  return args.cast<std::vector<int>>();
}

size_t Position(const BlobVec& blobs, py::ssize_t index) {
  const auto size = static_cast<py::ssize_t>(blobs.size());
  if (index < -size || index >= size) throw py::index_error("there are " + std::to_string(size) + " blobs");
  return static_cast<size_t>(index < 0 ? index + size : index);
}

}  // namespace

void BindBlob(py::module_& module) {
  py::class_<Blob<Dtype>, std::shared_ptr<Blob<Dtype>>>(module, "Blob",
                                                        "An N-dimensional array with its gradient.")
      .def_property_readonly("shape",
                             [](const Blob<Dtype>& blob) {
                               py::tuple shape(blob.shape().size());
                               for (size_t i = 0; i < blob.shape().size(); ++i) shape[i] = blob.shape()[i];
                               return shape;
                             })
      .def_property_readonly("num", &Blob<Dtype>::num)
      .def_property_readonly("channels", &Blob<Dtype>::channels)
      .def_property_readonly("height", &Blob<Dtype>::height)
      .def_property_readonly("width", &Blob<Dtype>::width)
      .def_property_readonly("count", [](const Blob<Dtype>& blob) { return blob.count(); })
      .def(
          "reshape", [](Blob<Dtype>& blob, const py::args& shape) { blob.Reshape(ShapeFromArgs(shape)); },
          "Changes the shape; views taken before keep the old shape and memory.")
      .def_property(
          "data", [](const Blob<Dtype>& blob) { return View(blob, blob.data()); },
          [](const Blob<Dtype>& blob, const py::object& value) { Assign(View(blob, blob.data()), value); },
          "The values, as an array that shares the blob's memory.")
      .def_property(
          "diff", [](const Blob<Dtype>& blob) { return View(blob, blob.diff()); },
          [](const Blob<Dtype>& blob, const py::object& value) { Assign(View(blob, blob.diff()), value); },
          "The gradient, as an array that shares the blob's memory.")
      .def_property_readonly(
          "_gpu_data_ptr",
          [](const Blob<Dtype>& blob) { return reinterpret_cast<uintptr_t>(blob.gpu_data()); })
      .def_property_readonly("_gpu_diff_ptr", [](const Blob<Dtype>& blob) {
        return reinterpret_cast<uintptr_t>(blob.gpu_diff());
      });

  py::class_<BlobVec, std::shared_ptr<BlobVec>>(module, "BlobVec", "The blobs of a net or of a layer.")
      .def("__len__", &BlobVec::size)
      .def("__getitem__", [](const BlobVec& blobs, py::ssize_t i) { return blobs[Position(blobs, i)]; })
      .def("__getitem__",
           [](const BlobVec& blobs, const py::slice& slice) {
             size_t start, stop, step, length;
             if (!slice.compute(blobs.size(), &start, &stop, &step, &length)) throw py::error_already_set();
             py::list part;
             for (size_t i = 0; i < length; ++i, start += step) part.append(blobs[start]);
             return part;
           })
      .def(
          "__iter__", [](const BlobVec& blobs) { return py::make_iterator(blobs.begin(), blobs.end()); },
          py::keep_alive<0, 1>())
      .def(
          "add_blob",
          [](BlobVec& blobs, const py::args& shape) {
            blobs.push_back(std::make_shared<Blob<Dtype>>(ShapeFromArgs(shape)));
          },
          "Appends a blob of the given shape.");
}

}  // namespace python
}  // namespace caffe
