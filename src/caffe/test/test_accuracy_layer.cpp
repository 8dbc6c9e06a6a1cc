#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "layer_test_util.hpp"

namespace caffe {

template <typename TypeParam>
class AccuracyLayerTest : public MultiDeviceTest<TypeParam> {
 protected:
  using Dtype = typename TypeParam::Dtype;

  /// Accuracies (of all, then of each class) for scores of shape N x 3 and labels.
  vector<Dtype> Run(const string& text, const vector<Dtype>& scores, const vector<Dtype>& labels,
                    bool per_class = false) {
    const int num = static_cast<int>(labels.size());
    Blob<Dtype> score({num, 3}), label({num}), all, each;
    std::copy(scores.begin(), scores.end(), score.mutable_cpu_data());
    std::copy(labels.begin(), labels.end(), label.mutable_cpu_data());
    vector<Blob<Dtype>*> tops = {&all};
    if (per_class) tops.push_back(&each);
    const auto layer = MakeLayer<Dtype>("name: 'acc' type: 'Accuracy' " + text);
    layer->SetUp({&score, &label}, tops);
    layer->Forward({&score, &label}, tops);
    vector<Dtype> result = DataOf(all);
    if (per_class) {
      const vector<Dtype> classes = DataOf(each);
      result.insert(result.end(), classes.begin(), classes.end());
    }
    return result;
  }

  const vector<Dtype> scores_ = {Dtype(.5), Dtype(.3), Dtype(.2), Dtype(.1), Dtype(.2), Dtype(.7),
                                 Dtype(.3), Dtype(.6), Dtype(.1), Dtype(.3), Dtype(.4), Dtype(.3)};
  const vector<Dtype> labels_ = {0, 1, 1, 2};
};
TYPED_TEST_SUITE(AccuracyLayerTest, TestDtypesAndDevices);

TYPED_TEST(AccuracyLayerTest, CountsHits) {
  using Dtype = typename TypeParam::Dtype;
  EXPECT_EQ(this->Run("", this->scores_, this->labels_), vector<Dtype>{Dtype(.5)});
}

TYPED_TEST(AccuracyLayerTest, TopKCountsTiesAgainstTheLabel) {
  using Dtype = typename TypeParam::Dtype;
  // The last item's label ties with class 0 for the second place.
  EXPECT_EQ(this->Run("accuracy_param { top_k: 2 }", this->scores_, this->labels_),
            vector<Dtype>{Dtype(.75)});
  EXPECT_EQ(this->Run("accuracy_param { top_k: 3 }", this->scores_, this->labels_), vector<Dtype>{1});
  EXPECT_EQ(this->Run("", vector<Dtype>(3, 1), {0}), vector<Dtype>{0}) << "constant scores are not accurate";
}

TYPED_TEST(AccuracyLayerTest, IgnoresALabel) {
  using Dtype = typename TypeParam::Dtype;
  const vector<Dtype> result = this->Run("accuracy_param { ignore_label: 1 }", this->scores_, this->labels_);
  EXPECT_EQ(result, vector<Dtype>{Dtype(.5)});
  EXPECT_EQ(this->Run("accuracy_param { ignore_label: 0 }", vector<Dtype>(3, 1), {0}), vector<Dtype>{0});
}

TYPED_TEST(AccuracyLayerTest, PerClass) {
  using Dtype = typename TypeParam::Dtype;
  EXPECT_EQ(this->Run("", this->scores_, this->labels_, true), (vector<Dtype>{Dtype(.5), 1, Dtype(.5), 0}));
}

TYPED_TEST(AccuracyLayerTest, RefusesBadInput) {
  using Dtype = typename TypeParam::Dtype;
  const vector<Dtype> bad_labels = {0, 1, 3, 2};
  string error = ErrorOf([&] { this->Run("", this->scores_, bad_labels); });
  EXPECT_NE(error.find("wrong label 3 at position 2"), string::npos) << error;
  error = ErrorOf([&] { this->Run("accuracy_param { top_k: 4 }", this->scores_, this->labels_); });
  EXPECT_NE(error.find("layer 'acc' (Accuracy)"), string::npos) << error;
  EXPECT_NE(error.find("top_k"), string::npos) << error;
  Blob<Dtype> score(vector<int>{1, 3}), label(vector<int>{1}), top;
  const auto layer = MakeLayer<Dtype>("type: 'Accuracy'");
  layer->SetUp({&score, &label}, {&top});
  error = ErrorOf([&] { layer->Backward({&top}, {true, false}, {&score, &label}); });
  EXPECT_NE(error.find("no gradient"), string::npos) << error;
}

}  // namespace caffe
