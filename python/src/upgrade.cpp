// Files of older formats to files of today's.
#include <algorithm>

#include "bindings.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {
namespace python {

namespace {

// Whether there was anything to upgrade; the file is written in any case.
template <typename Message, void (*Read)(const std::string&, google::protobuf::Message*),
          bool (*Needs)(const Message&), bool (*Upgrade)(const std::string&, Message*),
          void (*Write)(const google::protobuf::Message&, const std::string&)>
bool UpgradeFile(const Path& input, const Path& output) {
  Message message;
  Read(input.string(), &message);
  const bool due = Needs(message);
  if (due) Upgrade(input.string(), &message);
  Write(message, output.string());
  return due;
}

bool SolverNeedsUpgrade(const SolverParameter& solver) {
  const auto& tests = solver.test_net_param();
  return SolverNeedsTypeUpgrade(solver) || NetNeedsUpgrade(solver.net_param()) ||
         NetNeedsUpgrade(solver.train_net_param()) ||
         std::any_of(tests.begin(), tests.end(), NetNeedsUpgrade);
}

constexpr char kDoc[] = "Writes the file in today's format. Whether it had another one.";

}  // namespace

void BindUpgrade(py::module_& module) {
  module.def("upgrade_net_text",
             &UpgradeFile<NetParameter, ReadProtoFromTextFileOrDie, NetNeedsUpgrade, UpgradeNetAsNeeded,
                          WriteProtoToTextFile>,
             ReleaseGil(), py::arg("input"), py::arg("output"), kDoc);
  module.def("upgrade_net_binary",
             &UpgradeFile<NetParameter, ReadProtoFromBinaryFileOrDie, NetNeedsUpgrade, UpgradeNetAsNeeded,
                          WriteProtoToBinaryFile>,
             ReleaseGil(), py::arg("input"), py::arg("output"), kDoc);
  module.def("upgrade_solver_text",
             &UpgradeFile<SolverParameter, ReadProtoFromTextFileOrDie, SolverNeedsUpgrade,
                          UpgradeSolverAsNeeded, WriteProtoToTextFile>,
             ReleaseGil(), py::arg("input"), py::arg("output"), kDoc);
}

}  // namespace python
}  // namespace caffe
