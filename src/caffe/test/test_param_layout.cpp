#include "caffe/util/param_layout.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "net_test_util.hpp"

namespace caffe {

namespace {

string InnerProduct(const string& name, const string& bottom, int outputs, const string& params = "") {
  return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" + bottom + "' top: '" + name + "' " +
         params + " inner_product_param { num_output: " + std::to_string(outputs) + " } } ";
}

constexpr char kInput[] =
    "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 2 dim: 100 } } } ";

}  // namespace

template <typename Dtype>
class ParamLayoutTest : public ::testing::Test {
 protected:
  static constexpr size_t kStep = ParamLayout::kAlignment / sizeof(Dtype);

  static size_t RoundedUp(size_t count) { return (count + kStep - 1) / kStep * kStep; }
};

TYPED_TEST_SUITE(ParamLayoutTest, TestDtypes);

TYPED_TEST(ParamLayoutTest, ParametersLieOneAfterTheOther) {
  const auto net = MakeNet<TypeParam>(kInput + InnerProduct("a", "data", 7) +
                                      "layer { name: 'relu' type: 'ReLU' bottom: 'a' top: 'a' } " +
                                      InnerProduct("b", "a", 100));
  const ParamLayout layout(*net);
  ASSERT_EQ(4, layout.num_params());
  size_t expected = 0;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(expected, layout.offset(i));
    EXPECT_EQ(0u, layout.offset(i) * sizeof(TypeParam) % ParamLayout::kAlignment);
    expected += this->RoundedUp(net->learnable_params()[i]->count());
  }
  EXPECT_EQ(expected, layout.size());
}

TYPED_TEST(ParamLayoutTest, PartsAreSentFromTheLastLayerOn) {
  // Layer 0 is the input, 1 to 3 have parameters, 4 has none.
  const auto net = MakeNet<TypeParam>(kInput + InnerProduct("a", "data", 100) + InnerProduct("b", "a", 100) +
                                      InnerProduct("c", "b", 100) +
                                      "layer { name: 'relu' type: 'ReLU' bottom: 'c' top: 'c' } ");
  const ParamLayout layout(*net);
  const size_t layer = layout.size() / 3;
  EXPECT_EQ((vector<int>{-1, 0, 2, 4, -1}), layout.FirstToSend(1)) << "each layer alone";
  EXPECT_EQ((vector<int>{-1, 0, 2, 4, -1}), layout.FirstToSend(layer));
  EXPECT_EQ((vector<int>{-1, 0, 2, -1, -1}), layout.FirstToSend(layer + 1)) << "two, then the rest";
  EXPECT_EQ((vector<int>{-1, 0, -1, -1, -1}), layout.FirstToSend(layout.size() + 1)) << "all at once";
}

TYPED_TEST(ParamLayoutTest, SharedParametersAreSentWithTheirOwner) {
  const string shared = "param { name: 'w' } param { name: 'b' }";
  const auto net = MakeNet<TypeParam>(kInput + InnerProduct("a", "data", 100, shared) +
                                      InnerProduct("b", "a", 100) + InnerProduct("c", "b", 100, shared));
  const ParamLayout layout(*net);
  ASSERT_EQ(4, layout.num_params());
  EXPECT_EQ((vector<int>{-1, 0, 2, -1}), layout.FirstToSend(1));
}

TYPED_TEST(ParamLayoutTest, NetsWithoutParametersSendNothing) {
  const auto net =
      MakeNet<TypeParam>(kInput + string("layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }"));
  const ParamLayout layout(*net);
  EXPECT_EQ(0u, layout.size());
  EXPECT_EQ(0, layout.num_params());
  EXPECT_EQ((vector<int>{-1, -1}), layout.FirstToSend(1));
}

}  // namespace caffe
