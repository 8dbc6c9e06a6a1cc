#ifndef CAFFE_SGD_SOLVERS_HPP_
#define CAFFE_SGD_SOLVERS_HPP_

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "caffe/solver.hpp"
#include "caffe/util/update_rules.hpp"

namespace caffe {

/**
 * @brief Stochastic gradient descent with momentum m, and the base of the other solvers:
 *        h = m h + r g, w = w - h.
 *
 * In all solvers w are weights, h the state kept for each, g the gradient (clipped, divided by iter_size,
 * with the penalty's added), and r the learning rate of the iteration times the parameter's lr_mult. The
 * solvers of this header go through the memory of a parameter once for a step. Those derived elsewhere may
 * override Normalize, Regularize and ComputeUpdateValue, called one after another for each parameter; the
 * last puts the update, later subtracted from the weights, in place of g.
 */
template <typename Dtype>
class SGDSolver : public Solver<Dtype> {
 public:
  explicit SGDSolver(const SolverParameter& param);
  explicit SGDSolver(const string& param_file);
  const char* type() const override { return "SGD"; }

  /// h: for each learnable parameter a blob of its shape, and where there are two such rows the second after
  /// the first.
  const vector<shared_ptr<Blob<Dtype>>>& history() { return history_; }

  void ApplyUpdate() override;
  void GetState(SolverState* state) const override;
  void SetState(const SolverState& state) override;
  /// The rate of the present iteration by lr_policy (see caffe.proto). @throws Error for an unknown policy.
  Dtype GetLearningRate();

 protected:
  typename Net<Dtype>::GradientTaker EarlyUpdate() override;
  void PreSolve();
  virtual void Normalize(int param_id);
  virtual void Regularize(int param_id);
  virtual void ComputeUpdateValue(int param_id, Dtype rate) { ApplyRule(param_id, Rule(param_id, rate)); }
  virtual void ClipGradients();
  void SnapshotSolverState(const string& model_filename) override;
  virtual void SnapshotSolverStateToBinaryProto(const string& model_filename);
  virtual void SnapshotSolverStateToHDF5(const string& model_filename);
  void RestoreSolverStateFromHDF5(const string& state_file) override;
  void RestoreSolverStateFromBinaryProto(const string& state_file) override;

  /// Adds a row of blobs to history_, one for each learnable parameter.
  void AddHistory();
  /// What this type of solver does to a parameter at the present iteration.
  virtual UpdateRule<Dtype> Rule(int param_id, Dtype rate) const;
  /// Puts the update in place of the parameter's gradient.
  void ApplyRule(int param_id, const UpdateRule<Dtype>& rule);
  /// The learning rate of one parameter.
  Dtype LocalRate(int param_id, Dtype rate) const { return rate * this->net_->params_lr()[param_id]; }

  vector<shared_ptr<Blob<Dtype>>> history_;
  /// Scratch of the parameters' shapes for derived solvers; takes no memory until it is touched.
  vector<shared_ptr<Blob<Dtype>>> update_;
  vector<shared_ptr<Blob<Dtype>>> temp_;

 private:
  /// Whether this is a solver of this header, and not one that may do parts of a step in its own way.
  bool IsBuiltIn() const;
  /// What Normalize, Regularize, ComputeUpdateValue and Blob::Update do, at once: with all parameters whose
  /// gradients are kept, or by the gradient of elements [begin, begin + count) of one.
  void TakeWholeSteps(Dtype rate);
  void TakeWholeStep(int param_id, Dtype rate, int64_t begin, int64_t count, Dtype* gradient);
  /// That step, a ParamStep by a rule of the type `RuleType`; and the states that the rule takes.
  template <typename RuleType>
  auto WholeStepOf(int param_id, const RuleType& rule) const;
  template <typename RuleType>
  std::array<Blob<Dtype>*, RuleType::kStates> StatesOf(int param_id) const;
  /// @throws Error where a parameter is not of the shape any more that the solver was made for.
  void CheckShapes() const;
  /// The strength of a penalty of this kind, "L1" or "L2", for a parameter.
  Dtype Decay(int param_id, const char* kind) const;

  /// Takes over a state and the weights in the file that it names, if any, whole or not at all;
  /// `read_history` fills history blob i.
  void RestoreState(const SolverState& state,
                    const std::function<void(int i, Blob<Dtype>* blob)>& read_history);

  DISABLE_COPY_AND_ASSIGN(SGDSolver);
};

/// Nesterov's accelerated gradient: h' = m h + r g, w = w - ((1 + m) h' - m h) (Sutskever et al. 2013).
template <typename Dtype>
class NesterovSolver : public SGDSolver<Dtype> {
 public:
  explicit NesterovSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {}
  explicit NesterovSolver(const string& param_file) : SGDSolver<Dtype>(param_file) {}
  const char* type() const override { return "Nesterov"; }

