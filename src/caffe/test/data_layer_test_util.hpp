#ifndef CAFFE_TEST_DATA_LAYER_TEST_UTIL_HPP_
#define CAFFE_TEST_DATA_LAYER_TEST_UTIL_HPP_

#include <filesystem>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/io.hpp"

namespace caffe {

/// A fixture with a temporary folder, two tops and a layer made of param_.
template <typename TypeParam>
class DataLayerTestBase : public MultiDeviceTest<TypeParam> {
 protected:
  typedef typename TypeParam::Dtype Dtype;

  explicit DataLayerTestBase(const string& type) {
    MakeTempDir(&folder_);
    param_.set_name("input");
    param_.set_type(type);
    param_.set_phase(TRAIN);
  }
  ~DataLayerTestBase() override { std::filesystem::remove_all(folder_); }

  shared_ptr<Layer<Dtype>> SetUpLayer() {
    shared_ptr<Layer<Dtype>> layer = LayerRegistry<Dtype>::CreateLayer(param_);
    layer->SetUp({}, top_);
    return layer;
  }

  /// Labels of the next forward passes, in a row.
  vector<int> Labels(Layer<Dtype>* layer, int passes) {
    vector<int> labels;
    for (int i = 0; i < passes; ++i) {
      layer->Forward({}, top_);
      for (int j = 0; j < label_.count(); ++j) labels.push_back(static_cast<int>(label_.cpu_data()[j]));
    }
    return labels;
  }

  string folder_;
  LayerParameter param_;
  Blob<Dtype> data_, label_;
  vector<Blob<Dtype>*> top_{&data_, &label_};
};

}  // namespace caffe

#endif  // CAFFE_TEST_DATA_LAYER_TEST_UTIL_HPP_
