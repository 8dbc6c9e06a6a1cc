#include "caffe/util/process_group.hpp"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "caffe/util/own_library.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

namespace {

using Maker = ProcessGroup* (*)(string* error);

// MPI is linked to a library of its own, so that Caffe works where there is none.
string MpiLibrary() { return OwnLibrary("libcaffe_mpi.so"); }

// The processors that this process may run on, as text, and their number.
string Affinity(int* processors) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) {
    *processors = ParallelThreads();
    return "unknown";
  }
  string text;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) text += CPU_ISSET(cpu, &set) ? '1' : '0';
  *processors = CPU_COUNT(&set);
  return text;
}

void TakeShareOfProcessors(ProcessGroup* group) {
  int processors = 1;
  const string mine = Affinity(&processors);
  // Ranks of one machine need not be neighbours.
  vector<string> affinities = group->Gather(group->host() + " " + mine);
  if (!std::getenv("OMP_NUM_THREADS")) {
    SetParallelThreads(ShareOfProcessors(affinities, group->rank(), processors));
  }
}

}  // namespace

int ShareOfProcessors(const vector<string>& affinities, size_t index, int processors) {
  const auto sharing = std::count(affinities.begin(), affinities.end(), affinities[index]);
  return std::max(processors / static_cast<int>(sharing), 1);
}

string ProcessGroup::BroadcastText(const string& text) {
  uint64_t size = text.size();
  Broadcast(&size, sizeof(size));
  string received = text;
  received.resize(size);
  Broadcast(&received[0], size);
  return received;
}

bool HasMpi() { return access(MpiLibrary().c_str(), R_OK) == 0; }

std::shared_ptr<ProcessGroup> JoinMpi() {
  const string file = MpiLibrary();
  CHECK(HasMpi())
      << "this needs Caffe's MPI part, libcaffe_mpi.so, which Caffe was built without: install MPI "
         "with its development files (Debian and Ubuntu: libopenmpi-dev and openmpi-bin), and "
         "build Caffe again";
  // MPI's own plugins look for its symbols among all.
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
  const auto make = reinterpret_cast<Maker>(library ? dlsym(library, "caffe_join_mpi") : nullptr);
  CHECK(make != nullptr) << "Caffe's MPI part cannot be loaded: " << dlerror();
  string error;
  std::shared_ptr<ProcessGroup> group(make(&error));
  CHECK(group) << "MPI cannot be started: " << error;
  TakeShareOfProcessors(group.get());
  return group;
}

}  // namespace caffe
