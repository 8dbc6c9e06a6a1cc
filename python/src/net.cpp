#include "caffe/net.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <optional>

#include "bindings.hpp"
#include "blob_guard.hpp"
#include "caffe/layers/memory_data_layer.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/numerics_check.hpp"
#include "caffe/util/path_resolve.hpp"
#include "callbacks.hpp"

namespace caffe {
namespace python {

namespace {

using NetClass = Net<Dtype>;

Phase PhaseOf(int phase) {
  CHECK(Phase_IsValid(phase)) << "a phase is caffe.TRAIN or caffe.TEST, not " << phase;
  return static_cast<Phase>(phase);
}

std::shared_ptr<NetClass> MakeNet(const Path& file, int phase, int level,
                                  const std::optional<std::vector<std::string>>& stages,
                                  const std::optional<Path>& weights) {
  py::gil_scoped_release release;
  auto net = std::make_shared<NetClass>(file.string(), PhaseOf(phase), level, stages ? &*stages : nullptr);
  if (weights) net->CopyTrainedLayersFrom(weights->string());
  return net;
}

std::shared_ptr<NetClass> NetFromBytes(const std::string& message, int phase, int level,
                                       const std::vector<std::string>& stages, const Path& named_in) {
  NetParameter param = ParseMessage<NetParameter>(message);
  ResolvePaths(named_in.string(), &param);
  NetState& state = *param.mutable_state();
  state.set_phase(PhaseOf(phase));
  state.set_level(level);
  *state.mutable_stage() = {stages.begin(), stages.end()};
  return std::make_shared<NetClass>(param);
}

// Runs a Python function with the number of the layer, from a pass that does not hold the interpreter.
class PythonCallback : public NetClass::Callback {
 public:
  explicit PythonCallback(py::handle function) : function_(function) {}

 protected:
  void run(int layer) override {
    py::gil_scoped_acquire acquire;
    function_(layer);
  }

