#include "caffe/sgd_solvers.hpp"

#include <algorithm>
#include <cmath>
#include <typeinfo>

#include "caffe/util/nearest_names.hpp"
#include "take_steps.hpp"

namespace caffe {

namespace {

const vector<string>& LearningRatePolicies() {
  static const vector<string> policies = {"fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid"};
  return policies;
}

void CheckKnown(const string& field, const string& value, const vector<string>& known) {
  if (std::find(known.begin(), known.end(), value) == known.end())
    throw Error(UnknownName(field, value, known));
}

}  // namespace

template <typename Dtype>
SGDSolver<Dtype>::SGDSolver(const SolverParameter& param) : Solver<Dtype>(param) {
  PreSolve();
}

template <typename Dtype>
SGDSolver<Dtype>::SGDSolver(const string& param_file) : Solver<Dtype>(param_file) {
  PreSolve();
}

template <typename Dtype>
void SGDSolver<Dtype>::PreSolve() {
  // A misspelling shows now and not after the first test, which may take long.
  if (this->param_.has_lr_policy()) CheckKnown("lr_policy", this->param_.lr_policy(), LearningRatePolicies());
  CheckKnown("regularization_type", this->param_.regularization_type(), {"L1", "L2"});
  history_.clear();
  update_.clear();
  temp_.clear();
  AddHistory();
  for (const Blob<Dtype>* param : this->net_->learnable_params()) {
    update_.push_back(std::make_shared<Blob<Dtype>>(param->shape()));
    temp_.push_back(std::make_shared<Blob<Dtype>>(param->shape()));
  }
}

template <typename Dtype>
void SGDSolver<Dtype>::AddHistory() {
  for (const Blob<Dtype>* param : this->net_->learnable_params()) {
    history_.push_back(std::make_shared<Blob<Dtype>>(param->shape()));
  }
}

template <typename Dtype>
Dtype SGDSolver<Dtype>::GetLearningRate() {
  const SolverParameter& param = this->param_;
  const string& policy = param.lr_policy();
  const double base_lr = param.base_lr();
  const double gamma = param.gamma();
  const double iter = this->iter_;
  CHECK(param.has_lr_policy()) << "the solver has no lr_policy; 'fixed' keeps base_lr throughout";
  CheckKnown("lr_policy", policy, LearningRatePolicies());
  if (policy == "step") {
    CHECK_GT(param.stepsize(), 0) << "lr_policy 'step' needs a positive stepsize";
    this->current_step_ = this->iter_ / param.stepsize();
    return base_lr * std::pow(gamma, this->current_step_);
  }
  if (policy == "exp") return base_lr * std::pow(gamma, iter);
  if (policy == "inv") return base_lr * std::pow(1 + gamma * iter, -static_cast<double>(param.power()));
  if (policy == "multistep") {
    while (this->current_step_ < param.stepvalue_size() &&
           this->iter_ >= param.stepvalue(this->current_step_)) {
      ++this->current_step_;
      LOG_IF(INFO, Caffe::root_solver())
          << "MultiStep Status: Iteration " << this->iter_ << ", step = " << this->current_step_;
    }
    return base_lr * std::pow(gamma, this->current_step_);
  }
  if (policy == "poly") {
    CHECK_GT(param.max_iter(), 0) << "lr_policy 'poly' needs a positive max_iter";
    // Beyond max_iter the formula would turn negative or into no number.
    return base_lr * std::pow(std::max(1 - iter / param.max_iter(), 0.0), static_cast<double>(param.power()));
  }
  if (policy == "sigmoid") return base_lr / (1 + std::exp(-gamma * (iter - param.stepsize())));
  return base_lr;
}

template <typename Dtype>
void SGDSolver<Dtype>::ApplyUpdate() {
  const Dtype rate = GetLearningRate();
  if (this->param_.display() && this->iter_ % this->param_.display() == 0) {
    LOG_IF(INFO, Caffe::root_solver()) << "Iteration " << this->iter_ << ", lr = " << rate;
  }
  CheckShapes();
  ClipGradients();
  if (IsBuiltIn()) {
    TakeWholeSteps(rate);
    this->net_->ShowUpdate();
    return;
  }
  const int num_params = static_cast<int>(this->net_->learnable_params().size());
  for (int param_id = 0; param_id < num_params; ++param_id) {
    Normalize(param_id);
    Regularize(param_id);
    ComputeUpdateValue(param_id, rate);
  }
  this->net_->Update();
}

template <typename Dtype>
void SGDSolver<Dtype>::CheckShapes() const {
  for (size_t param_id = 0; param_id < this->net_->learnable_params().size(); ++param_id) {
    const Blob<Dtype>& param = *this->net_->learnable_params()[param_id];
    LOG_IF(FATAL, param.count() != history_[param_id]->count())
        << "learnable parameter " << param_id << " now has the shape " << param.shape_string()
        << ", but this solver was made for " << history_[param_id]->shape_string() << "; make a new solver";
  }
}

// Not where weights must stay what they are until the loss, all gradients, or all that others have computed,
// have been looked at.
template <typename Dtype>
typename Net<Dtype>::GradientTaker SGDSolver<Dtype>::EarlyUpdate() {
  const SolverParameter& param = this->param_;
  if (!IsBuiltIn() || param.iter_size() != 1 || param.clip_gradients() >= 0 || param.stop_on_nan() ||
      param.check_numerics() || param.debug_info() || param.snapshot_diff() || !this->callbacks_.empty()) {
    return nullptr;
  }
  CheckShapes();
  const Dtype rate = GetLearningRate();
  return [this, rate](int param_id, int64_t begin, int64_t count, Dtype* gradient) {
    TakeWholeStep(param_id, rate, begin, count, gradient);
  };
}

template <typename Dtype>
bool SGDSolver<Dtype>::IsBuiltIn() const {
  const std::type_info& type = typeid(*this);
  return type == typeid(SGDSolver) || type == typeid(NesterovSolver<Dtype>) ||
         type == typeid(AdaGradSolver<Dtype>) || type == typeid(RMSPropSolver<Dtype>) ||
         type == typeid(AdaDeltaSolver<Dtype>) || type == typeid(AdamSolver<Dtype>);
}

template <typename Dtype>
template <typename RuleType>
std::array<Blob<Dtype>*, RuleType::kStates> SGDSolver<Dtype>::StatesOf(int param_id) const {
  const size_t row = this->net_->learnable_params().size();
  std::array<Blob<Dtype>*, RuleType::kStates> states;
  for (int k = 0; k < RuleType::kStates; ++k) states[k] = history_[k * row + param_id].get();
  return states;
}

template <typename Dtype>
template <typename RuleType>
auto SGDSolver<Dtype>::WholeStepOf(int param_id, const RuleType& rule) const {
  using Step = WholeStep<Dtype, RuleType>;
  const Dtype scale = Dtype(1) / this->param_.iter_size();
  const Step step = {scale, {Decay(param_id, "L1")}, {Decay(param_id, "L2")}, rule};
  return ParamStep<Dtype, Step>{step, this->net_->learnable_params()[param_id], StatesOf<RuleType>(param_id)};
}

template <typename Dtype>
void SGDSolver<Dtype>::TakeWholeSteps(Dtype rate) {
  const int num_params = static_cast<int>(this->net_->learnable_params().size());
  if (num_params == 0) return;
  // The rules of all parameters are of one type.
  std::visit(
      [&](const auto& first) {
        using RuleType = std::decay_t<decltype(first)>;
        vector<ParamStep<Dtype, WholeStep<Dtype, RuleType>>> steps;
        for (int param_id = 0; param_id < num_params; ++param_id) {
          if (this->net_->gives_gradient(param_id)) continue;
          steps.push_back(WholeStepOf(param_id, std::get<RuleType>(Rule(param_id, rate))));
        }
        TakeSteps(steps);
      },
      Rule(0, rate));
}

template <typename Dtype>
void SGDSolver<Dtype>::TakeWholeStep(int param_id, Dtype rate, int64_t begin, int64_t count,
                                     Dtype* gradient) {
  std::visit([&](const auto& rule) { TakePartOfStep(WholeStepOf(param_id, rule), begin, count, gradient); },
             Rule(param_id, rate));
}

template <typename Dtype>
void SGDSolver<Dtype>::ApplyRule(int param_id, const UpdateRule<Dtype>& rule) {
  std::visit(
      [&](const auto& known) {
        using RuleType = std::decay_t<decltype(known)>;
        TakeSteps<Dtype, RuleStep<RuleType>>(
            {{{known}, this->net_->learnable_params()[param_id], StatesOf<RuleType>(param_id)}});
      },
      rule);
}

template <typename Dtype>
Dtype SGDSolver<Dtype>::Decay(int param_id, const char* kind) const {
  if (this->param_.regularization_type() != kind) return 0;
  return this->param_.weight_decay() * this->net_->params_weight_decay()[param_id];
}

template <typename Dtype>
void SGDSolver<Dtype>::ClipGradients() {
  const Dtype limit = this->param_.clip_gradients();
  if (limit < 0) return;
  Dtype sumsq = 0;
  for (const Blob<Dtype>* param : this->net_->learnable_params()) sumsq += param->sumsq_diff();
  const Dtype norm = std::sqrt(sumsq);
  if (!(norm > limit)) return;
  const Dtype factor = limit / norm;
  LOG_IF(INFO, Caffe::root_solver()) << "Gradient clipping: scaling down gradients (L2 norm " << norm << " > "
                                     << limit << ") by scale factor " << factor;
  for (Blob<Dtype>* param : this->net_->learnable_params()) param->scale_diff(factor);
}

template <typename Dtype>
void SGDSolver<Dtype>::Normalize(int param_id) {
  const int iter_size = this->param_.iter_size();
  if (iter_size == 1) return;
  this->net_->learnable_params()[param_id]->scale_diff(Dtype(1) / iter_size);
}

template <typename Dtype>
void SGDSolver<Dtype>::Regularize(int param_id) {
  Blob<Dtype>* param = this->net_->learnable_params()[param_id];
  const L1Penalty<Dtype> l1 = {Decay(param_id, "L1")};
  const L2Penalty<Dtype> l2 = {Decay(param_id, "L2")};
  if (l1.decay != 0) TakeSteps<Dtype, PenaltyStep<L1Penalty<Dtype>>>({{{l1}, param, {}}});
  if (l2.decay != 0) TakeSteps<Dtype, PenaltyStep<L2Penalty<Dtype>>>({{{l2}, param, {}}});
}

template <typename Dtype>
UpdateRule<Dtype> SGDSolver<Dtype>::Rule(int param_id, Dtype rate) const {
  const Dtype momentum = this->param_.momentum();
  return SgdRule<Dtype>{LocalRate(param_id, rate), momentum};
}

INSTANTIATE_CLASS(SGDSolver);
REGISTER_SOLVER_CLASS(SGD);

}  // namespace caffe
