#ifndef CAFFE_UTIL_NUMERICS_CHECK_HPP_
#define CAFFE_UTIL_NUMERICS_CHECK_HPP_

#include <string>

#include "caffe/blob.hpp"
#include "caffe/net.hpp"

namespace caffe {

/// Whether all values are finite numbers.
template <typename Dtype>
bool IsFinite(const Blob<Dtype>& blob);

/**
 * @brief Looks at every value of a net as soon as it is there, and throws at the first that is an infinity or
 * no number.
 *
 * These are the tops of a layer after its forward pass, and the gradients of its bottoms and parameters after
 * its backward pass; errors name the layer, the blob, the value's place, and whether the layer's parameters
 * hold such a value, too. The net knows the check by its address: it must live as long as the net.
 */
template <typename Dtype>
class NumericsCheck {
 public:
  /// @param net gets callbacks.
  explicit NumericsCheck(Net<Dtype>* net);

  bool enabled() const { return enabled_; }
  void set_enabled(bool enabled) { enabled_ = enabled; }

  /// Looks at the parameters. @throws Error naming layer and parameter.
  void CheckParameters();

  /// Whether such a value was found since the last Restart.
  bool found() const { return found_; }
  void Restart() { found_ = false; }

 private:
  class Callback : public Net<Dtype>::Callback {
   public:
    Callback(NumericsCheck* check, void (NumericsCheck::*look)(int)) : check_(check), look_(look) {}

   protected:
    void run(int layer) override {
      if (check_->enabled_) (check_->*look_)(layer);
    }

   private:
    NumericsCheck* check_;
    void (NumericsCheck::*look_)(int);
  };

  void LookForward(int layer);
  void LookBackward(int layer);
  [[noreturn]] void Fail(int layer, const string& message);
  /// Which parameters of a layer hold such a value, as a clause; empty where none does.
  string BrokenParameters(int layer) const;

  Net<Dtype>* net_;
  bool enabled_ = true;
  bool found_ = false;
  Callback after_forward_;
  Callback after_backward_;

  DISABLE_COPY_AND_ASSIGN(NumericsCheck);
};

}  // namespace caffe

#endif  // CAFFE_UTIL_NUMERICS_CHECK_HPP_
