#ifndef CAFFE_UTIL_PARAM_LAYOUT_HPP_
#define CAFFE_UTIL_PARAM_LAYOUT_HPP_

#include <cstddef>
#include <vector>

#include "caffe/net.hpp"

namespace caffe {

/**
 * @brief Where a net's learnable parameters lie in one array, one after the other.
 *
 * Each starts at a multiple of kAlignment bytes, as memory of its own would, for the vector loads of kernels.
 */
class ParamLayout {
 public:
  static constexpr size_t kAlignment = 256;

  template <typename Dtype>
  explicit ParamLayout(const Net<Dtype>& net);

  int num_params() const { return static_cast<int>(layers_.size()); }
  /// The place of a parameter, in elements; of num_params(), the end of the array.
  size_t offset(int param) const { return offsets_[param]; }
  /// In elements.
  size_t size() const { return offsets_.back(); }

  /**
   * @brief For each layer the first of the parameters whose gradients can be sent once its backward pass has
   * run, together with all after them that were not sent before; -1 where it is better to wait for more.
   *
   * A part is sent when it has `least` elements, and when no layer is left that has parameters. The gradient
   * of a parameter that layers share is there after the pass of the first of them, which is its owner.
   */
  vector<int> FirstToSend(size_t least) const;

 private:
  void Add(int layer, size_t count, size_t element_size);

  int num_layers_ = 0;
  vector<size_t> offsets_;
  /// Of each parameter's owner.
  vector<int> layers_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_PARAM_LAYOUT_HPP_