 private:
  py::handle function_;
};

using FloatArray = py::array_t<Dtype, py::array::c_style>;

// Lets the net's MemoryData layer serve from the arrays, which live as long as any blob shows them.
void SetInputArrays(const std::shared_ptr<NetClass>& self, const FloatArray& data, const FloatArray& labels) {
  const NetGuard guard(self);
  NetClass& net = *self;
  auto* layer = net.layers().empty() ? nullptr : dynamic_cast<MemoryDataLayer<Dtype>*>(net.layers()[0].get());
  if (layer == nullptr) throw Error("set_input_arrays needs a net whose first layer is a MemoryData layer");
  const std::vector<py::ssize_t> item{layer->channels(), layer->height(), layer->width()};
  if (data.ndim() != 4 || !std::equal(item.begin(), item.end(), data.shape() + 1)) {
    throw py::value_error("data must have the shape N x " + std::to_string(item[0]) + " x " +
                          std::to_string(item[1]) + " x " + std::to_string(item[2]));
  }
  if (labels.size() != data.shape(0)) {
    throw py::value_error("there are " + std::to_string(data.shape(0)) + " items but " +
                          std::to_string(labels.size()) + " labels");
  }
  if (!data.writeable() || !labels.writeable()) throw py::value_error("the arrays must be writeable");
  const std::shared_ptr<void> owner(new py::tuple(py::make_tuple(data, labels)), [](void* arrays) {
    py::gil_scoped_acquire acquire;
    delete static_cast<py::tuple*>(arrays);
  });
  // The blobs show memory that the caller may write to, as all blobs do.
  layer->Reset(const_cast<Dtype*>(data.data()), const_cast<Dtype*>(labels.data()),
               static_cast<int>(data.shape(0)), owner);
}

using AddCallback = void (NetClass::*)(NetClass::Callback*);

auto CallbackAdder(AddCallback add) {
  return [add](const py::object& self, const py::function& function) {
    auto* callback = KeepCallback(self, std::make_unique<PythonCallback>(function), function);
    (self.cast<NetClass&>().*add)(callback);
  };
}

// The check that a net got from Python, made when it is first asked for; null where it was not and is not to
// be.
NumericsCheck<Dtype>* CheckOf(const py::object& self, bool make) {
  constexpr char kName[] = "_numerics_check";
  if (!py::hasattr(self, kName)) {
    if (!make) return nullptr;
    auto check = std::make_unique<NumericsCheck<Dtype>>(self.cast<NetClass*>());
    py::capsule owner(check.release(), [](void* held) { delete static_cast<NumericsCheck<Dtype>*>(held); });
    self.attr(kName) = owner;
  }
  return self.attr(kName).cast<py::capsule>().get_pointer<NumericsCheck<Dtype>>();
}

}  // namespace

void BindNet(py::module_& module) {
  py::class_<NetClass, std::shared_ptr<NetClass>> net(
      module, "Net", py::dynamic_attr(),
      "A network of layers.\n\n"
      "Net(network_file, phase, level=0, stages=None, weights=None) reads the definition from a prototxt "
      "file\n"
      "and, where given, the parameters from a .caffemodel or HDF5 file; Net(network_file, weights_file, "
      "phase)\n"
      "is the older form. Raises caffe.Error naming file, line, layer.");
  net.def(py::init(&MakeNet), py::arg("network_file"), py::arg("phase"), py::arg("level") = 0,
          py::arg("stages") = py::none(), py::arg("weights") = py::none())
      .def(py::init([](const Path& file, const Path& weights, int phase) {
             return MakeNet(file, phase, 0, std::nullopt, weights);
           }),
           py::arg("network_file"), py::arg("weights_file"), py::arg("phase"))
      .def("_forward", &NetClass::ForwardFromTo, ReleaseGil(), py::arg("start"), py::arg("end"),
           "Runs layers start ... end, both included; returns their loss.")
      .def("_backward", &NetClass::BackwardFromTo, ReleaseGil(), py::arg("start"), py::arg("end"),
           "Runs layers start ... end backward, start >= end, both included.")
      .def("reshape", &NetClass::Reshape, ReleaseGil(), "Shapes all blobs for the shapes of the inputs.")
      .def("clear_param_diffs", &NetClass::ClearParamDiffs, ReleaseGil(),
           "Sets the gradients of all parameters to zero; backward adds to them.")
      .def(
          "copy_from", [](NetClass& self, const Path& file) { self.CopyTrainedLayersFrom(file.string()); },
          ReleaseGil(), py::arg("weights_file"),
          "Copies the parameters of the layers that have the same name in a .caffemodel or HDF5 file.")
      .def("share_with", &NetClass::ShareTrainedLayersWith, py::arg("other"),
           "Shares the parameters of the layers that have the same name in the other net.")
      .def(
          "save",
          [](const NetClass& self, const Path& file) {
            NetParameter param;
            self.ToProto(&param);
            WriteProtoToBinaryFile(param, file.string());
          },
          ReleaseGil(), py::arg("file"), "Writes the parameters to a .caffemodel.")
      .def(
          "save_hdf5", [](const NetClass& self, const Path& file) { self.ToHDF5(file.string()); },
          ReleaseGil(), py::arg("file"), "Writes the parameters to an HDF5 file.")
      .def(
          "load_hdf5",
          [](NetClass& self, const Path& file) { self.CopyTrainedLayersFromHDF5(file.string()); },
          ReleaseGil(), py::arg("file"), "Copies parameters from an HDF5 file, as copy_from.")
      .def("_set_input_arrays", &SetInputArrays, py::arg("data"), py::arg("labels"))
      .def_property_readonly(
          "layers",
          [](const std::shared_ptr<NetClass>& self) {
            GuardBlobs(self);
            return self->layers();
          },
          "The layers, in order.")
      // A list of its own: the net's vector must not grow.
      .def_property_readonly("_blobs",
                             [](const std::shared_ptr<NetClass>& self) {
                               GuardBlobs(self);
                               py::list blobs;
                               for (const auto& blob : self->blobs()) blobs.append(blob);
                               return blobs;
                             })
      .def_property_readonly("_blob_names", &NetClass::blob_names)
      .def_property_readonly("_layer_names", &NetClass::layer_names)
      .def_property_readonly("_inputs", &NetClass::input_blob_indices)
      .def_property_readonly("_outputs", &NetClass::output_blob_indices)
      .def_property_readonly("_blob_loss_weights", &NetClass::blob_loss_weights)
      .def("_bottom_ids", &NetClass::bottom_ids, py::arg("layer"))
      .def("_top_ids", &NetClass::top_ids, py::arg("layer"))
      .def_property(
          "reuses_memory", &NetClass::reuses_memory, &NetClass::set_reuses_memory,
          "Whether memory goes from blob to blob within a pass (False). Passes must then begin at the "
          "first layer,\nand after them only inputs, outputs, parameters and blobs that were read between "
          "earlier passes hold\nwhat they hold otherwise. A forward pass "
          "allows one backward pass. A solver's step may\nuse up gradients by weights of inner products.")
      .def("pass_bytes", &NetClass::PassBytes, py::call_guard<py::gil_scoped_release>(),
           "Bytes that a pass takes on the CPU for blobs, in the TRAIN phase also for gradients and what "
           "layers\n"
           "keep for them, where memory is reused; without parameters. Nothing is computed.\n\n"
           "Raises caffe.Error for a net that reuses memory already.")
      .def_property(
          "check_numerics",
          [](const py::object& self) {
            const auto* check = CheckOf(self, false);
            return check != nullptr && check->enabled();
          },
          [](const py::object& self, bool value) {
            if (auto* check = CheckOf(self, value)) check->set_enabled(value);
          },
          "Whether the first value that is no finite number, forward or backward, raises an error that names "
          "its\n"
          "layer and blob.")
      .def("before_forward", CallbackAdder(&NetClass::add_before_forward), py::arg("function"),
           "Calls function(layer) with the number of each layer before it runs forward.")
      .def("after_forward", CallbackAdder(&NetClass::add_after_forward), py::arg("function"))
      .def("before_backward", CallbackAdder(&NetClass::add_before_backward), py::arg("function"))
      .def("after_backward", CallbackAdder(&NetClass::add_after_backward), py::arg("function"));

  module.def("net_from_bytes", &NetFromBytes, ReleaseGil(), py::arg("message"), py::arg("phase"),
             py::arg("level") = 0, py::arg("stages") = std::vector<std::string>(),
             py::arg("named_in") = Path(),
             "The net that a serialized NetParameter defines. Files that it names are looked for from the\n"
             "working folder, and then beside the file `named_in`.");
}

}  // namespace python
}  // namespace caffe
