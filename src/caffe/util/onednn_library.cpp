#include "caffe/util/onednn_library.hpp"

#include <dlfcn.h>

#include <type_traits>

#include "caffe/util/logging.hpp"
#include "caffe/util/own_library.hpp"

namespace caffe {

namespace {

#ifdef USE_ONEDNN
bool LoadOneDnn(OneDnnLibrary* loaded) {
  const string file = OwnLibrary("libcaffe_onednn.so");
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  bool has_all = true;
  const auto load = [&](auto* function, const char* name) {
    void* const found = library ? dlsym(library, name) : nullptr;
    *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(found);
    has_all = has_all && found;
  };
  load(&loaded->make_convolution, "caffe_make_onednn_convolution");
  load(&loaded->sgemm, "caffe_onednn_sgemm");
  load(&loaded->bf16_gemm, "caffe_onednn_bf16_gemm");
  load(&loaded->bf16_instructions, "caffe_onednn_bf16_instructions");
  load(&loaded->elementwise, "caffe_onednn_elementwise");
  if (has_all) return true;
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
