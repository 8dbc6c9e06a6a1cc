#ifndef CAFFE_TEST_BINARY_LAYER_TEST_UTIL_HPP_
#define CAFFE_TEST_BINARY_LAYER_TEST_UTIL_HPP_

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "caffe/util/math_functions.hpp"
#include "layer_test_util.hpp"

namespace caffe {

/// Binary weights as the definition says them.
template <typename Dtype>
vector<Dtype> ReferenceBinarized(const Blob<Dtype>& weights, bool use_alpha) {
  const int n = weights.count(1);
  vector<Dtype> binary(weights.count());
  for (int output = 0; output < weights.shape(0); ++output) {
    const Dtype* row = weights.cpu_data() + output * n;
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += std::fabs(row[i]);
    const Dtype alpha = use_alpha ? static_cast<Dtype>(sum / n) : Dtype(1);
    for (int i = 0; i < n; ++i) binary[output * n + i] = row[i] >= 0 ? alpha : -alpha;
  }
  return binary;
}

/**
 * @brief Checks a binary layer against the ordinary one that has B for weights.
 *
 * Outputs and the gradients by bottom and bias must be its, and so must the gradient by the weights
 * (straight-through), while the stored weights stay as they are.
 */
template <typename Dtype>
void ExpectActsOnBinaryWeights(const string& binary_text, const string& ordinary_text,
                               const vector<int>& bottom, bool use_alpha) {
  LayerFixture<Dtype> binary(binary_text, bottom), ordinary(ordinary_text, bottom);
  binary.SetUp();
  ordinary.SetUp();
  ordinary.bottom.CopyFrom(binary.bottom);
  const vector<Dtype> stored = DataOf(binary.blob(0));
  const vector<Dtype> reference = ReferenceBinarized(binary.blob(0), use_alpha);
  caffe_copy(binary.blob(0).count(), reference.data(), ordinary.blob(0).mutable_cpu_data());
  const size_t blobs = ordinary.layer->blobs().size();
  ASSERT_EQ(binary.layer->blobs().size(), blobs);
  if (blobs > 1) ordinary.blob(1).CopyFrom(binary.blob(1));

  const double tolerance = sizeof(Dtype) == 4 ? 1e-4 : 1e-10;
  binary.Forward();
  ordinary.Forward();
  ExpectNear(DataOf(binary.top), DataOf(ordinary.top), tolerance);

  Blob<Dtype> gradient(binary.top.shape());
  FillNormal(&gradient);
  for (LayerFixture<Dtype>* fixture : {&binary, &ordinary}) {
    caffe_copy(gradient.count(), gradient.cpu_data(), fixture->top.mutable_cpu_diff());
    fixture->Backward();
  }
  ExpectNear(DiffOf(binary.bottom), DiffOf(ordinary.bottom), tolerance);
  for (size_t i = 0; i < blobs; ++i) {
    ExpectNear(DiffOf(binary.blob(i)), DiffOf(ordinary.blob(i)), tolerance);
  }
  EXPECT_EQ(DataOf(binary.blob(0)), stored);
}

}  // namespace caffe

#endif  // CAFFE_TEST_BINARY_LAYER_TEST_UTIL_HPP_
