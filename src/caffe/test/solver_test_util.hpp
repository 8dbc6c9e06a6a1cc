#ifndef CAFFE_TEST_SOLVER_TEST_UTIL_HPP_
#define CAFFE_TEST_SOLVER_TEST_UTIL_HPP_

#include <memory>
#include <string>
#include <vector>

#include "caffe/sgd_solvers.hpp"
#include "net_test_util.hpp"

namespace caffe {

/// A linear regression y = x W' + b of `batch` items, 3 values to 2, with multipliers as convolutions have
/// them.
inline string RegressionNet(int batch) {
  const string n = std::to_string(batch);
  return R"(name: 'regression'
    layer { name: 'data' type: 'Input' top: 'x' top: 'y'
            input_param { shape { dim: )" +
         n + R"( dim: 3 } shape { dim: )" + n + R"( dim: 2 } } }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'ip'
            param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
            inner_product_param { num_output: 2 weight_filler { type: 'gaussian' std: 0.5 }
                                  bias_filler { value: 0.25 } } }
    layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'y' top: 'loss' })";
}

/// Item i of an endless data set: 3 values and 2 targets, all in [-1, 1).
inline double RegressionValue(int item, int index) {
  const int scrambled = (item * 5 + index + 1) * 7919 % 1009;
  return scrambled / 504.5 - 1;
}

/// Feeds a RegressionNet the next items before each forward pass.
template <typename Dtype>
class RegressionFeeder : public Net<Dtype>::Callback {
 public:
  RegressionFeeder(Net<Dtype>* net, int first_item) : net_(net), item_(first_item) {
    net->add_before_forward(this);
  }

 protected:
  void run(int layer) override {
    if (layer != 0) return;
    Dtype* x = net_->input_blobs()[0]->mutable_cpu_data();
    Dtype* y = net_->input_blobs()[1]->mutable_cpu_data();
    for (int n = 0; n < net_->input_blobs()[0]->num(); ++n, ++item_) {
      for (int k = 0; k < 3; ++k) *x++ = RegressionValue(item_, k);
      for (int k = 3; k < 5; ++k) *y++ = RegressionValue(item_, k);
    }
  }

 private:
  Net<Dtype>* net_;
  int item_;
};

template <typename Dtype>
std::unique_ptr<SGDSolver<Dtype>> MakeSolver(const SolverParameter& param) {
  return std::unique_ptr<SGDSolver<Dtype>>(
      static_cast<SGDSolver<Dtype>*>(SolverRegistry<Dtype>::CreateSolver(param)));
}

template <typename Dtype>
std::unique_ptr<SGDSolver<Dtype>> MakeSolver(const string& text) {
  return MakeSolver<Dtype>(FromText<SolverParameter>(text));
}

/// All parameters, one after the other.
template <typename Dtype>
vector<Dtype> AllWeights(Solver<Dtype>* solver) {
  vector<Dtype> weights;
  for (const Blob<Dtype>* param : solver->net()->learnable_params()) {
    weights.insert(weights.end(), param->cpu_data(), param->cpu_data() + param->count());
  }
  return weights;
}

}  // namespace caffe

#endif  // CAFFE_TEST_SOLVER_TEST_UTIL_HPP_
