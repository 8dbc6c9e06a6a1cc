#include "caffe/layer_factory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "net_test_util.hpp"

namespace caffe {

namespace {

/// A layer of another project, as it would register itself; refuses a name in its constructor.
template <typename Dtype>
class FactoryTestLayer : public Layer<Dtype> {
 public:
  explicit FactoryTestLayer(const LayerParameter& param) : Layer<Dtype>(param) {
    if (param.name() == "refused") LOG(FATAL) << "not that name";
  }
  void Reshape(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) override {}
  const char* type() const override { return "FactoryTest"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>&) override {}
  void Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>&, const vector<Blob<Dtype>*>&) override {}
};

REGISTER_LAYER_CLASS(FactoryTest);

LayerParameter Named(const string& name, const string& type) {
  return FromText<LayerParameter>("name: '" + name + "' type: '" + type + "'");
}

}  // namespace

template <typename TypeParam>
class LayerFactoryTest : public MultiDeviceTest<TypeParam> {};

TYPED_TEST_SUITE(LayerFactoryTest, TestDtypesAndDevices);

TYPED_TEST(LayerFactoryTest, TypesAreListedInOrder) {
  typedef typename TypeParam::Dtype Dtype;
  const vector<string> types = LayerRegistry<Dtype>::LayerTypeList();
  EXPECT_TRUE(std::is_sorted(types.begin(), types.end()));
  for (const char* type : {"Convolution", "InnerProduct", "FactoryTest"}) {
    EXPECT_TRUE(std::count(types.begin(), types.end(), type)) << type;
  }
  EXPECT_EQ(types.size(), LayerRegistry<Dtype>::Registry().size());
}

TYPED_TEST(LayerFactoryTest, EachLayerKnowsTheTypeItIsRegisteredAs) {
  typedef typename TypeParam::Dtype Dtype;
  for (const string& type : LayerRegistry<Dtype>::LayerTypeList()) {
    // Some layers cannot be made without what their parameters name (a database, a class).
    try {
      EXPECT_EQ(LayerRegistry<Dtype>::CreateLayer(Named("any", type))->type(), type);
    } catch (const Error& error) {
      EXPECT_EQ(error.layer_type(), type);
    }
  }
}

TYPED_TEST(LayerFactoryTest, LayersGetTheirParameters) {
  typedef typename TypeParam::Dtype Dtype;
  const auto layer = LayerRegistry<Dtype>::CreateLayer(Named("mine", "FactoryTest"));
  EXPECT_EQ(layer->layer_param().name(), "mine");
}

TYPED_TEST(LayerFactoryTest, ErrorsNameLayerAndType) {
  typedef typename TypeParam::Dtype Dtype;
  EXPECT_EQ(ErrorOf([] { LayerRegistry<Dtype>::CreateLayer(Named("refused", "FactoryTest")); }),
            "layer 'refused' (FactoryTest): not that name");
  const string unknown = ErrorOf([] { LayerRegistry<Dtype>::CreateLayer(Named("c", "Convolutoin")); });
  EXPECT_TRUE(Contains(
      unknown, "layer 'c' (Convolutoin): unknown layer type 'Convolutoin' (did you mean 'Convolution'"));
  EXPECT_TRUE(Contains(unknown, "InnerProduct")) << "all known types are listed";
}

TYPED_TEST(LayerFactoryTest, ATypeIsRegisteredOnce) {
  typedef typename TypeParam::Dtype Dtype;
  EXPECT_TRUE(Contains(ErrorOf([] { LayerRegistry<Dtype>::AddCreator("FactoryTest", nullptr); }),
                       "layer type 'FactoryTest' is registered already"));
}

}  // namespace caffe
