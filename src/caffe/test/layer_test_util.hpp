#ifndef CAFFE_TEST_LAYER_TEST_UTIL_HPP_
#define CAFFE_TEST_LAYER_TEST_UTIL_HPP_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "caffe/filler.hpp"
#include "caffe/layer.hpp"
#include "caffe/test/test_error_util.hpp"
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

/// Standard normal values.
template <typename Dtype>
void FillNormal(Blob<Dtype>* blob) {
  FillerParameter filler;
  filler.set_type("gaussian");
  FillBlob(filler, blob);
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
