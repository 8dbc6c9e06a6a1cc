#include "caffe/layers/python_layer.hpp"

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

// Layers that run are tested from Python.
TEST(PythonLayerTest, NeedsThePythonPackage) {
  const string error = ErrorOf([] { MakeLayer<float>("name: 'mine' type: 'Python'"); });
  EXPECT_TRUE(Contains(error, "layer 'mine' (Python)"));
  EXPECT_TRUE(Contains(error, "import caffe"));
}

TEST(PythonLayerTest, IsMadeByWhoeverOffersTo) {
  SetPythonLayerCreator([](const LayerParameter& param) {
    LayerParameter stand_in(param);
    stand_in.set_type("Silence");
    return LayerRegistry<float>::CreateLayer(stand_in);
  });
  EXPECT_STREQ(MakeLayer<float>("type: 'Python'")->type(), "Silence");
  SetPythonLayerCreator(nullptr);
  EXPECT_THROW(MakeLayer<float>("type: 'Python'"), Error);
}

TEST(PythonLayerTest, ComputesInFloatOnly) {
  EXPECT_TRUE(Contains(ErrorOf([] { MakeLayer<double>("type: 'Python'"); }), "compute in float"));
}

}  // namespace caffe
