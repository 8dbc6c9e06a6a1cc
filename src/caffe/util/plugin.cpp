#include "caffe/util/plugin.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/type_registry.hpp"

namespace caffe {

namespace {

// Where this thread loads a plugin, what its static initialization may not throw through the loader.
thread_local std::vector<std::string>* refused = nullptr;

/// The types known at one moment, to go back to.
class KnownTypes {
 public:
  void Restore() const {
    LayerRegistry<float>::Registry() = float_layers_;
    LayerRegistry<double>::Registry() = double_layers_;
    SolverRegistry<float>::Registry() = float_solvers_;
    SolverRegistry<double>::Registry() = double_solvers_;
  }

  /// " (layer types: A, B) (solver types: C)" for the types that have been added since.
  std::string AddedSince() const {
    return Added("layer types", float_layers_, LayerRegistry<float>::Registry()) +
           Added("solver types", float_solvers_, SolverRegistry<float>::Registry());
  }

 private:
  template <typename Registry>
  static std::string Added(const std::string& kind, const Registry& before, const Registry& now) {
    std::string text;
    for (const auto& entry : now) {
      if (!before.count(entry.first)) text += (text.empty() ? " (" + kind + ": " : ", ") + entry.first;
    }
    return text.empty() ? text : text + ")";
  }

  LayerRegistry<float>::CreatorRegistry float_layers_ = LayerRegistry<float>::Registry();
  LayerRegistry<double>::CreatorRegistry double_layers_ = LayerRegistry<double>::Registry();
  SolverRegistry<float>::CreatorRegistry float_solvers_ = SolverRegistry<float>::Registry();
  SolverRegistry<double>::CreatorRegistry double_solvers_ = SolverRegistry<double>::Registry();
};

// What the loader says, with C++ names as they are written.
std::string LoaderError() {
  std::string text = dlerror();
  const std::string before_symbol = "undefined symbol: ";
  const size_t found = text.find(before_symbol);
  if (found == std::string::npos) return text;
  const size_t start = found + before_symbol.size();
  const std::string symbol = text.substr(start, text.find_first_of(" ,(", start) - start);
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status), &std::free);
  if (status == 0) text.replace(start, symbol.size(), name.get());
  return text + "; build the plugin against this Caffe and link it with Caffe::caffe (find_package(Caffe))";
}

}  // namespace

void RefuseType(const std::string& message) {
  if (!refused) throw Error(message);
  refused->push_back(message);
}

void LoadPlugin(const std::string& path) {
  static std::mutex one_at_a_time;
  std::lock_guard<std::mutex> lock(one_at_a_time);
  std::error_code error;
  // A name without a folder would be looked for in the system's folders.
  const std::string file = std::filesystem::absolute(path, error).string();
  if (!std::filesystem::is_regular_file(file, error)) {
    throw Error("the plugin is not there, or is no file").WithFile(path);
  }
  const KnownTypes before;
  std::vector<std::string> errors;
  refused = &errors;
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  refused = nullptr;
  if (!library) throw Error("the plugin cannot be loaded: " + LoaderError()).WithFile(path);
  if (!errors.empty()) {
    before.Restore();
    dlclose(library);
    throw Error("the plugin cannot be used: " + errors.front()).WithFile(path);
  }
  LOG(INFO) << "Loaded plugin " << path << before.AddedSince();
}

}  // namespace caffe
