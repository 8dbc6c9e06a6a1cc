#ifndef CAFFE_SOLVER_HPP_
#define CAFFE_SOLVER_HPP_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

// Code written for Caffe says boost::function after this header.
#if __has_include(<boost/function.hpp>)
#include <boost/function.hpp>
#endif

#include "caffe/net.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/benchmark.hpp"
#include "caffe/util/numerics_check.hpp"
#include "caffe/util/rng.hpp"

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

  /**
   * @brief Trains `iters` iterations; fewer if a stop is requested.
   *
   * Where a pass fails (a data source has vanished, say) and the solver takes snapshots, one is taken before
   * the error is thrown on. Data layers that know their place go back to the start of the iteration that
   * failed: a run that resumes, or another Step, begins with it. A snapshot that is due and fails (the disk
   * is full) is an error of the log, and is tried again a tenth of the interval later; one at the end of
   * Solve throws.
   *
   * @throws Error, with stop_on_nan, where the loss is no finite number. The state is saved before, as
   * PREFIX_nan_iter_N. Where memory is reused (Net::set_reuses_memory), gradients of inner products' weights
   * may go into these as soon as they are computed and not be kept; if then Backward fails, neither is a
   * snapshot taken nor can another Step begin before a state is restored.
   */
  void Step(int iters);

  /// Goes back to a saved state (.solverstate, or .solverstate.h5) with the weights that belong to it. Data
  /// layers that know their place go back to it, and so do the root solver's random numbers and the losses
  /// whose mean is displayed; a state of another program, without these, leaves them as they are.
  /// @throws Error naming the file; the solver's own state is then as before.
  void Restore(const char* resume_file);

  /// Restores the newest whole snapshot of snapshot_prefix; see NewestSnapshot. @return its file, or "" where
  /// there is none and nothing is changed.
  string RestoreLatest();

  /// Saves weights, then the state that refers to them. Each file appears whole or not at all. With
  /// snapshot_keep, older ones of this run are then deleted. In the middle of an iteration (from a callback,
  /// or while it is tested) it is the state at the start of the iteration that is saved.
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
  /// What updates some parameters in Backward already (Net::GiveGradients), for ApplyUpdate to leave out;
  /// null where an update needs all gradients at once, or somebody may look at them.
  virtual typename Net<Dtype>::GradientTaker EarlyUpdate() { return nullptr; }
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

  /// Adds to a state what all solvers have: the places that the data layers of all nets have come to, the
  /// random numbers, the last losses, and what belongs to the snapshot that is being taken.
  void SaveDataStates(SolverState* state) const;
  void RestoreDataStates(const SolverState& state);

  /// Makes smoothed_loss_ the mean of the last average_loss losses, the newest of which is `loss`.
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
  /// What is at the start of an iteration and not at its end.
  struct Start {
    SolverState data;
    rng_t random;
    vector<Dtype> losses;
  };

  shared_ptr<Net<Dtype>> MakeNet(NetParameter net_param, Phase phase, const NetState& state,
                                 const string& file);
  void DisplayTraining();
  /// A loss that is no finite number means that training has failed; the log says so once. With stop_on_nan
  /// the state is saved and an Error thrown.
  void CheckLoss(Dtype loss);
  /// The passes of an iteration, with tests; the gradients are ready then. False where a stop was requested.
  bool ComputeGradients();

  /// Net 0 is the training net, net i + 1 test net i.
  const Net<Dtype>& NetOfState(size_t number) const { return number ? *test_nets_[number - 1] : *net_; }
  /// Adds the states of all layers without bottoms, or of all others.
  void AddLayerStates(bool without_bottoms, SolverState* state) const;
  /// Takes a snapshot PREFIX_iter_N, or with a kind PREFIX_KIND_iter_N, and returns the name of its state.
  string TakeSnapshot(const string& kind);
  /// Takes the one that is due; throws for weights that stop_on_nan does not allow.
  void TakeDueSnapshot();
  /// For weights that stop_on_nan does not allow. @throws Error.
  void CheckWeights();
  /// Sets data layers that have moved, and the random numbers, back to the start of the iteration that is not
  /// to be completed, so that another Step begins with it.
  void GoBackToStart();
  /// Saves the state as PREFIX_nan_iter_N, and deletes that of the same iteration that looks good. Returns a
  /// clause that says where it is, or why it is nowhere.
  string SaveBroken();
  /// Has net_ give gradients to EarlyUpdate for as long as what is returned lives.
  [[nodiscard]] shared_ptr<void> GiveGradients();
  /// Saves what can be saved of an iteration that has failed.
  void SaveAfterFailure();
  [[noreturn]] void StopDiverged(const string& what);
  /// What snapshot_format adds to the names of snapshots.
  string Ending() const;
  /// Deletes the run's snapshots beyond the snapshot_keep newest.
  void RemoveOldSnapshots();
  bool WeightsAreFinite() const;

  bool broken_loss_reported_ = false;
  /// Of the training net, with check_numerics; the net keeps it.
  NumericsCheck<Dtype>* numerics_ = nullptr;
  /// Set while an iteration is on its way.
  std::optional<Start> start_;
  /// Whether losses_ come from a state, and are to be continued by the next Step.
  bool losses_restored_ = false;
  /// Whether the action function is being asked, whose exceptions are no failures of training.
  bool asking_ = false;
  bool diverged_ = false;
  /// Whether some parameters have an update that others lack.
  bool is_torn_ = false;

  /// The iteration that the newest snapshot PREFIX_iter_N is of, and when to try one again that failed.
  int saved_iter_ = -1;
  int retry_iter_ = -1;
  /// Iterations of this run's snapshots, the oldest first, and of the last whose weights are no numbers.
  vector<int> kept_;
  int broken_iter_ = -1;
  /// Of the newest snapshot, or the one that is being taken.
  int64_t saved_at_ = 0;
  uint32_t weights_checksum_ = 0;
  bool weights_finite_ = true;
  string snapshot_kind_;

  DISABLE_COPY_AND_ASSIGN(Solver);
};

}  // namespace caffe

#endif  // CAFFE_SOLVER_HPP_
