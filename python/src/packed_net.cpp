#include "caffe/lowbit/packed_net.hpp"

#include <pybind11/numpy.h>

#include <filesystem>

#include "bindings.hpp"
#include "caffe/util/logging.hpp"

namespace caffe {
namespace python {

namespace {

using lowbit::PackedNet;

// C-contiguous; what is not is an error here, since the package converts.
using Array = py::array_t<float, py::array::c_style>;

// What goes wrong in libhwgq, which has no Error of Caffe's, as one.
template <typename Function>
auto Translated(const std::string& file, Function function) {
  try {
    return function();
  } catch (const std::runtime_error& error) {
    throw Error(error.what(), "", "", file);
  }
}

std::shared_ptr<PackedNet> Load(const Path& path, int threads, int gpu) {
  return Translated("", [&] { return std::make_shared<PackedNet>(path.string(), threads, gpu); });
}

py::list Blobs(const std::vector<PackedNet::Blob>& blobs) {
  py::list result;
  for (const PackedNet::Blob& blob : blobs) {
    result.append(py::make_tuple(blob.name, py::tuple(py::cast(blob.dimensions))));
  }
  return result;
}

struct Pass {
  int64_t images = 0;
  std::vector<const float*> inputs;
  std::vector<float*> outputs;
};

// The values of a pass. Shapes are the package's to check; sizes that would reach beyond an array are
// refused.
Pass PassOf(const PackedNet& net, const std::vector<Array>& inputs, std::vector<Array>& outputs) {
  CHECK(inputs.size() == net.inputs().size() && outputs.size() == net.outputs().size())
      << "a pass needs all of the net's inputs and outputs";
  Pass pass;
  pass.images = inputs.empty() || inputs[0].ndim() == 0 ? 0 : inputs[0].shape(0);
  for (size_t i = 0; i < inputs.size(); ++i) {
    CHECK_EQ(inputs[i].size(), pass.images * net.inputs()[i].elements) << "size of " << net.inputs()[i].name;
    pass.inputs.push_back(inputs[i].data());
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    CHECK_EQ(outputs[i].size(), pass.images * net.outputs()[i].elements)
        << "size of " << net.outputs()[i].name;
    pass.outputs.push_back(outputs[i].mutable_data());
  }
  return pass;
}

template <typename T>
std::vector<T*> Pointers(const std::vector<uintptr_t>& addresses) {
  std::vector<T*> pointers;
  for (const uintptr_t address : addresses) pointers.push_back(reinterpret_cast<T*>(address));
  return pointers;
}

void ForwardAt(const PackedNet& net, int64_t images, const std::vector<uintptr_t>& inputs,
               const std::vector<uintptr_t>& outputs, int threads) {
  py::gil_scoped_release release;
  Translated("",
             [&] { net.Forward(images, Pointers<const float>(inputs), Pointers<float>(outputs), threads); });
}

py::list Profile(const PackedNet& net, const std::vector<Array>& inputs, std::vector<Array> outputs,
                 int threads) {
  const Pass pass = PassOf(net, inputs, outputs);
  std::vector<PackedNet::StageProfile> profile;
  {
    py::gil_scoped_release release;
    profile = Translated("", [&] { return net.Profile(pass.images, pass.inputs, pass.outputs, threads); });
  }
  py::list result;
  for (const PackedNet::StageProfile& stage : profile) {
    result.append(py::make_tuple(stage.name, stage.kind, stage.kernel, stage.seconds, stage.multiply_adds,
                                 stage.bytes));
  }
  return result;
}

}  // namespace

void BindPackedNet(py::module_& module) {
  py::class_<PackedNet, std::shared_ptr<PackedNet>>(module, "PackedNet",
                                                    "The engine of caffe.hwgq.PackedNet.")
      .def(py::init(&Load), py::arg("path"), py::arg("threads") = 0, py::arg("gpu") = PackedNet::kNoGpu,
           ReleaseGil())
      .def_property_readonly("name", &PackedNet::name, "The net's name.")
      .def_property_readonly("threads", &PackedNet::threads, "Threads that a pass may use.")
      .def_property_readonly("gpu", &PackedNet::gpu, "The GPU that computes; -1: the processor does.")
      .def_property_readonly(
          "inputs", [](const PackedNet& net) { return Blobs(net.inputs()); }, "Names and dimensions.")
      .def_property_readonly(
          "outputs", [](const PackedNet& net) { return Blobs(net.outputs()); }, "Names and dimensions.")
      .def("forward_at", &ForwardAt, py::arg("images"), py::arg("inputs"), py::arg("outputs"),
           py::arg("threads") = 0,
           "Computes the outputs, which are written, of the inputs: addresses of float32 values in C order, "
           "which the package has checked; of the GPU's memory, too, where a GPU computes.")
      .def("profile", &Profile, py::arg("inputs"), py::arg("outputs"), py::arg("threads") = 0,
           "Likewise, with arrays; returns (name, kind, kernel, seconds, multiply-adds, bytes) of each "
           "stage.");
}

}  // namespace python
}  // namespace caffe
