#include "caffe/process_training.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "caffe/parallel.hpp"
#include "caffe/util/gradient_exchange.hpp"
#include "caffe/util/param_layout.hpp"
#include "caffe/util/solver_share.hpp"
#include "caffe/util/thread_stop.hpp"

namespace caffe {

namespace {

constexpr size_t kLeastPartBytes = size_t{1} << 20;

/// Averages the gradients of solvers in CPU mode by the group of their processes. They lie in one piece of
/// memory, so that neighbours travel together.
template <typename Dtype>
class GroupExchange : public GradientExchange<Dtype> {
 public:
  GroupExchange(Solver<Dtype>* solver, ProcessGroup* group)
      : GroupExchange(solver, group, ParamLayout(*solver->net())) {}

  void Broadcast() override {
    for (Blob<Dtype>* param : params_) {
      group_->Broadcast(param->mutable_cpu_data(), param->count() * sizeof(Dtype));
    }
  }

 protected:
  void Send(int first, int end) override {
    for (int i = first; i < end; ++i) {
      LOG_IF(FATAL, params_[i]->mutable_cpu_diff() != gradients() + layout_.offset(i))
          << "the gradients of learnable parameter " << i << " have got other memory during the training";
    }
    group_->StartAverage(gradients() + layout_.offset(first), layout_.offset(end) - layout_.offset(first));
  }

  void Finish() override {
    group_->FinishAverages();
    for (Blob<Dtype>* param : params_) param->mutable_cpu_diff();
  }

 private:
  GroupExchange(Solver<Dtype>* solver, ProcessGroup* group, const ParamLayout& layout)
      : GradientExchange<Dtype>(solver, layout, kLeastPartBytes / sizeof(Dtype)),
        group_(group),
        params_(solver->net()->learnable_params()),
        layout_(layout),
        memory_(std::max<size_t>(layout.size(), 1) * sizeof(Dtype)) {
    for (int i = 0; i < layout_.num_params(); ++i) {
      // The blobs keep the memory.
      params_[i]->diff()->set_cpu_data(gradients() + layout_.offset(i), memory_.cpu_owner());
    }
  }

  Dtype* gradients() { return static_cast<Dtype*>(memory_.mutable_cpu_data()); }

  ProcessGroup* const group_;
  const vector<Blob<Dtype>*> params_;
  const ParamLayout layout_;
  SyncedMemory memory_;
};

template <typename Dtype>
std::unique_ptr<GradientExchange<Dtype>> MakeExchange(const shared_ptr<Solver<Dtype>>& solver,
                                                      ProcessGroup* group) {
  if (Caffe::mode() == Caffe::CPU) return std::make_unique<GroupExchange<Dtype>>(solver.get(), group);
#ifdef USE_NCCL
  const string uid = group->BroadcastText(group->rank() == 0 ? NCCL<Dtype>::new_uid() : string());
  return std::make_unique<NCCL<Dtype>>(solver, uid);
#else
  LOG(FATAL) << "training on GPUs in several processes needs NCCL, which Caffe was built without: train on "
                "the CPU, or build with CUDA and NCCL";
  return nullptr;
#endif
}

/// Lets all solvers begin the same iterations, and act alike.
template <typename Dtype>
class CommonCourse : public Solver<Dtype>::Callback {
 public:
  CommonCourse(Solver<Dtype>* solver, ProcessGroup* group)
      : solver_(solver), group_(group), asked_here_(solver->action_function()) {
    solver_->SetActionFunction([this] { return Action(); });
    solver_->add_callback(this);
  }
  ~CommonCourse() override {
    solver_->remove_callback(this);
    solver_->SetActionFunction(asked_here_);
  }

  /// The root begins no more iterations; the others wait for it here, or before their next one.
  void End() { group_->Max(group_->rank() == 0 ? kEnd : 0); }

 protected:
  void on_start() override {
    const int agreed = group_->Max(Strength(AskedHere()));
    if (agreed == kEnd) throw ThreadInterrupted();
    agreed_ = kByStrength[agreed];
    in_iteration_ = true;
  }
  void on_gradients_ready() override {}

 private:
  /// Of what different processes are asked for, the last one here is done.
  static constexpr SolverAction::Enum kByStrength[] = {SolverAction::NONE, SolverAction::SNAPSHOT,
                                                       SolverAction::STOP};
  static constexpr int kEnd = 3;

  static int Strength(SolverAction::Enum action) {
    return static_cast<int>(std::find(kByStrength, kByStrength + kEnd, action) - kByStrength);
  }

  SolverAction::Enum AskedHere() const { return asked_here_ ? asked_here_() : SolverAction::NONE; }

