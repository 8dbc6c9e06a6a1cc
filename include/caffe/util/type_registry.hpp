#ifndef CAFFE_UTIL_TYPE_REGISTRY_HPP_
#define CAFFE_UTIL_TYPE_REGISTRY_HPP_

#include <map>
#include <string>
#include <vector>

#include "caffe/util/logging.hpp"
#include "caffe/util/nearest_names.hpp"

namespace caffe {

/// The names in a registry of creators by type, in alphabetical order.
template <typename Creator>
std::vector<std::string> RegisteredTypes(const std::map<std::string, Creator>& registry) {
  std::vector<std::string> types;
  for (const auto& entry : registry) types.push_back(entry.first);
  return types;
}

/// Throws Error(message) for a type that cannot be registered; while a plugin is loaded, LoadPlugin does.
void RefuseType(const std::string& message);

/// Adds a type; `kind` is "layer type", say. @throws Error where the type is registered already.
template <typename Creator>
void RegisterType(const std::string& kind, const std::string& type, Creator creator,
                  std::map<std::string, Creator>* registry) {
  const bool added = registry->emplace(type, creator).second;
  if (!added) RefuseType(kind + " '" + type + "' is registered already");
}

/// The creator of a type. @throws Error for an unknown one, naming the nearest known ones.
template <typename Creator>
Creator FindCreator(const std::string& kind, const std::string& type,
                    const std::map<std::string, Creator>& registry) {
  const auto found = registry.find(type);
  if (found == registry.end()) throw Error(UnknownName(kind, type, RegisteredTypes(registry)));
  return found->second;
}

}  // namespace caffe

#endif  // CAFFE_UTIL_TYPE_REGISTRY_HPP_
