#include "caffe/util/im2col.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/conv_geometry.hpp"
#include "layer_test_util.hpp"

namespace caffe {

namespace {

struct Case {
  vector<int> image;  // channels, then the spatial axes
  vector<int> kernel, pad, stride, dilation;

  int axes() const { return static_cast<int>(kernel.size()); }
  vector<int> columns() const {
    vector<int> shape = {image[0]};
    for (int i = 0; i < axes(); ++i) {
      shape[0] *= kernel[i];
      shape.push_back(conv_output_size(image[i + 1], kernel[i], pad[i], stride[i], dilation[i]));
    }
    return shape;
  }
};

vector<Case> Cases() {
  return {
      {{1, 1, 1}, {1, 1}, {0, 0}, {1, 1}, {1, 1}},
      {{3, 7, 5}, {3, 3}, {0, 0}, {1, 1}, {1, 1}},
      {{2, 6, 9}, {3, 2}, {1, 3}, {2, 3}, {1, 1}},
      {{2, 9, 8}, {3, 3}, {2, 2}, {1, 1}, {2, 3}},
      {{2, 5, 5}, {5, 5}, {0, 0}, {1, 1}, {1, 1}},
      {{1, 2, 2}, {2, 2}, {7, 5}, {3, 2}, {1, 4}},  // windows that see padding only
      {{4, 11}, {4}, {2}, {3}, {2}},
      {{2, 3, 4, 5}, {2, 3, 2}, {1, 0, 2}, {1, 2, 2}, {1, 1, 3}},
      {{2, 2, 3, 2, 3}, {2, 2, 1, 3}, {0, 1, 0, 1}, {1, 1, 2, 1}, {1, 2, 1, 1}},
  };
}

int Product(const vector<int>& shape) {
  return std::accumulate(shape.begin(), shape.end(), 1, std::multiplies<int>());
}

// Index of the image element that a place of the columns holds, or -1 for padding: by the definition.
int ImageIndex(const Case& test, const vector<int>& columns, int place) {
  vector<int> position(test.axes());
  for (int i = test.axes() - 1; i >= 0; --i) {
    position[i] = place % columns[i + 1] * test.stride[i] - test.pad[i];
    place /= columns[i + 1];
  }
  for (int i = test.axes() - 1; i >= 0; --i) {
    position[i] += place % test.kernel[i] * test.dilation[i];
    place /= test.kernel[i];
  }
  int index = place;
  for (int i = 0; i < test.axes(); ++i) {
    if (position[i] < 0 || position[i] >= test.image[i + 1]) return -1;
    index = index * test.image[i + 1] + position[i];
  }
  return index;
}

template <typename Dtype>
vector<Dtype> Numbers(int count, int start) {
  vector<Dtype> values(count);
  std::iota(values.begin(), values.end(), static_cast<Dtype>(start));
  return values;
}

}  // namespace

template <typename Dtype>
class Im2colTest : public ::testing::Test {};

TYPED_TEST_SUITE(Im2colTest, TestDtypes);

TYPED_TEST(Im2colTest, GathersWhatTheDefinitionSays) {
  for (const Case& test : Cases()) {
    const vector<int> shape = test.columns();
    const vector<TypeParam> image = Numbers<TypeParam>(Product(test.image), 1);
    vector<TypeParam> expected(Product(shape));
    for (size_t i = 0; i < expected.size(); ++i) {
      const int index = ImageIndex(test, shape, static_cast<int>(i));
      expected[i] = index < 0 ? TypeParam(0) : image[index];
    }
    vector<TypeParam> columns(expected.size(), -1);
    im2col_nd_cpu(image.data(), test.axes(), test.image.data(), shape.data(), test.kernel.data(),
                  test.pad.data(), test.stride.data(), test.dilation.data(), columns.data());
    EXPECT_EQ(columns, expected);
    if (test.axes() != 2) continue;
    std::fill(columns.begin(), columns.end(), TypeParam(-1));
    im2col_cpu(image.data(), test.image[0], test.image[1], test.image[2], test.kernel[0], test.kernel[1],
               test.pad[0], test.pad[1], test.stride[0], test.stride[1], test.dilation[0], test.dilation[1],
               columns.data());
    EXPECT_EQ(columns, expected);
  }
}

TYPED_TEST(Im2colTest, ScatterIsTheTranspose) {
  for (const Case& test : Cases()) {
    const vector<int> shape = test.columns();
    const vector<TypeParam> columns = Numbers<TypeParam>(Product(shape), -3);
    vector<TypeParam> expected(Product(test.image), 0);
    for (size_t i = 0; i < columns.size(); ++i) {
      const int index = ImageIndex(test, shape, static_cast<int>(i));
      if (index >= 0) expected[index] += columns[i];
    }
    vector<TypeParam> image(expected.size(), 77);
    col2im_nd_cpu(columns.data(), test.axes(), test.image.data(), shape.data(), test.kernel.data(),
                  test.pad.data(), test.stride.data(), test.dilation.data(), image.data());
    EXPECT_EQ(image, expected);
    if (test.axes() != 2) continue;
    std::fill(image.begin(), image.end(), TypeParam(77));
    col2im_cpu(columns.data(), test.image[0], test.image[1], test.image[2], test.kernel[0], test.kernel[1],
               test.pad[0], test.pad[1], test.stride[0], test.stride[1], test.dilation[0], test.dilation[1],
               image.data());
    EXPECT_EQ(image, expected);
  }
}

TYPED_TEST(Im2colTest, ThreadsDoNotChangeTheResult) {
  // Large enough for several chunks.
  const Case test = {{8, 40, 40}, {3, 3}, {1, 1}, {1, 1}, {1, 1}};
  const vector<int> shape = test.columns();
  const vector<TypeParam> image = Numbers<TypeParam>(Product(test.image), 1);
  vector<vector<TypeParam>> columns, images;
  for (const int count : {1, 3}) {
    const ThreadsForTest set(count);
    columns.emplace_back(Product(shape));
    im2col_nd_cpu(image.data(), 2, test.image.data(), shape.data(), test.kernel.data(), test.pad.data(),
                  test.stride.data(), test.dilation.data(), columns.back().data());
    images.emplace_back(image.size());
    col2im_nd_cpu(columns.back().data(), 2, test.image.data(), shape.data(), test.kernel.data(),
                  test.pad.data(), test.stride.data(), test.dilation.data(), images.back().data());
  }
  EXPECT_EQ(columns[0], columns[1]);
  EXPECT_EQ(images[0], images[1]);
}

TYPED_TEST(Im2colTest, BadSizesAreErrorsThatNameThem) {
  TypeParam image[4] = {}, columns[64] = {};
  EXPECT_NE(ErrorOf([&] {
              im2col_cpu(image, 1, 2, 2, 3, 3, 0, 0, 1, 1, 1, 1, columns);
            }).find("kernel of size 3 does not fit into an input of size 2 padded by 0"),
            string::npos);
  EXPECT_NE(ErrorOf([&] {
              col2im_cpu(columns, 1, 2, 2, 2, 2, 0, 0, 1, 1, 1, 4, image);
            }).find("size 2 with dilation 4, extent 5"),
            string::npos);
  const int im_shape[] = {1, 2, 2}, kernel[] = {1, 1}, zeros[] = {0, 0}, ones[] = {1, 1};
  const int wrong_rows[] = {2, 2, 2}, wrong_axis[] = {1, 2, 3};
  EXPECT_NE(ErrorOf([&] {
              im2col_nd_cpu(image, 2, im_shape, wrong_rows, kernel, zeros, ones, ones, columns);
            }).find("row"),
            string::npos);
  EXPECT_NE(ErrorOf([&] {
              im2col_nd_cpu(image, 2, im_shape, wrong_axis, kernel, zeros, ones, ones, columns);
            }).find("spatial axis 1"),
            string::npos);
  EXPECT_NE(ErrorOf([&] {
              im2col_nd_cpu(image, 0, im_shape, wrong_axis, kernel, zeros, ones, ones, columns);
            }).find("spatial axes"),
            string::npos);
}

TEST(ConvGeometryTest, OutputSizes) {
  EXPECT_EQ(conv_output_size(28, 5, 0, 1, 1), 24);
  EXPECT_EQ(conv_output_size(7, 3, 1, 2, 1), 4);
  EXPECT_EQ(conv_output_size(8, 3, 0, 3, 2), 2);
  EXPECT_EQ(deconv_output_size(4, 3, 1, 2, 1), 7);
  EXPECT_EQ(deconv_output_size(1, 1, 0, 1, 1), 1);
  EXPECT_EQ(deconv_output_size(3, 2, 0, 1, 4), 7);
}

TEST(ConvGeometryTest, SizesOutOfRangeAreErrors) {
  EXPECT_THROW(conv_output_size(4, 5, 0, 1, 1), Error);
  EXPECT_THROW(conv_output_size(0, 1, 0, 1, 1), Error);
  EXPECT_THROW(conv_output_size(0, 3, 2, 1, 1), Error);
  EXPECT_THROW(conv_output_size(10, 3, INT_MAX, 1, 1), Error);
  EXPECT_THROW(conv_output_size(10, INT_MAX, 0, 1, INT_MAX), Error);
  EXPECT_THROW(deconv_output_size(1, 2, 1, 1, 1), Error);
  EXPECT_THROW(deconv_output_size(INT_MAX, 1, 0, 2, 1), Error);
  const int kernel[] = {1000, 1000}, output[] = {1000, 1000};
  EXPECT_EQ(conv_column_count(5, 0, nullptr, nullptr), 5);
  EXPECT_EQ(conv_column_count(2, 1, kernel, output), 2000000);
  EXPECT_NE(ErrorOf([&] {
              conv_column_count(1, 2, kernel, output);
            }).find("1 channels, kernel 1000 x 1000, output 1000 x 1000"),
            string::npos);
}

}  // namespace caffe
