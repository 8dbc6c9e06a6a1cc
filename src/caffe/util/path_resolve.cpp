#include "caffe/util/path_resolve.hpp"

#include <filesystem>
#include <system_error>
#include <vector>

#include "caffe/util/split_list.hpp"

namespace caffe {

namespace fs = std::filesystem;
namespace pb = google::protobuf;

namespace {

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool NamesAnInput(const pb::FieldDescriptor& field) {
  return !field.is_repeated() && field.cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING &&
         (field.name() == "source" || field.name() == "root_folder" || field.name() == "mean_file");
}

// The parameters of a layer are messages of their own, one level down.
void ResolveFields(const string& named_in, pb::Message* message) {
  const pb::Reflection& reflection = *message->GetReflection();
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(*message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    if (NamesAnInput(*field)) {
      const string path = reflection.GetString(*message, field);
      reflection.SetString(message, field, ResolvePath(path, named_in));
    } else if (field->cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated()) {
      ResolveFields(named_in, reflection.MutableMessage(message, field));
    }
  }
}

}  // namespace

string ResolvePath(const string& path, const string& named_in) {
  if (path.empty() || Exists(path)) return path;
  const fs::path beside = fs::path(named_in).parent_path() / path;
  // `beside` is `path` itself where that is absolute, or where named_in is in the working folder.
  if (beside == path || !Exists(beside)) return path;
  LOG(INFO) << "'" << path << "' in " << named_in << " is not in the working folder: taking "
            << beside.string();
  return beside.string();
}

void ResolvePaths(const string& named_in, NetParameter* net) {
  for (LayerParameter& layer : *net->mutable_layer()) ResolveFields(named_in, &layer);
}

void ResolvePaths(const string& named_in, SolverParameter* solver) {
  if (solver->has_net()) solver->set_net(ResolvePath(solver->net(), named_in));
  if (solver->has_train_net()) solver->set_train_net(ResolvePath(solver->train_net(), named_in));
  for (string& test_net : *solver->mutable_test_net()) test_net = ResolvePath(test_net, named_in);
  for (string& weights : *solver->mutable_weights()) {
    string resolved;
    for (const string& file : SplitList(weights)) {
      resolved += (resolved.empty() ? "" : ",") + ResolvePath(file, named_in);
    }
    weights = resolved;
  }
  if (solver->has_net_param()) ResolvePaths(named_in, solver->mutable_net_param());
  if (solver->has_train_net_param()) ResolvePaths(named_in, solver->mutable_train_net_param());
  for (NetParameter& net : *solver->mutable_test_net_param()) ResolvePaths(named_in, &net);
}

}  // namespace caffe
