#include "caffe/util/onednn_library.hpp"

#include <dlfcn.h>

#include "caffe/util/logging.hpp"

namespace caffe {

namespace {

#ifdef USE_ONEDNN
bool LoadOneDnn(OneDnnLibrary* loaded) {
  Dl_info here;
  if (!dladdr(reinterpret_cast<void*>(&GetOneDnn), &here) || !here.dli_fname) return false;
  const string own = here.dli_fname;
  const string file = own.substr(0, own.rfind('/') + 1) + "libcaffe_onednn.so";
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto find = [library](const char* name) { return library ? dlsym(library, name) : nullptr; };
  loaded->make_convolution =
      reinterpret_cast<decltype(loaded->make_convolution)>(find("caffe_make_onednn_convolution"));
  loaded->sgemm = reinterpret_cast<decltype(loaded->sgemm)>(find("caffe_onednn_sgemm"));
  if (loaded->make_convolution && loaded->sgemm) return true;
  const char* const reason = dlerror();
  LOG(WARNING) << "convolutions and products are computed without oneDNN, which was to be faster: "
               << (reason ? reason : file.c_str());
  return false;
}
#else
bool LoadOneDnn(OneDnnLibrary*) { return false; }
#endif

}  // namespace

const OneDnnLibrary* GetOneDnn() {
  static OneDnnLibrary library = {};
  static const bool is_loaded = LoadOneDnn(&library);
  return is_loaded ? &library : nullptr;
}

}  // namespace caffe
