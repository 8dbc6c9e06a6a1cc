#ifndef CAFFE_TEST_GRADIENT_CHECK_UTIL_H_
#define CAFFE_TEST_GRADIENT_CHECK_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/net.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

/**
 * @brief Compares a layer's gradients with central differences of its output.
 *
 * For an element x of a bottom or a parameter and an output y, it compares dy/dx from Backward with
 * (y(x + stepsize) - y(x - stepsize)) / (2 stepsize). They may differ by threshold times the larger of their
 * magnitudes and 1. Features within kink_range of +-kink, where the function has no derivative, are left out.
 * The random generator is set to `seed` before every pass, so that random layers repeat themselves.
 */
template <typename Dtype>
class GradientChecker {
 public:
  GradientChecker(const Dtype stepsize, const Dtype threshold, const unsigned int seed = 1701,
                  const Dtype kink = 0., const Dtype kink_range = -1)
      : stepsize_(stepsize), threshold_(threshold), seed_(seed), kink_(kink), kink_range_(kink_range) {}

  /// Checks all parameters and bottoms (or one of the bottoms: check_bottom; -2 for parameters only) with
  /// half the sum of squares of all outputs as the objective.
  void CheckGradient(Layer<Dtype>* layer, const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top,
                     int check_bottom = -1) {
    layer->SetUp(bottom, top);
    CheckGradientSingle(layer, bottom, top, check_bottom, -1, -1);
  }

  /// As CheckGradient, with each single output as the objective.
  void CheckGradientExhaustive(Layer<Dtype>* layer, const vector<Blob<Dtype>*>& bottom,
                               const vector<Blob<Dtype>*>& top, int check_bottom = -1);

  /// For layers without parameters whose output i depends on input i alone: also checks that.
  void CheckGradientEltwise(Layer<Dtype>* layer, const vector<Blob<Dtype>*>& bottom,
                            const vector<Blob<Dtype>*>& top);

  /// Checks one objective: output top_data_id of top top_id, or all outputs for top_id -1.
  void CheckGradientSingle(Layer<Dtype>* layer, const vector<Blob<Dtype>*>& bottom,
                           const vector<Blob<Dtype>*>& top, int check_bottom, int top_id, int top_data_id,
                           bool element_wise = false);

  /// CheckGradientExhaustive for every layer of a net, fed with what the net's inputs hold.
  void CheckGradientNet(const Net<Dtype>& net, const vector<Blob<Dtype>*>& input);

 protected:
  /// The objective; leaves its gradient with respect to the tops in their diffs.
  Dtype GetObjAndGradient(const Layer<Dtype>& layer, const vector<Blob<Dtype>*>& top, int top_id = -1,
                          int top_data_id = -1);

  Dtype stepsize_;
  Dtype threshold_;
  unsigned int seed_;
  Dtype kink_;
  Dtype kink_range_;
};

template <typename Dtype>
void GradientChecker<Dtype>::CheckGradientSingle(Layer<Dtype>* layer, const vector<Blob<Dtype>*>& bottom,
                                                 const vector<Blob<Dtype>*>& top, int check_bottom,
                                                 int top_id, int top_data_id, bool element_wise) {
  if (element_wise) {
    ASSERT_EQ(0u, layer->blobs().size());
    ASSERT_LE(0, top_id);
    ASSERT_LE(0, top_data_id);
    for (const Blob<Dtype>* blob : bottom) ASSERT_EQ(top[top_id]->count(), blob->count());
  }

  vector<Blob<Dtype>*> checked;
  vector<bool> propagate_down(bottom.size(), check_bottom == -1);
  for (size_t i = 0; i < layer->blobs().size(); ++i) {
    Blob<Dtype>* blob = layer->blobs()[i].get();
    std::fill_n(blob->mutable_cpu_diff(), blob->count(), Dtype(0));
    checked.push_back(blob);
  }
  if (check_bottom == -1) {
    checked.insert(checked.end(), bottom.begin(), bottom.end());
  } else if (check_bottom >= 0) {
    ASSERT_LT(static_cast<size_t>(check_bottom), bottom.size());
    checked.push_back(bottom[check_bottom]);
    propagate_down[check_bottom] = true;
  }
  ASSERT_GT(checked.size(), 0u) << "nothing to check";

  Caffe::set_random_seed(seed_);
  layer->Forward(bottom, top);
  GetObjAndGradient(*layer, top, top_id, top_data_id);
  layer->Backward(top, propagate_down, bottom);

  // Later passes overwrite the diffs.
  vector<vector<Dtype>> computed;
  for (const Blob<Dtype>* blob : checked) {
    computed.emplace_back(blob->cpu_diff(), blob->cpu_diff() + blob->count());
  }

  // The pointer is asked for each time, which tells the blob that it is changed on the host.
  const auto objective_at = [&](Blob<Dtype>* blob, int i, Dtype value) {
    blob->mutable_cpu_data()[i] = value;
    Caffe::set_random_seed(seed_);
    layer->Forward(bottom, top);
    return GetObjAndGradient(*layer, top, top_id, top_data_id);
  };
  for (size_t blob_id = 0; blob_id < checked.size(); ++blob_id) {
    for (int i = 0; i < checked[blob_id]->count(); ++i) {
      Dtype estimated = 0;
      const Dtype feature = checked[blob_id]->cpu_data()[i];
      if (!element_wise || i == top_data_id) {
        const Dtype positive = objective_at(checked[blob_id], i, feature + stepsize_);
        const Dtype negative = objective_at(checked[blob_id], i, feature - stepsize_);
        checked[blob_id]->mutable_cpu_data()[i] = feature;
        estimated = (positive - negative) / (2 * stepsize_);
      }
      const bool at_kink =
          kink_ - kink_range_ <= std::fabs(feature) && std::fabs(feature) <= kink_ + kink_range_;
      if (at_kink) continue;
      const Dtype gradient = computed[blob_id][i];
      const Dtype scale = std::max<Dtype>(std::max(std::fabs(gradient), std::fabs(estimated)), Dtype(1));
      EXPECT_NEAR(gradient, estimated, threshold_ * scale)
          << "blob " << blob_id << ", element " << i << ", value " << feature << ", objective " << top_id
          << "," << top_data_id;
    }
  }
}

