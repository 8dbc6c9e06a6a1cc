#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class ParameterLayerTest : public MultiDeviceTest<TypeParam> {};
TYPED_TEST_SUITE(ParameterLayerTest, TestDtypesAndDevices);

TYPED_TEST(ParameterLayerTest, ServesItsBlob) {
  using Dtype = typename TypeParam::Dtype;
  LayerRun<Dtype> run("type: 'Parameter' parameter_param { shape { dim: 2 dim: 3 } }", {});
  run.SetUp();
  run.Forward();
  EXPECT_EQ(run.tops[0]->shape(), (vector<int>{2, 3}));
  EXPECT_EQ(DataOf(*run.tops[0]), vector<Dtype>(6, 0));
  run.layer->blobs()[0]->mutable_cpu_data()[4] = 7;
  run.Forward();
  EXPECT_EQ(run.tops[0]->cpu_data()[4], 7);
}

TYPED_TEST(ParameterLayerTest, AddsGradientsUp) {
  using Dtype = typename TypeParam::Dtype;
  LayerRun<Dtype> run("type: 'Parameter' parameter_param { shape { dim: 2 } }", {});
  run.SetUp();
  run.Forward();
  Blob<Dtype>& param = *run.layer->blobs()[0];
  caffe_set(2, Dtype(0), param.mutable_cpu_diff());
  run.SetTopDiff(0, {1, 2});
  run.Backward({});
  run.Backward({});
  EXPECT_EQ(DiffOf(param), (vector<Dtype>{2, 4}));
  run.layer->set_param_propagate_down(0, false);
  run.Backward({});
  EXPECT_EQ(DiffOf(param), (vector<Dtype>{2, 4}));
}

TYPED_TEST(ParameterLayerTest, NeedsAShape) {
  LayerRun<typename TypeParam::Dtype> run("name: 'p' type: 'Parameter'", {});
  EXPECT_TRUE(Contains(ErrorOf([&] { run.SetUp(); }), "layer 'p' (Parameter)"));
}

}  // namespace caffe