  SolverAction::Enum Action() {
    // The root asks while it tests, too, and ends for all then.
    if (!in_iteration_) return AskedHere();
    in_iteration_ = false;
    return agreed_;
  }

  Solver<Dtype>* const solver_;
  ProcessGroup* const group_;
  const ActionCallback asked_here_;
  SolverAction::Enum agreed_ = SolverAction::NONE;
  bool in_iteration_ = false;
};

/// All that must be the same for solvers to train together, as lines of text.
template <typename Dtype>
string Description(Solver<Dtype>* solver) {
  SolverParameter param = DefinitionOfOthers(solver->param());
  param.set_type(solver->type());
  param.clear_device_id();
  param.clear_snapshot_prefix();
  // The net is described by what was made of it.
  param.clear_net();
  param.clear_net_param();
  param.clear_train_net();
  param.clear_train_net_param();
  ostringstream text;
  text << "mode: " << (Caffe::mode() == Caffe::CPU ? "CPU" : "GPU") << "\nversion: " << CAFFE_VERSION << "\n"
       << "bytes of a number: " << sizeof(Dtype) << "\n"
       << param.DebugString();
  for (const auto& layer : solver->net()->layers()) {
    LayerParameter layer_param = layer->layer_param();
    layer_param.clear_blobs();
    const string of_layer = "layer '" + layer_param.name() + "': ";
    std::istringstream fields(layer_param.DebugString());
    for (string field; std::getline(fields >> std::ws, field);) text << of_layer << field << "\n";
    for (const auto& blob : layer->blobs())
      text << of_layer << "parameters of " << blob->shape_string() << "\n";
  }
  return text.str();
}

/// The first lines that differ; empty where none do.
string Difference(const string& mine, const string& of_root) {
  std::istringstream mine_lines(mine), root_lines(of_root);
  string line, root_line;
  while (true) {
    const bool more = static_cast<bool>(std::getline(mine_lines, line));
    const bool more_of_root = static_cast<bool>(std::getline(root_lines, root_line));
    if (!more && !more_of_root) return "";
    if (!more) line = "nothing";
    if (!more_of_root) root_line = "nothing";
    if (line != root_line) return "'" + line + "', where rank 0 has '" + root_line + "'";
  }
}

/// Lets all go on from the root's state.
template <typename Dtype>
void ShareState(Solver<Dtype>* solver, ProcessGroup* group) {
  const bool is_root = group->rank() == 0;
  int iteration = solver->iter();
  group->Broadcast(&iteration, sizeof(iteration));
  if (iteration == 0) return;
  SolverState state;
  if (is_root) solver->GetState(&state);
  const string text = group->BroadcastText(state.SerializeAsString());
  if (is_root) return;
  CHECK(state.ParseFromString(text)) << "the root's state has come here damaged";
  solver->SetState(state);
}

}  // namespace

template <typename Dtype>
void SolveInProcesses(const shared_ptr<Solver<Dtype>>& solver, ProcessGroup* group) {
  CHECK_EQ(Caffe::solver_count(), group->size())
      << "Caffe::set_solver_count must tell the number of processes";
  CHECK_EQ(Caffe::solver_rank(), group->rank()) << "Caffe::set_solver_rank must tell the process's rank";
  ShareState(solver.get(), group);
  const auto exchange = MakeExchange(solver, group);
  exchange->Broadcast();
  CommonCourse<Dtype> course(solver.get(), group);
  const AttachedExchange<Dtype> attached(exchange.get(), solver.get());
  if (group->rank() == 0) {
    solver->Solve();
  } else {
    try {
      solver->Step(solver->param().max_iter() - solver->iter());
    } catch (const ThreadInterrupted&) {
      // The root has ended in an iteration that it did not begin.
      return;
    }
  }
  course.End();
}

template <typename Dtype>
string TrainingDiffers(Solver<Dtype>* solver, ProcessGroup* group) {
  const string mine = Description(solver);
  const string difference = Difference(mine, group->BroadcastText(mine));
  if (difference.empty()) return "";
  return "rank " + std::to_string(group->rank()) + " (" + group->host() +
         ") would train something else: it has " + difference +
         "; give all processes the same solver, net and program";
}

template string TrainingDiffers(Solver<float>* solver, ProcessGroup* group);
template string TrainingDiffers(Solver<double>* solver, ProcessGroup* group);
template void SolveInProcesses(const shared_ptr<Solver<float>>& solver, ProcessGroup* group);
template void SolveInProcesses(const shared_ptr<Solver<double>>& solver, ProcessGroup* group);

}  // namespace caffe
