#include "caffe/net.hpp"

#include <optional>

#include "bindings.hpp"
#include "caffe/util/io.hpp"

namespace caffe {
namespace python {

namespace {

Phase PhaseOf(int phase) {
  CHECK(Phase_IsValid(phase)) << "phase must be caffe.TRAIN or caffe.TEST, not " << phase;
  return static_cast<Phase>(phase);
}

std::shared_ptr<Net<Dtype>> MakeNet(const std::string& file, int phase, int level,
                                    const std::optional<std::vector<std::string>>& stages,
                                    const std::optional<std::string>& weights) {
  py::gil_scoped_release release;
  auto net = std::make_shared<Net<Dtype>>(file, PhaseOf(phase), level, stages ? &*stages : nullptr);
  if (weights) net->CopyTrainedLayersFrom(*weights);
  return net;
}

// Runs a Python function with the number of the layer, from a pass that does not hold the interpreter.
class PythonCallback : public Net<Dtype>::Callback {
 public:
  explicit PythonCallback(py::function function) : function_(std::move(function)) {}
  ~PythonCallback() override {
    py::gil_scoped_acquire acquire;
    function_ = py::function();
  }

 protected:
  void run(int layer) override {
    py::gil_scoped_acquire acquire;
    function_(layer);
  }

 private:
  py::function function_;
};

// Keeps the callback with the net's Python object, and tells the net.
void AddCallback(const py::object& self, const py::function& function,
                 void (Net<Dtype>::*add)(Net<Dtype>::Callback*)) {
  auto* callback = new PythonCallback(function);
  py::capsule owner(callback, [](void* held) { delete static_cast<PythonCallback*>(held); });
  if (!py::hasattr(self, "_callbacks")) self.attr("_callbacks") = py::list();
  self.attr("_callbacks").cast<py::list>().append(owner);
  (self.cast<Net<Dtype>&>().*add)(callback);
}

}  // namespace

void BindNet(py::module_& module) {
  using NetClass = Net<Dtype>;
  py::class_<NetClass, std::shared_ptr<NetClass>> net(module, "Net", py::dynamic_attr(),
                                                      "A network of layers.");
  net.def(py::init(&MakeNet), py::arg("network_file"), py::arg("phase"), py::arg("level") = 0,
          py::arg("stages") = py::none(), py::arg("weights") = py::none())
      .def(py::init([](const std::string& file, const std::string& weights, int phase) {
             return MakeNet(file, phase, 0, std::nullopt, weights);
           }),
           py::arg("network_file"), py::arg("weights_file"), py::arg("phase"))
      .def("_forward", &NetClass::ForwardFromTo, ReleaseGil(), py::arg("start"), py::arg("end"))
      .def("_backward", &NetClass::BackwardFromTo, ReleaseGil(), py::arg("start"), py::arg("end"))
      .def("reshape", &NetClass::Reshape, ReleaseGil(), "Shapes all blobs for the shapes of the inputs.")
      .def("clear_param_diffs", &NetClass::ClearParamDiffs, ReleaseGil())
      .def("copy_from", py::overload_cast<const std::string&>(&NetClass::CopyTrainedLayersFrom), ReleaseGil(),
           py::arg("weights_file"),
           "Copies the parameters of the layers that have the same name in the file.")
      .def("share_with", &NetClass::ShareTrainedLayersWith, py::arg("other"), py::keep_alive<1, 2>(),
           "Shares the parameters of the layers that have the same name in the other net.")
      .def(
          "save",
          [](const NetClass& self, const std::string& file) {
            NetParameter param;
            self.ToProto(&param, false);
            WriteProtoToBinaryFile(param, file);
          },
          ReleaseGil(), py::arg("file"), "Writes the parameters to a .caffemodel.")
      .def(
          "save_hdf5", [](const NetClass& self, const std::string& file) { self.ToHDF5(file); }, ReleaseGil(),
          py::arg("file"))
      .def("load_hdf5", &NetClass::CopyTrainedLayersFromHDF5, ReleaseGil(), py::arg("file"))
      .def_property_readonly("name", [](const NetClass& self) { return self.name(); })
      .def_property_readonly("phase", [](const NetClass& self) { return static_cast<int>(self.phase()); })
      .def_property_readonly(
          "_blobs", [](NetClass& self) -> BlobVec& { return const_cast<BlobVec&>(self.blobs()); },
          py::return_value_policy::reference_internal)
      .def_property_readonly("layers", [](const NetClass& self) { return self.layers(); })
      .def_property_readonly("_blob_names", [](const NetClass& self) { return self.blob_names(); })
      .def_property_readonly("_layer_names", [](const NetClass& self) { return self.layer_names(); })
      .def_property_readonly("_inputs", [](const NetClass& self) { return self.input_blob_indices(); })
      .def_property_readonly("_outputs", [](const NetClass& self) { return self.output_blob_indices(); })
      .def_property_readonly("_blob_loss_weights",
                             [](const NetClass& self) { return self.blob_loss_weights(); })
      .def("_bottom_ids", [](const NetClass& self, int i) { return self.bottom_ids(i); })
      .def("_top_ids", [](const NetClass& self, int i) { return self.top_ids(i); })
      .def("before_forward",
           [](const py::object& self, const py::function& f) {
             AddCallback(self, f, &NetClass::add_before_forward);
           })
      .def("after_forward", [](const py::object& self,
                               const py::function& f) { AddCallback(self, f, &NetClass::add_after_forward); })
      .def("before_backward",
           [](const py::object& self, const py::function& f) {
             AddCallback(self, f, &NetClass::add_before_backward);
           })
      .def("after_backward", [](const py::object& self, const py::function& f) {
        AddCallback(self, f, &NetClass::add_after_backward);
      });
}

}  // namespace python
}  // namespace caffe
