// What the package's own tools need of the engine beside nets and solvers.
#include <pybind11/numpy.h>

#include "bindings.hpp"
#include "caffe/util/binarize.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {
namespace python {

namespace {

using FloatArray = py::array_t<float, py::array::c_style | py::array::forcecast>;

py::array_t<float> BinarizedWeights(const FloatArray& weights, bool use_alpha) {
  CHECK_GE(weights.ndim(), 1) << "weights must have an axis of outputs";
  py::array_t<float> binary(std::vector<py::ssize_t>(weights.shape(), weights.shape() + weights.ndim()));
  const int num_output = static_cast<int>(weights.shape(0));
  std::vector<float> alphas(num_output);
  if (weights.size() > 0) {
    caffe_cpu_binarize(num_output, static_cast<int>(weights.size() / num_output), weights.data(), use_alpha,
                       alphas.data(), binary.mutable_data());
  }
  return binary;
}

template <typename Message>
Message Parsed(const std::string& bytes, const char* name) {
  Message message;
  CHECK(message.ParseFromString(bytes)) << "not a serialized " << name;
  return message;
}

}  // namespace

void BindTools(py::module_& module) {
  module.def(
      "binarize_weights", &BinarizedWeights, py::arg("weights"), py::arg("use_alpha"),
      "The binary weights alpha * sign(W) that BinaryConvolution and BinaryInnerProduct compute with, one "
      "alpha for each leading index (1 without use_alpha).");
  module.def(
      "read_net_text",
      [](const std::string& file) {
        NetParameter param;
        ReadNetParamsFromTextFileOrDie(file, &param);
        return py::bytes(param.SerializeAsString());
      },
      py::arg("file"), "A net definition, upgraded to today's format, as a serialized NetParameter.");
  module.def(
      "read_net_binary",
      [](const std::string& file) {
        NetParameter param;
        ReadNetParamsFromBinaryFileOrDie(file, &param);
        return py::bytes(param.SerializeAsString());
      },
      py::arg("file"), "A .caffemodel, upgraded to today's format, as a serialized NetParameter.");
  module.def(
      "read_solver_text",
      [](const std::string& file) {
        SolverParameter param;
        ReadSolverParamsFromTextFileOrDie(file, &param);
        return py::bytes(param.SerializeAsString());
      },
      py::arg("file"), "A solver definition, upgraded to today's format, as a serialized SolverParameter.");
  module.def(
      "write_net_text",
      [](const std::string& bytes, const std::string& file) {
        WriteProtoToTextFile(Parsed<NetParameter>(bytes, "NetParameter"), file);
      },
      py::arg("message"), py::arg("file"),
      "Writes a serialized NetParameter as text; the file appears whole or not.");
  module.def(
      "write_net_binary",
      [](const std::string& bytes, const std::string& file) {
        WriteProtoToBinaryFile(Parsed<NetParameter>(bytes, "NetParameter"), file);
      },
      py::arg("message"), py::arg("file"),
      "Writes a serialized NetParameter as a .caffemodel; the file appears whole or not.");
}

}  // namespace python
}  // namespace caffe
