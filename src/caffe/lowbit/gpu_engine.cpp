#include "caffe/lowbit/gpu_engine.hpp"

#include <dlfcn.h>

#include <string>

namespace caffe {
namespace lowbit {

namespace {

constexpr char kLibrary[] = "libhwgq_cuda.so";

// Beside this library. Most programs have no GPU, and so do not want what CUDA takes as soon as it is loaded.
std::string FileBesideThis() {
  Dl_info here;
  if (!dladdr(reinterpret_cast<void*>(&MakeGpuEngine), &here) || !here.dli_fname) return "";
  const std::string own = here.dli_fname;
  return own.substr(0, own.rfind('/') + 1) + kLibrary;
}

std::string LastError() {
  const char* const reason = dlerror();
  return reason ? reason : "unknown reason";
}

struct LoadedLibrary {
  GpuEngineMaker make = nullptr;
  std::string error;
};

LoadedLibrary Load() {
  LoadedLibrary loaded;
  for (const std::string& file : {FileBesideThis(), std::string(kLibrary)}) {
    if (file.empty()) continue;
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    void* const maker = library ? dlsym(library, "hwgq_make_gpu_engine") : nullptr;
    if (maker) {
      loaded.make = reinterpret_cast<GpuEngineMaker>(maker);
      return loaded;
    }
    // The first file's reason, unless that file is not there.
    const std::string reason = LastError();
    if (loaded.error.empty() || loaded.error.find("No such file") != std::string::npos) loaded.error = reason;
  }
  return loaded;
}

}  // namespace

std::unique_ptr<GpuEngine> MakeGpuEngine(const Plan& plan, int gpu) {
  static const LoadedLibrary library = Load();
  if (!library.make) {
    throw PlanError(std::string("this needs a GPU, but libhwgq was built or installed without CUDA: load the "
                                "model for the CPU, or build with -DCAFFE_CUDA=ON (") +
                    library.error + ")");
  }
  return std::unique_ptr<GpuEngine>(library.make(&plan, gpu));
}

}  // namespace lowbit
}  // namespace caffe
