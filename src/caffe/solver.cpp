#include "caffe/solver.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <numeric>
#include <utility>

#include "caffe/util/path_resolve.hpp"
#include "caffe/util/split_list.hpp"
#include "caffe/util/thread_stop.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {

namespace {

// The value of one output: "    Test net output #0: loss = 0.5 (* 2 = 1 loss)".
void LogOutput(const char* which, int index, const string& name, double value, double loss_weight) {
  ostringstream loss;
  if (loss_weight != 0) loss << " (* " << loss_weight << " = " << loss_weight * value << " loss)";
  LOG_IF(INFO, Caffe::root_solver()) << "    " << which << " net output #" << index << ": " << name << " = "
                                     << value << loss.str();
}

// The outputs as the net's last pass left them.
template <typename Dtype>
void LogOutputs(const char* which, const Net<Dtype>& net) {
  int index = 0;
  for (size_t j = 0; j < net.output_blobs().size(); ++j) {
    const Blob<Dtype>& blob = *net.output_blobs()[j];
    const int blob_id = net.output_blob_indices()[j];
    const Dtype* values = blob.cpu_data();
    for (int k = 0; k < blob.count(); ++k) {
      LogOutput(which, index++, net.blob_names()[blob_id], values[k], net.blob_loss_weights()[blob_id]);
    }
  }
}

// Where a test net comes from: a definition in the solver, or a file.
struct NetSource {
  const NetParameter* definition;
  string file;
  string description;
};

}  // namespace

template <typename Dtype>
Solver<Dtype>::Solver(const SolverParameter& param) {
  Init(param);
}

template <typename Dtype>
Solver<Dtype>::Solver(const string& param_file) {
  SolverParameter param;
  ReadSolverParamsFromTextFileOrDie(param_file, &param);
  ResolvePaths(param_file, &param);
  try {
    Init(param);
  } catch (const Error& error) {
    throw error.WithFile(param_file);
  }
}

template <typename Dtype>
void Solver<Dtype>::Init(const SolverParameter& param) {
  LOG_IF(INFO, Caffe::root_solver()) << "Initializing solver from parameters: \n" << param.DebugString();
  param_ = param;
  CHECK_GE(param_.average_loss(), 1) << "average_loss must be at least 1";
  CHECK_GE(param_.iter_size(), 1) << "iter_size must be at least 1";
  CHECK_GE(param_.snapshot_keep(), 0) << "snapshot_keep must be positive, or 0 to keep all snapshots";
  if (param_.snapshot()) {
    CHECK(param_.has_snapshot_prefix()) << "snapshot is given, but snapshot_prefix is not";
    CheckSnapshotWritePermissions();
  }
  const auto seed = static_cast<unsigned int>(param_.random_seed());
  if (param_.random_seed() >= 0) Caffe::set_random_seed(seed);
  InitTrainNet();
  InitTestNets();
  // Solvers that train together share the data in one order, for which their data layers have drawn the same
  // seed; what their layers draw from now on (dropout, say) is each one's own.
  if (param_.random_seed() >= 0 && !Caffe::root_solver()) {
    Caffe::set_random_seed(seed + Caffe::solver_rank());
  }
  LOG_IF(INFO, Caffe::root_solver()) << "Solver scaffolding done.";
  iter_ = 0;
  current_step_ = 0;
}

template <typename Dtype>
shared_ptr<Net<Dtype>> Solver<Dtype>::MakeNet(NetParameter net_param, Phase phase, const NetState& state,
                                              const string& file) {
  try {
    if (!file.empty()) {
      ReadNetParamsFromTextFileOrDie(file, &net_param);
      ResolvePaths(file, &net_param);
    }
    NetState net_state;
    net_state.set_phase(phase);
    net_state.MergeFrom(net_param.state());
    net_state.MergeFrom(state);
    *net_param.mutable_state() = net_state;
    auto net = std::make_shared<Net<Dtype>>(net_param);
    if (param_.check_numerics()) {
      // The net may live longer than the solver, and the check must as long.
      struct Checked {
        explicit Checked(shared_ptr<Net<Dtype>> made) : net(std::move(made)), check(net.get()) {}
        const shared_ptr<Net<Dtype>> net;
        NumericsCheck<Dtype> check;
      };
      const auto checked = std::make_shared<Checked>(net);
      if (phase == TRAIN) numerics_ = &checked->check;
      net = shared_ptr<Net<Dtype>>(checked, net.get());
    }
    for (const string& list : param_.weights()) {
      for (const string& weights : SplitList(list)) {
        LOG_IF(INFO, Caffe::root_solver()) << "Finetuning from " << weights;
        net->CopyTrainedLayersFrom(weights);
      }
    }
    return net;
  } catch (const Error& error) {
    if (file.empty()) throw;
    throw error.WithFile(file);
  }
}

