#ifndef CAFFE_UTIL_GRADIENT_EXCHANGE_HPP_
#define CAFFE_UTIL_GRADIENT_EXCHANGE_HPP_

#include <cstddef>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/solver.hpp"
#include "caffe/util/param_layout.hpp"

namespace caffe {

/**
 * @brief One solver's part in data-parallel training: before each update its gradients become the average of
 * those of all solvers.
 *
 * Where it is a callback of the net's backward pass, too (layer_wise_reduce), the gradients of the last
 * layers travel while those of earlier ones are computed; else all travel when all are there. With iter_size
 * they travel in the last pass, when those of all passes are added up. How they travel is for derived
 * classes.
 */
template <typename Dtype>
class GradientExchange : public Solver<Dtype>::Callback, public Net<Dtype>::Callback {
 public:
  /// Gives all solvers the parameters of solver 0. All call it.
  virtual void Broadcast() = 0;

 protected:
  /// Gradients travel in parts of at least so many elements; smaller ones would take the time of starting
  /// them.
  GradientExchange(Solver<Dtype>* solver, const ParamLayout& layout, size_t least_part);

  void on_start() override;
  /// Called after a layer's backward pass.
  void run(int layer) override;
  void on_gradients_ready() override;

  /// Starts to average the gradients of the parameters in [first, end), which are complete here. All solvers
  /// start the same parts in the same order.
  virtual void Send(int first, int end) = 0;
  /// Waits until all that was started is done.
  virtual void Finish() = 0;

 private:
  void SendFrom(int first);

  Solver<Dtype>* const exchanging_;
  const int num_params_;
  /// See ParamLayout::FirstToSend.
  const vector<int> first_to_send_;
  /// Parameters below this one wait for their gradients to be sent.
  int sent_from_ = 0;
  /// Of the present iteration.
  int passes_left_ = 0;

  DISABLE_COPY_AND_ASSIGN(GradientExchange);
};

/// Makes an exchange a callback of its solver and, for layer_wise_reduce, of the net, for as long as it
/// lives.
template <typename Dtype>
class AttachedExchange {
 public:
  AttachedExchange(GradientExchange<Dtype>* exchange, Solver<Dtype>* solver)
      : exchange_(exchange), solver_(solver) {
    solver_->add_callback(exchange_);
    if (solver_->param().layer_wise_reduce()) solver_->net()->add_after_backward(exchange_);
  }
  ~AttachedExchange() {
    solver_->remove_callback(exchange_);
    solver_->net()->remove_after_backward(exchange_);
  }

 private:
  GradientExchange<Dtype>* const exchange_;
  Solver<Dtype>* const solver_;

  DISABLE_COPY_AND_ASSIGN(AttachedExchange);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_GRADIENT_EXCHANGE_HPP_