 protected:
  void ComputeUpdateValue(int param_id, Dtype rate) override {
    this->ApplyRule(param_id, this->Rule(param_id, rate));
  }
  UpdateRule<Dtype> Rule(int param_id, Dtype rate) const override;

  DISABLE_COPY_AND_ASSIGN(NesterovSolver);
};

/// h = h + g^2, w = w - r g / (sqrt(h) + delta) (Duchi et al. 2011).
template <typename Dtype>
class AdaGradSolver : public SGDSolver<Dtype> {
 public:
  explicit AdaGradSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {
    constructor_sanity_check();
  }
  explicit AdaGradSolver(const string& param_file) : SGDSolver<Dtype>(param_file) {
    constructor_sanity_check();
  }
  const char* type() const override { return "AdaGrad"; }

 protected:
  void ComputeUpdateValue(int param_id, Dtype rate) override {
    this->ApplyRule(param_id, this->Rule(param_id, rate));
  }
  UpdateRule<Dtype> Rule(int param_id, Dtype rate) const override;
  void constructor_sanity_check() {
    CHECK_EQ(this->param_.momentum(), 0) << "Momentum cannot be used with AdaGrad.";
  }

  DISABLE_COPY_AND_ASSIGN(AdaGradSolver);
};

/// h = d h + (1 - d) g^2, w = w - r g / (sqrt(h) + delta), d = rms_decay (Tieleman and Hinton 2012).
template <typename Dtype>
class RMSPropSolver : public SGDSolver<Dtype> {
 public:
  explicit RMSPropSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {
    constructor_sanity_check();
  }
  explicit RMSPropSolver(const string& param_file) : SGDSolver<Dtype>(param_file) {
    constructor_sanity_check();
  }
  const char* type() const override { return "RMSProp"; }

 protected:
  void ComputeUpdateValue(int param_id, Dtype rate) override {
    this->ApplyRule(param_id, this->Rule(param_id, rate));
  }
  UpdateRule<Dtype> Rule(int param_id, Dtype rate) const override;
  void constructor_sanity_check() {
    CHECK_EQ(this->param_.momentum(), 0) << "Momentum cannot be used with RMSProp.";
    CHECK_GE(this->param_.rms_decay(), 0) << "rms_decay should lie between 0 and 1.";
    CHECK_LT(this->param_.rms_decay(), 1) << "rms_decay should lie between 0 and 1.";
  }

  DISABLE_COPY_AND_ASSIGN(RMSPropSolver);
};

/// h = m h + (1 - m) g^2, s = g sqrt((u + delta) / (h + delta)), u = m u + (1 - m) s^2, w = w - r s (Zeiler
/// 2012); the rows of history are h and u.
template <typename Dtype>
class AdaDeltaSolver : public SGDSolver<Dtype> {
 public:
  explicit AdaDeltaSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) { AdaDeltaPreSolve(); }
  explicit AdaDeltaSolver(const string& param_file) : SGDSolver<Dtype>(param_file) { AdaDeltaPreSolve(); }
  const char* type() const override { return "AdaDelta"; }

 protected:
  void AdaDeltaPreSolve();
  void ComputeUpdateValue(int param_id, Dtype rate) override {
    this->ApplyRule(param_id, this->Rule(param_id, rate));
  }
  UpdateRule<Dtype> Rule(int param_id, Dtype rate) const override;

  DISABLE_COPY_AND_ASSIGN(AdaDeltaSolver);
};

/// a = b1 a + (1 - b1) g, v = b2 v + (1 - b2) g^2, w = w - r sqrt(1 - b2^t) / (1 - b1^t) a / (sqrt(v) +
/// delta) at update t = 1, 2, ..., with b1 = momentum, b2 = momentum2 (Kingma and Ba 2015); the rows of
/// history are a, v.
template <typename Dtype>
class AdamSolver : public SGDSolver<Dtype> {
 public:
  explicit AdamSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) { AdamPreSolve(); }
  explicit AdamSolver(const string& param_file) : SGDSolver<Dtype>(param_file) { AdamPreSolve(); }
  const char* type() const override { return "Adam"; }

 protected:
  void AdamPreSolve();
  void ComputeUpdateValue(int param_id, Dtype rate) override {
    this->ApplyRule(param_id, this->Rule(param_id, rate));
  }
  UpdateRule<Dtype> Rule(int param_id, Dtype rate) const override;

  DISABLE_COPY_AND_ASSIGN(AdamSolver);
};

}  // namespace caffe

#endif  // CAFFE_SGD_SOLVERS_HPP_
