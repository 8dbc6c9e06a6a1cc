#include "caffe/layer.hpp"

#include "bindings.hpp"

namespace caffe {
namespace python {

namespace {

using LayerClass = Layer<Dtype>;
using Blobs = std::vector<Blob<Dtype>*>;

// Layers trust the number of their blobs, and that there are blobs.
void CheckBlobs(LayerClass& layer, const Blobs& bottom, const Blobs& top) {
  struct Counts : LayerClass {
    using LayerClass::CheckBlobCounts;
  };
  for (const Blobs* blobs : {&bottom, &top}) {
    for (const Blob<Dtype>* blob : *blobs) {
      if (blob == nullptr) throw py::type_error("bottom and top are lists of blobs; there is a None in one");
    }
  }
  (layer.*&Counts::CheckBlobCounts)(bottom, top);
}

}  // namespace

void BindLayer(py::module_& module) {
  py::class_<LayerParameter>(module, "LayerParameter", "The definition of a layer.")
      .def_property_readonly("name", [](const LayerParameter& param) { return param.name(); })
      .def_property_readonly("type", [](const LayerParameter& param) { return param.type(); })
      .def(
          "SerializeToString",
          [](const LayerParameter& param) { return py::bytes(param.SerializeAsString()); },
          "The bytes that caffe_pb2.LayerParameter.FromString reads.");

  py::class_<LayerClass, std::shared_ptr<LayerClass>>(module, "Layer", "One operation of a net.")
      .def_property_readonly(
          "blobs", [](LayerClass& layer) -> BlobVec& { return layer.blobs(); },
          py::return_value_policy::reference_internal, "The parameters.")
      .def_property_readonly("type", [](const LayerClass& layer) { return std::string(layer.type()); })
      .def_property_readonly("layer_param", &LayerClass::layer_param,
                             py::return_value_policy::reference_internal, "The definition.")
      .def(
          "setup",
          [](LayerClass& layer, const Blobs& bottom, const Blobs& top) {
            CheckBlobs(layer, bottom, top);
            layer.LayerSetUp(bottom, top);
          },
          py::arg("bottom"), py::arg("top"), "Makes the parameters for these blobs.")
      .def(
          "reshape",
          [](LayerClass& layer, const Blobs& bottom, const Blobs& top) {
            CheckBlobs(layer, bottom, top);
            layer.Reshape(bottom, top);
          },
          py::arg("bottom"), py::arg("top"), "Shapes the tops for the bottoms.");
}

}  // namespace python
}  // namespace caffe