template <typename Dtype>
void GradientChecker<Dtype>::CheckGradientExhaustive(Layer<Dtype>* layer, const vector<Blob<Dtype>*>& bottom,
                                                     const vector<Blob<Dtype>*>& top, int check_bottom) {
  layer->SetUp(bottom, top);
  ASSERT_GT(top.size(), 0u) << "a layer without outputs has no gradient";
  for (size_t top_id = 0; top_id < top.size(); ++top_id) {
    for (int i = 0; i < top[top_id]->count(); ++i) {
      CheckGradientSingle(layer, bottom, top, check_bottom, static_cast<int>(top_id), i);
    }
  }
}

template <typename Dtype>
void GradientChecker<Dtype>::CheckGradientEltwise(Layer<Dtype>* layer, const vector<Blob<Dtype>*>& bottom,
                                                  const vector<Blob<Dtype>*>& top) {
  layer->SetUp(bottom, top);
  ASSERT_GT(top.size(), 0u) << "a layer without outputs has no gradient";
  for (size_t top_id = 0; top_id < top.size(); ++top_id) {
    for (int i = 0; i < top[top_id]->count(); ++i) {
      CheckGradientSingle(layer, bottom, top, -1, static_cast<int>(top_id), i, true);
    }
  }
}

template <typename Dtype>
void GradientChecker<Dtype>::CheckGradientNet(const Net<Dtype>& net, const vector<Blob<Dtype>*>&) {
  const vector<shared_ptr<Layer<Dtype>>>& layers = net.layers();
  for (size_t i = 0; i < layers.size(); ++i) {
    const vector<Blob<Dtype>*>& bottom = net.bottom_vecs()[i];
    const vector<Blob<Dtype>*>& top = net.top_vecs()[i];
    const bool has_gradient = !top.empty() && (!bottom.empty() || !layers[i]->blobs().empty());
    if (has_gradient) CheckGradientExhaustive(layers[i].get(), bottom, top);
    layers[i]->Forward(bottom, top);
  }
}

template <typename Dtype>
Dtype GradientChecker<Dtype>::GetObjAndGradient(const Layer<Dtype>&, const vector<Blob<Dtype>*>& top,
                                                int top_id, int top_data_id) {
  if (top_id < 0) {
    Dtype objective = 0;
    for (Blob<Dtype>* blob : top) {
      const Dtype* data = blob->cpu_data();
      std::copy_n(data, blob->count(), blob->mutable_cpu_diff());
      for (int i = 0; i < blob->count(); ++i) objective += data[i] * data[i];
    }
    return objective / 2;
  }
  // A loss layer multiplies by the loss weight in its top's diff, so the objective scales alike.
  for (Blob<Dtype>* blob : top) std::fill_n(blob->mutable_cpu_diff(), blob->count(), Dtype(0));
  constexpr Dtype kObjectiveWeight = 2;
  top[top_id]->mutable_cpu_diff()[top_data_id] = kObjectiveWeight;
  return top[top_id]->cpu_data()[top_data_id] * kObjectiveWeight;
}

}  // namespace caffe

#endif  // CAFFE_TEST_GRADIENT_CHECK_UTIL_H_