template <typename Dtype>
void Solver<Dtype>::InitTrainNet() {
  const int given =
      param_.has_net() + param_.has_net_param() + param_.has_train_net() + param_.has_train_net_param();
  CHECK_EQ(given, 1)
      << "a solver must specify one training net, by one of the fields net, net_param, train_net "
         "and train_net_param";
  if (param_.has_train_net_param()) {
    LOG_IF(INFO, Caffe::root_solver()) << "Creating training net specified in train_net_param.";
    net_ = MakeNet(param_.train_net_param(), TRAIN, param_.train_state(), "");
  } else if (param_.has_net_param()) {
    LOG_IF(INFO, Caffe::root_solver()) << "Creating training net specified in net_param.";
    net_ = MakeNet(param_.net_param(), TRAIN, param_.train_state(), "");
  } else {
    const string& file = param_.has_train_net() ? param_.train_net() : param_.net();
    LOG_IF(INFO, Caffe::root_solver()) << "Creating training net from "
                                       << (param_.has_train_net() ? "train_net" : "net") << " file: " << file;
    net_ = MakeNet(NetParameter(), TRAIN, param_.train_state(), file);
  }
}

template <typename Dtype>
void Solver<Dtype>::InitTestNets() {
  vector<NetSource> sources;
  for (const NetParameter& definition : param_.test_net_param()) {
    sources.push_back({&definition, "", "test_net_param"});
  }
  for (const string& file : param_.test_net()) sources.push_back({nullptr, file, "test_net file: " + file});
  // What is left of test_iter is for tests of the net that is trained.
  const size_t num_tests = param_.test_iter_size();
  if (param_.has_net() || param_.has_net_param()) {
    CHECK_GE(num_tests, sources.size()) << "test_iter must be given once for each test net";
    while (sources.size() < num_tests) {
      if (param_.has_net_param()) {
        sources.push_back({&param_.net_param(), "", "net_param"});
      } else {
        sources.push_back({nullptr, param_.net(), "net file: " + param_.net()});
      }
    }
  }
  CHECK_EQ(num_tests, sources.size()) << "test_iter must be given once for each test net";
  if (param_.test_state_size() > 0) {
    CHECK_EQ(param_.test_state_size(), sources.size())
        << "test_state must be given once for each test net, or not at all";
  }
  if (!sources.empty()) {
    CHECK_GT(param_.test_interval(), 0) << "a solver with test nets needs a positive test_interval";
  }
  test_nets_.clear();
  for (size_t i = 0; i < sources.size(); ++i) {
    const NetSource& source = sources[i];
    const NetState state = param_.test_state_size() > 0 ? param_.test_state(static_cast<int>(i)) : NetState();
    LOG_IF(INFO, Caffe::root_solver())
        << "Creating test net (#" << i << ") specified by " << source.description;
    test_nets_.push_back(
        MakeNet(source.definition ? *source.definition : NetParameter(), TEST, state, source.file));
    test_nets_.back()->set_debug_info(param_.debug_info());
  }
}

template <typename Dtype>
void Solver<Dtype>::SetActionFunction(ActionCallback func) {
  action_request_function_ = std::move(func);
}

template <typename Dtype>
SolverAction::Enum Solver<Dtype>::GetRequestedAction() {
  if (!action_request_function_) return SolverAction::NONE;
  asking_ = true;
  const SolverAction::Enum action = action_request_function_();
  asking_ = false;
  return action;
}

template <typename Dtype>
void Solver<Dtype>::remove_callback(Callback* value) {
  callbacks_.erase(std::remove(callbacks_.begin(), callbacks_.end(), value), callbacks_.end());
}

