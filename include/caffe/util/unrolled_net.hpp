#ifndef CAFFE_UTIL_UNROLLED_NET_HPP_
#define CAFFE_UTIL_UNROLLED_NET_HPP_

#include <string>
#include <vector>

#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// The shape of a state of one step: 1 x items x outputs.
BlobShape RecurrentStateShape(int items, int num_output);

/**
 * @brief Adds the layers of a recurrent net, unrolled over time, to a NetParameter: the vocabulary in which
 * LSTM and RNN write one step.
 *
 * States and inputs of one step have shape 1 x N x D; layers that are repeated share parameters by name.
 */
class UnrolledNetBuilder {
 public:
  UnrolledNetBuilder(const RecurrentParameter& param, NetParameter* net_param)
      : param_(param), net_param_(net_param) {}

  LayerParameter* Add(const std::string& type, const std::string& name,
                      const std::vector<std::string>& bottoms, const std::vector<std::string>& tops);

  /// top = bottom W^T (+ b, where `bias` is not empty) over the axes from `axis` on, with parameters of the
  /// given names, filled as recurrent_param says.
  void InnerProduct(const std::string& weight, const std::string& bias, const std::string& bottom,
                    const std::string& top, int axis, int num_output);

  /// Cuts `bottom` along time into tops named PREFIX1 ... PREFIXt.
  void SliceTime(const std::string& bottom, const std::string& prefix, int steps);

  /// The first value of a state.
  void StateInput(const std::string& name, const BlobShape& shape);

  /// top = state * cont: the state, cleared where a sequence starts.
  void Flush(const std::string& state, const std::string& cont, const std::string& top);

  void Sum(const std::vector<std::string>& bottoms, const std::string& top);

  /// The static input's share of every step's sum, a blob 1 x N x num_output.
  void StaticTransform(const std::string& weight, const std::string& top, int num_output);

  /// Gives the last value of a state two readers; its gradient is the sum of theirs.
  void Fork(const std::string& state, const std::string& first, const std::string& second);

  /// The blobs of all steps as one, along time.
  void ConcatTime(const std::vector<std::string>& bottoms, const std::string& top);

 private:
  RecurrentParameter param_;
  NetParameter* net_param_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_UNROLLED_NET_HPP_
