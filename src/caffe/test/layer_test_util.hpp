#ifndef CAFFE_TEST_LAYER_TEST_UTIL_HPP_
#define CAFFE_TEST_LAYER_TEST_UTIL_HPP_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "caffe/filler.hpp"
#include "caffe/layer.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/parallel_for.hpp"

namespace caffe {

/// The layer that a piece of prototxt describes: 'type: "ReLU" relu_param { ... }'.
inline LayerParameter LayerFromText(const string& text) {
  LayerParameter param;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &param)) << text;
  return param;
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> MakeLayer(const string& text) {
  return LayerRegistry<Dtype>::CreateLayer(LayerFromText(text));
}

/// Standard normal values; an empty blob is left alone.
template <typename Dtype>
void FillNormal(Blob<Dtype>* blob) {
  if (blob->count() == 0) return;
  FillerParameter filler;
  filler.set_type("gaussian");
  FillBlob(filler, blob);
}

/// A checker whose step and tolerance suit the type; values within kink_range of +-kink are left out.
template <typename Dtype>
GradientChecker<Dtype> CheckerFor(Dtype kink = 0, Dtype kink_range = -1) {
  const bool is_double = sizeof(Dtype) == 8;
  return GradientChecker<Dtype>(is_double ? 1e-4 : 1e-2, is_double ? 1e-6 : 2e-2, 1701, kink, kink_range);
}

/// A layer with blobs of its own, for one bottom and one top.
template <typename Dtype>
struct LayerFixture {
  LayerFixture(const string& text, const vector<int>& bottom_shape)
      : layer(MakeLayer<Dtype>(text)), bottom(bottom_shape), bottoms{&bottom}, tops{&top} {
    FillNormal(&bottom);
  }
  void SetUp() { layer->SetUp(bottoms, tops); }
  void Forward() { layer->Forward(bottoms, tops); }
  /// Backward from the gradient in top's diff.
  void Backward(bool propagate_down = true) { layer->Backward(tops, {propagate_down}, bottoms); }
  Blob<Dtype>& blob(int i) { return *layer->blobs()[i]; }

  shared_ptr<Layer<Dtype>> layer;
  Blob<Dtype> bottom;
  Blob<Dtype> top;
  vector<Blob<Dtype>*> bottoms;
  vector<Blob<Dtype>*> tops;
};

/// A layer with blobs of its own, for any number of bottoms, filled with normal values, and tops.
template <typename Dtype>
struct LayerRun {
  LayerRun(const string& text, const vector<vector<int>>& bottom_shapes, int num_tops = 1)
      : layer(MakeLayer<Dtype>(text)) {
    for (const vector<int>& shape : bottom_shapes) {
      blobs.push_back(std::make_shared<Blob<Dtype>>(shape));
      FillNormal(blobs.back().get());
      bottoms.push_back(blobs.back().get());
    }
    for (int i = 0; i < num_tops; ++i) {
      blobs.push_back(std::make_shared<Blob<Dtype>>());
      tops.push_back(blobs.back().get());
    }
  }
  void SetUp() { layer->SetUp(bottoms, tops); }
  Dtype Forward() { return layer->Forward(bottoms, tops); }
  void Backward(const vector<bool>& propagate_down) { layer->Backward(tops, propagate_down, bottoms); }
  void SetBottom(int i, const vector<Dtype>& values) {
    ASSERT_EQ(static_cast<size_t>(bottoms[i]->count()), values.size());
    std::copy(values.begin(), values.end(), bottoms[i]->mutable_cpu_data());
  }
  void SetTopDiff(int i, const vector<Dtype>& values) {
    ASSERT_EQ(static_cast<size_t>(tops[i]->count()), values.size());
    std::copy(values.begin(), values.end(), tops[i]->mutable_cpu_diff());
  }

  shared_ptr<Layer<Dtype>> layer;
  vector<shared_ptr<Blob<Dtype>>> blobs;
  vector<Blob<Dtype>*> bottoms;
  vector<Blob<Dtype>*> tops;
};

template <typename Dtype>
vector<Dtype> DataOf(const Blob<Dtype>& blob) {
  return vector<Dtype>(blob.cpu_data(), blob.cpu_data() + blob.count());
}

template <typename Dtype>
vector<Dtype> DiffOf(const Blob<Dtype>& blob) {
  return vector<Dtype>(blob.cpu_diff(), blob.cpu_diff() + blob.count());
}

template <typename A, typename B>
void ExpectNear(const vector<A>& values, const vector<B>& expected, double tolerance) {
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(values[i], expected[i], tolerance) << "element " << i;
}

/// Sets the number of threads for as long as it lives.
class ThreadsForTest {
 public:
  explicit ThreadsForTest(int threads) : before_(ParallelThreads()) { SetParallelThreads(threads); }
  ~ThreadsForTest() { SetParallelThreads(before_); }

 private:
  int before_;
};

}  // namespace caffe

#endif  // CAFFE_TEST_LAYER_TEST_UTIL_HPP_
