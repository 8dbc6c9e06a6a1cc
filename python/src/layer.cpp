#include "caffe/layer.hpp"

#include "bindings.hpp"

namespace caffe {
namespace python {

namespace {

std::vector<Blob<Dtype>*> Pointers(const BlobVec& blobs) {
  std::vector<Blob<Dtype>*> pointers;
  for (const auto& blob : blobs) pointers.push_back(blob.get());
  return pointers;
}

}  // namespace

void BindLayer(py::module_& module) {
  py::class_<LayerParameter>(module, "LayerParameter", "The definition of a layer.")
      .def_property_readonly("name", [](const LayerParameter& param) { return param.name(); })
      .def_property_readonly("type", [](const LayerParameter& param) { return param.type(); })
      .def("SerializeToString",
           [](const LayerParameter& param) { return py::bytes(param.SerializeAsString()); });

  py::class_<Layer<Dtype>, std::shared_ptr<Layer<Dtype>>>(module, "Layer", "One operation of a net.")
      .def_property_readonly(
          "blobs", [](Layer<Dtype>& layer) -> BlobVec& { return layer.blobs(); },
          py::return_value_policy::reference_internal, "The parameters.")
      .def_property_readonly("type", [](const Layer<Dtype>& layer) { return std::string(layer.type()); })
      .def_property_readonly("layer_param",
                             [](const Layer<Dtype>& layer) { return LayerParameter(layer.layer_param()); })
      .def("setup", [](Layer<Dtype>& layer, const BlobVec& bottom,
                       const BlobVec& top) { layer.LayerSetUp(Pointers(bottom), Pointers(top)); })
      .def("reshape", [](Layer<Dtype>& layer, const BlobVec& bottom, const BlobVec& top) {
        layer.Reshape(Pointers(bottom), Pointers(top));
      });
}

}  // namespace python
}  // namespace caffe