template <typename Dtype>
void Solver<Dtype>::Step(int iters) {
  const int stop_iter = iter_ + iters;
  if (!losses_restored_) losses_.clear();
  losses_restored_ = false;
  smoothed_loss_ = 0;
  iterations_last_ = iter_;
  asking_ = diverged_ = false;
  CHECK(!is_torn_)
      << "the last iteration failed when some of its updates were made: restore a snapshot first";
  if (numerics_) numerics_->Restart();
  iteration_timer_.Start();
  while (iter_ < stop_iter) {
    if (Caffe::root_solver()) {
      start_ = Start{SolverState(), *caffe_rng(), losses_};
      AddLayerStates(true, &start_->data);
    }
    const shared_ptr<void> given = GiveGradients();
    try {
      if (!ComputeGradients()) {
        GoBackToStart();
        break;
      }
    } catch (const std::exception&) {
      SaveAfterFailure();
      GoBackToStart();
      throw;
    } catch (const ThreadInterrupted&) {
      SaveAfterFailure();
      throw;
    }
    RemoveOldSnapshots();
    ApplyUpdate();
    is_torn_ = false;
    ++iter_;
    start_.reset();
    try {
      if (numerics_) numerics_->CheckParameters();
    } catch (const Error&) {
      SaveAfterFailure();
      throw;
    }

    const bool due = param_.snapshot() && (iter_ % param_.snapshot() == 0 || iter_ == retry_iter_);
    if (due && Caffe::root_solver()) TakeDueSnapshot();
    const SolverAction::Enum request = GetRequestedAction();
    if (request == SolverAction::SNAPSHOT && !due && Caffe::root_solver()) TakeDueSnapshot();
    if (request == SolverAction::STOP) {
      requested_early_exit_ = true;
      break;
    }
  }
}

template <typename Dtype>
shared_ptr<void> Solver<Dtype>::GiveGradients() {
  const typename Net<Dtype>::GradientTaker update = EarlyUpdate();
  if (!update) return nullptr;
  net_->GiveGradients([this, update](int param_id, int64_t begin, int64_t count, Dtype* gradient) {
    is_torn_ = true;
    update(param_id, begin, count, gradient);
  });
  return {nullptr, [net = net_](void*) { net->GiveGradients(nullptr); }};
}

template <typename Dtype>
bool Solver<Dtype>::ComputeGradients() {
  net_->ClearParamDiffs();
  const bool test = param_.test_interval() && iter_ % param_.test_interval() == 0 &&
                    (iter_ > 0 || param_.test_initialization());
  if (test && Caffe::root_solver()) TestAll();
  if (requested_early_exit_) return false;

  for (Callback* callback : callbacks_) callback->on_start();
  const bool display = param_.display() && iter_ % param_.display() == 0;
  net_->set_debug_info(display && param_.debug_info());
  Dtype loss = 0;
  for (int i = 0; i < param_.iter_size(); ++i) loss += net_->ForwardBackward();
  loss /= param_.iter_size();
  CheckLoss(loss);
  UpdateSmoothedLoss(loss, 0, param_.average_loss());
  if (display) DisplayTraining();

  for (Callback* callback : callbacks_) callback->on_gradients_ready();
  return true;
}

template <typename Dtype>
void Solver<Dtype>::Solve(const char* resume_file) {
  CHECK(Caffe::root_solver()) << "only the root solver trains by itself";
  if (param_.snapshot_after_train() && param_.has_snapshot_prefix()) CheckSnapshotWritePermissions();
  LOG(INFO) << "Solving " << net_->name();
  LOG(INFO) << "Learning Rate Policy: " << param_.lr_policy();
  requested_early_exit_ = false;
  if (resume_file) {
    LOG(INFO) << "Restoring previous solver status from " << resume_file;
    Restore(resume_file);
  }
  Step(param_.max_iter() - iter_);
  if (param_.snapshot_after_train() && saved_iter_ != iter_) {
    CheckWeights();
    TakeSnapshot("");
  }
  if (requested_early_exit_) {
    RemoveOldSnapshots();
    LOG(INFO) << "Optimization stopped early.";
    return;
  }
  // The last update was not looked at yet: Step displays and tests before each one.
  if (param_.display() && iter_ % param_.display() == 0) {
    Dtype loss;
    net_->Forward(&loss);
    CheckLoss(loss);
    UpdateSmoothedLoss(loss, 0, param_.average_loss());
    LOG(INFO) << "Iteration " << iter_ << ", loss = " << smoothed_loss_;
  }
  RemoveOldSnapshots();
  if (param_.test_interval() && iter_ % param_.test_interval() == 0) TestAll();
  LOG(INFO) << "Optimization Done.";
}

