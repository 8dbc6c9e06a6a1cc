#ifndef CAFFE_SOLVER_HPP_
#define CAFFE_SOLVER_HPP_

#include <functional>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/benchmark.hpp"

namespace caffe {

/// What a solver is asked to do from outside (by signals, say) while it runs.
namespace SolverAction {
enum Enum {
  NONE = 0,      ///< Go on.
  STOP = 1,      ///< Stop after this iteration; snapshot as after training.
  SNAPSHOT = 2,  ///< Take a snapshot, and go on.
};
}

/// Asked after every iteration of training or testing.
typedef std::function<SolverAction::Enum()> ActionCallback;

/**
 * @brief Trains a net: runs it, hands its gradients to ApplyUpdate, tests, logs and snapshots on the way.
 *
 * Solvers differ in ApplyUpdate and in the state that they save. The mode (CPU, GPU) is the caller's to set
 * before the solver is made: a solver does not act on solver_mode.
 */
template <typename Dtype>
class Solver {
 public:
  /// Builds the training net and the test nets. @throws Error naming field, layer and file.
  explicit Solver(const SolverParameter& param);
  /// Reads the definition from a text file; see ResolvePaths for where the files it names are looked for.
  explicit Solver(const string& param_file);
  virtual ~Solver() = default;

  void Init(const SolverParameter& param);
  void InitTrainNet();
  void InitTestNets();

  /// Asks `func` for actions from now on.
  void SetActionFunction(ActionCallback func);
  const ActionCallback& action_function() const { return action_request_function_; }
  /// What the action function asks for now; NONE without one.
  SolverAction::Enum GetRequestedAction();

  /// Trains up to max_iter, from iteration 0 or from a saved state.
  virtual void Solve(const char* resume_file = nullptr);
  void Solve(const string& resume_file) { Solve(resume_file.c_str()); }

  /// Trains `iters` iterations; fewer if a stop is requested.
  void Step(int iters);

  /// Goes back to a saved state (.solverstate, or .solverstate.h5) with the weights that belong to it. Data
  /// layers that know their place go back to it, and so do the root solver's random numbers; a state of
  /// another program, without these, leaves both as they are.
  /// @throws Error naming the file; the solver's own state is then as before.
  void Restore(const char* resume_file);

  /// Saves weights, then the state that refers to them. Each file appears whole or not at all.
  /// @throws Error naming the file; snapshots that exist stay as they are.
  void Snapshot();

  /// What Snapshot saves beside the weights, for another solver of the same definition to go on from.
  virtual void GetState(SolverState* state) const;
  /// @throws Error where the state is of another definition; the solver's own is then as before.
  virtual void SetState(const SolverState& state);

  const SolverParameter& param() const { return param_; }
  shared_ptr<Net<Dtype>> net() { return net_; }
  const vector<shared_ptr<Net<Dtype>>>& test_nets() { return test_nets_; }
  /// Number of updates made.
  int iter() const { return iter_; }

  /// Called in each iteration: before the first pass, and when the gradients of all passes are there.
  class Callback {
   public:
    virtual ~Callback() = default;

   protected:
    virtual void on_start() = 0;
    virtual void on_gradients_ready() = 0;

    template <typename T>
    friend class Solver;
  };
  const vector<Callback*>& callbacks() const { return callbacks_; }
  void add_callback(Callback* value) { callbacks_.push_back(value); }
  void remove_callback(Callback* value);

  /// Makes sure that a file can be made where snapshots go. @throws Error naming the folder.
  void CheckSnapshotWritePermissions();

  virtual const char* type() const { return ""; }

  /// Changes the weights by the gradients. Does not count iterations: Step does.
  virtual void ApplyUpdate() = 0;

 protected:
  /// PREFIX_iter_N followed by the extension.
  string SnapshotFilename(const string& extension);
  /// Save the weights and return the name of the file.
  string SnapshotToBinaryProto();
  string SnapshotToHDF5();

  /// Runs and reports all test nets, or one.
  void TestAll();
  void Test(const int test_net_id = 0);
  /// Logs the outputs of a test net as its last pass left them. @throws Error where there is no such net.
  void DisplayOutputBlobs(const int net_id);

  virtual void SnapshotSolverState(const string& model_filename) = 0;
  virtual void RestoreSolverStateFromHDF5(const string& state_file) = 0;
  virtual void RestoreSolverStateFromBinaryProto(const string& state_file) = 0;

  /// Adds to a state the places that the data layers of all nets have come to, and the random numbers.
  void SaveDataStates(SolverState* state) const;
  void RestoreDataStates(const SolverState& state);

  /// Makes smoothed_loss_ the mean of the last average_loss losses.
  void UpdateSmoothedLoss(Dtype loss, int start_iter, int average_loss);

  SolverParameter param_;
  int iter_ = 0;
  /// Number of `multistep` values passed, or of steps for `step`.
  int current_step_ = 0;
  shared_ptr<Net<Dtype>> net_;
  vector<shared_ptr<Net<Dtype>>> test_nets_;
  vector<Callback*> callbacks_;
  vector<Dtype> losses_;
  Dtype smoothed_loss_ = 0;
  ActionCallback action_request_function_;
  bool requested_early_exit_ = false;
  Timer iteration_timer_;
  float iterations_last_ = 0;

 private:
  shared_ptr<Net<Dtype>> MakeNet(NetParameter net_param, Phase phase, const NetState& state,
                                 const string& file);
  void DisplayTraining();
  /// A loss that is no number means that training has failed; the log says so once.
  void WarnOfBrokenLoss(Dtype loss);

  bool broken_loss_reported_ = false;

  /// Net 0 is the training net, net i + 1 test net i.
  const Net<Dtype>& NetOfState(size_t number) const { return number ? *test_nets_[number - 1] : *net_; }

  DISABLE_COPY_AND_ASSIGN(Solver);
};

}  // namespace caffe

#endif  // CAFFE_SOLVER_HPP_
