// Training in several processes.
#include "caffe/util/process_group.hpp"

#include "bindings.hpp"
#include "caffe/process_training.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/solver_share.hpp"

namespace caffe {
namespace python {

namespace {

std::vector<py::bytes> Gather(ProcessGroup* group, const std::string& mine) {
  std::vector<std::string> parts;
  {
    py::gil_scoped_release release;
    parts = group->Gather(mine);
  }
  return {parts.begin(), parts.end()};
}

py::bytes Broadcast(ProcessGroup* group, const std::string& text) {
  std::string received;
  {
    py::gil_scoped_release release;
    received = group->BroadcastText(text);
  }
  return received;
}

}  // namespace

void BindProcesses(py::module_& module) {
  py::class_<ProcessGroup, std::shared_ptr<ProcessGroup>>(
      module, "ProcessGroup",
      "Processes that do a work together. But for abort, all make the same calls in the same order, each of "
      "which\n"
      "waits for the others.")
      .def_property_readonly("rank", &ProcessGroup::rank, "This process's number; 0 is the root.")
      .def_property_readonly("size", &ProcessGroup::size)
      .def_property_readonly("local_rank", &ProcessGroup::local_rank, "Among the processes of this machine.")
      .def_property_readonly("local_size", &ProcessGroup::local_size)
      .def_property_readonly("host", &ProcessGroup::host, "The machine's name.")
      .def("gather", &Gather, py::arg("mine"), "What each process has given, by rank.")
      .def("broadcast", &Broadcast, py::arg("text"), "What the root has given, in all processes.")
      .def("leave", &ProcessGroup::Leave, ReleaseGil(), "Leaves the group; the last call.")
      .def("abort", &ProcessGroup::Abort, py::arg("status"),
           "Ends all processes, this one with this exit status, whatever the others do now.");
  module.def("has_mpi", &HasMpi, "Whether training in several processes is built in.");
  module.def(
      "join_mpi", &JoinMpi, ReleaseGil(),
      "Joins the processes that mpirun started with this one, once in a process. This thread gets its\n"
      "share of the machine's processors, unless OMP_NUM_THREADS is set. Raises caffe.Error without "
      "MPI.");
  module.def("set_parallel_threads", &SetParallelThreads, py::arg("threads"),
             "Sets how many threads this thread computes with.");
  module.def("parallel_threads", &ParallelThreads, "How many threads this thread computes with.");
  module.def(
      "definition_of_others",
      [](const std::string& message) {
        return py::bytes(DefinitionOfOthers(ParseMessage<SolverParameter>(message)).SerializeAsString());
      },
      py::arg("message"),
      "A serialized SolverParameter for the processes beside the root, which do not test, log or save.");
  module.def(
      "training_differs",
      [](const std::shared_ptr<Solver<Dtype>>& solver, ProcessGroup* group) {
        return TrainingDiffers(solver.get(), group);
      },
      ReleaseGil(), py::arg("solver").none(false), py::arg("group"),
      "In what this process would train something else than the root; empty where all is the same.");
  module.def(
      "solve_in_processes", &SolveInProcesses<Dtype>, ReleaseGil(), py::arg("solver").none(false),
      py::arg("group"),
      "Trains as Solver.solve does, one solver in each process, made after set_solver_count(group.size),\n"
      "set_solver_rank(group.rank) and set_multiprocess(True). All get the root's weights and state.");
}

}  // namespace python
}  // namespace caffe