template <typename Dtype>
void Solver<Dtype>::DisplayTraining() {
  const float seconds = iteration_timer_.Seconds();
  const float per_second = (iter_ - iterations_last_) / (seconds > 0 ? seconds : 1);
  LOG_IF(INFO, Caffe::root_solver()) << "Iteration " << iter_ << " (" << per_second << " iter/s, " << seconds
                                     << "s/" << param_.display() << " iters), loss = " << smoothed_loss_;
  iteration_timer_.Start();
  iterations_last_ = iter_;
  LogOutputs("Train", *net_);
}

template <typename Dtype>
void Solver<Dtype>::DisplayOutputBlobs(const int net_id) {
  CHECK(net_id >= 0 && net_id < static_cast<int>(test_nets_.size())) << "there is no test net " << net_id;
  LogOutputs("Test", *test_nets_[net_id]);
}

template <typename Dtype>
void Solver<Dtype>::CheckLoss(Dtype loss) {
  if (std::isfinite(loss)) return;
  if (param_.stop_on_nan() && Caffe::root_solver()) StopDiverged("the loss is " + std::to_string(loss));
  if (broken_loss_reported_) return;
  broken_loss_reported_ = true;
  LOG(WARNING)
      << "The loss is " << loss << " at iteration " << iter_
      << ": training has diverged or the data hold no numbers; it goes on, and this is said once. A lower "
         "base_lr or clip_gradients may help, and stop_on_nan stops.";
}

template <typename Dtype>
void Solver<Dtype>::UpdateSmoothedLoss(Dtype loss, int, int average_loss) {
  if (losses_.size() >= static_cast<size_t>(average_loss)) losses_.erase(losses_.begin());
  losses_.push_back(loss);
  // Summed anew each time: a running sum would never lose a loss that was no number.
  smoothed_loss_ = std::accumulate(losses_.begin(), losses_.end(), Dtype(0)) / losses_.size();
}

template <typename Dtype>
void Solver<Dtype>::TestAll() {
  for (size_t i = 0; i < test_nets_.size() && !requested_early_exit_; ++i) Test(static_cast<int>(i));
}

template <typename Dtype>
void Solver<Dtype>::Test(const int test_net_id) {
  CHECK(Caffe::root_solver()) << "only the root solver tests";
  LOG(INFO) << "Iteration " << iter_ << ", Testing net (#" << test_net_id << ")";
  CHECK(test_net_id >= 0 && test_net_id < static_cast<int>(test_nets_.size()))
      << "there is no test net " << test_net_id;
  Net<Dtype>& test_net = *test_nets_[test_net_id];
  test_net.ShareTrainedLayersWith(net_.get());
  const int num_passes = param_.test_iter(test_net_id);
  double loss_sum = 0;
  vector<double> sums;
  vector<int> blob_ids;
  for (int i = 0; i < num_passes; ++i) {
    for (SolverAction::Enum request = GetRequestedAction(); request != SolverAction::NONE;
         request = GetRequestedAction()) {
      if (request == SolverAction::SNAPSHOT) TakeDueSnapshot();
      if (request == SolverAction::STOP) requested_early_exit_ = true;
    }
    if (requested_early_exit_) {
      LOG(INFO) << "Test interrupted.";
      return;
    }
    Dtype loss;
    const vector<Blob<Dtype>*>& outputs = test_net.Forward(&loss);
    loss_sum += loss;
    size_t index = 0;
    for (size_t j = 0; j < outputs.size(); ++j) {
      const Dtype* values = outputs[j]->cpu_data();
      for (int k = 0; k < outputs[j]->count(); ++k, ++index) {
        if (index == sums.size()) {
          sums.push_back(0);
          blob_ids.push_back(test_net.output_blob_indices()[j]);
        }
        sums[index] += values[k];
      }
    }
  }
  if (param_.test_compute_loss() && num_passes > 0) LOG(INFO) << "Test loss: " << loss_sum / num_passes;
  for (size_t i = 0; i < sums.size(); ++i) {
    LogOutput("Test", static_cast<int>(i), test_net.blob_names()[blob_ids[i]], sums[i] / num_passes,
              test_net.blob_loss_weights()[blob_ids[i]]);
  }
}

INSTANTIATE_CLASS(Solver);

}  // namespace caffe
