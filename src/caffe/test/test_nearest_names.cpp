#include "caffe/util/nearest_names.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace caffe {

namespace {

const std::vector<std::string> kTypes = {"Convolution", "Deconvolution", "InnerProduct", "ReLU",
                                         "PReLU",       "ELU",           "LRN"};

}  // namespace

TEST(NearestNamesTest, FindsMisspellings) {
  EXPECT_EQ(NearestNames("Convolutoin", kTypes, 1), std::vector<std::string>{"Convolution"});
  EXPECT_EQ(NearestNames("InnerProdct", kTypes), std::vector<std::string>{"InnerProduct"});
  EXPECT_EQ(NearestNames("innerproduct", kTypes), std::vector<std::string>{"InnerProduct"})
      << "case does not count";
  EXPECT_EQ(NearestNames("Inner_Product", kTypes), std::vector<std::string>{"InnerProduct"});
  EXPECT_EQ(NearestNames("ReLU", kTypes, 1), std::vector<std::string>{"ReLU"});
}

TEST(NearestNamesTest, FindsPartsOfNames) {
  EXPECT_EQ(NearestNames("Conv", kTypes), (std::vector<std::string>{"Convolution", "Deconvolution"}));
  EXPECT_EQ(NearestNames("Convolution2D", kTypes, 1), std::vector<std::string>{"Convolution"});
}

TEST(NearestNamesTest, NamesTheNearestFirstAndNotTooMany) {
  EXPECT_EQ(NearestNames("relu", kTypes, 3), (std::vector<std::string>{"ReLU", "ELU", "PReLU"}));
  EXPECT_EQ(NearestNames("relu", kTypes, 1), std::vector<std::string>{"ReLU"});
}

TEST(NearestNamesTest, FindsNothingFarAway) {
  EXPECT_TRUE(NearestNames("Accuracy", kTypes).empty());
  EXPECT_TRUE(NearestNames("", kTypes).empty());
  EXPECT_TRUE(NearestNames("ReLU", {}).empty());
}

TEST(NearestNamesTest, SuggestionsReadAsSentences) {
  EXPECT_EQ(DidYouMean("InnerProdct", kTypes), " (did you mean 'InnerProduct'?)");
  EXPECT_EQ(DidYouMean("Conv", kTypes), " (did you mean 'Convolution' or 'Deconvolution'?)");
  EXPECT_EQ(DidYouMean("relu", kTypes), " (did you mean 'ReLU', 'ELU' or 'PReLU'?)");
  EXPECT_EQ(DidYouMean("Accuracy", kTypes), "");
  EXPECT_EQ(UnknownName("layer type", "Lrm", {"LRN", "ReLU"}),
            "unknown layer type 'Lrm' (did you mean 'LRN'?); known layer types: LRN, ReLU");
}

}  // namespace caffe
