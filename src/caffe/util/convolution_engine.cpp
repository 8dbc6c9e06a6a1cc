#include "caffe/util/convolution_engine.hpp"

#include <dlfcn.h>

#include "caffe/util/logging.hpp"

namespace caffe {

namespace {

using Maker = ConvolutionEngine* (*)(const ConvolutionGeometry*, bool);

#ifdef USE_ONEDNN
// oneDNN takes 12 MB of memory as soon as it is loaded, which programs that train nothing can do without: it
// is linked to a library of its own, beside this one, that is loaded when a layer first wants it.
Maker LoadOneDnn() {
  Dl_info here;
  if (!dladdr(reinterpret_cast<void*>(&MakeOneDnnConvolution), &here) || !here.dli_fname) return nullptr;
  const string own = here.dli_fname;
  const string file = own.substr(0, own.rfind('/') + 1) + "libcaffe_onednn.so";
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const maker = library ? dlsym(library, "caffe_make_onednn_convolution") : nullptr;
  if (!maker) {
    const char* const reason = dlerror();
    LOG(WARNING) << "convolutions are computed without oneDNN, which was to be faster: "
                 << (reason ? reason : file.c_str());
  }
  return reinterpret_cast<Maker>(maker);
}
#else
Maker LoadOneDnn() { return nullptr; }
#endif

}  // namespace

std::unique_ptr<ConvolutionEngine> MakeOneDnnConvolution(const ConvolutionGeometry& geometry,
                                                         bool keeps_weights) {
  static const Maker make = LoadOneDnn();
  return std::unique_ptr<ConvolutionEngine>(make ? make(&geometry, keeps_weights) : nullptr);
}

}  // namespace caffe
