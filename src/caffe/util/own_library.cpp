#include "caffe/util/own_library.hpp"

#include <dlfcn.h>

#include <filesystem>

namespace caffe {

string OwnLibrary(const string& name) {
  Dl_info here;
  if (!dladdr(reinterpret_cast<void*>(&OwnLibrary), &here) || !here.dli_fname) return name;
  return std::filesystem::path(here.dli_fname).replace_filename(name).string();
}

}  // namespace caffe
