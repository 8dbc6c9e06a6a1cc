// Messages to and from files. They cross to Python as serialized bytes: Python's protobuf and the engine's
// are different libraries.
#include <pybind11/numpy.h>

#include "bindings.hpp"
#include "caffe/util/binarize.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/path_resolve.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "caffe/util/weights_file.hpp"

namespace caffe {
namespace python {

namespace {

void ReadSolver(const std::string& file, SolverParameter* param) {
  ReadSolverParamsFromTextFileOrDie(file, param);
  ResolvePaths(file, param);
}

template <typename Message, void (*Read)(const std::string&, Message*)>
py::bytes ReadMessage(const Path& file) {
  std::string bytes;
  {
    py::gil_scoped_release release;
    Message message;
    Read(file.string(), &message);
    bytes = message.SerializeAsString();
  }
  return bytes;
}

py::array_t<Dtype> BinarizedWeights(
    const py::array_t<Dtype, py::array::c_style | py::array::forcecast>& weights, bool use_alpha) {
  CHECK_GE(weights.ndim(), 1) << "weights have at least one axis, that of the outputs";
  py::array_t<Dtype> binary(std::vector<py::ssize_t>(weights.shape(), weights.shape() + weights.ndim()));
  if (weights.size() == 0) return binary;
  const int num_output = static_cast<int>(weights.shape(0));
  std::vector<Dtype> alphas(num_output);
  caffe_cpu_binarize(num_output, static_cast<int>(weights.size() / num_output), weights.data(), use_alpha,
                     alphas.data(), binary.mutable_data());
  return binary;
}

}  // namespace

void BindMessages(py::module_& module) {
  module.def("read_net_text", &ReadMessage<NetParameter, ReadNetParamsFromTextFileOrDie>, py::arg("file"),
             "A net's definition, brought to today's format, as a serialized NetParameter.");
  module.def("read_net_binary", &ReadMessage<NetParameter, ReadNetParamsFromBinaryFileOrDie>, py::arg("file"),
             "A .caffemodel, brought to today's format, as a serialized NetParameter.");
  module.def(
      "check_weights", [](const Path& file) { WeightsFile(file.string()); }, ReleaseGil(), py::arg("file"),
      "Raises Error where a file is no .caffemodel, or damaged; reads no more of it than that takes.");
  module.def("read_solver_text", &ReadMessage<SolverParameter, ReadSolver>, py::arg("file"),
             "A solver's definition, brought to today's format and with the paths in it resolved, as a\n"
             "serialized SolverParameter.");
  module.def(
      "write_net_text",
      [](const std::string& message, const Path& file) {
        WriteProtoToTextFile(ParseMessage<NetParameter>(message), file.string());
      },
      ReleaseGil(), py::arg("message"), py::arg("file"),
      "Writes a serialized NetParameter as text. The file appears whole or not at all.");
  module.def(
      "write_net_binary",
      [](const std::string& message, const Path& file) {
        WriteProtoToBinaryFile(ParseMessage<NetParameter>(message), file.string());
      },
      ReleaseGil(), py::arg("message"), py::arg("file"),
      "Writes a serialized NetParameter as a .caffemodel. The file appears whole or not at all.");
  module.def(
      "binarize_weights", &BinarizedWeights, py::arg("weights"), py::arg("use_alpha"),
      "The binary weights that BinaryConvolution and BinaryInnerProduct compute with: the sign of each\n"
      "weight times its output's mean magnitude, or, without use_alpha, the sign alone.");
}

}  // namespace python
}  // namespace caffe
