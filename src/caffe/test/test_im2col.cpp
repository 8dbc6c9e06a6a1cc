#include "caffe/util/im2col.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/util/column_axes.hpp"
#include "caffe/util/conv_geometry.hpp"
#include "gpu_test_util.hpp"
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
      {{1, 19, 9}, {5, 3}, {3, 1}, {4, 6}, {6, 4}},  // strides and dilations with a common divisor
      {{1, 9, 9}, {3, 4}, {0, 2}, {5, 3}, {1, 2}},   // elements that no window sees
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

vector<ColumnAxis> AxesOf(const Case& test) {
  return MakeColumnAxes(test.axes(), test.image.data(), test.columns().data(), test.kernel.data(),
                        test.pad.data(), test.stride.data(), test.dilation.data());
}

// Checks, for the given number of axes, what kernels take to find their elements.
template <int kAxes>
void ExpectGridFindsElements(const Case& test) {
  const vector<ColumnAxis> axes = AxesOf(test);
  const vector<int> shape = test.columns();
  vector<int> kernel = test.kernel, pad = test.pad, stride = test.stride, dilation = test.dilation;
  const ColumnGrid<kAxes> grid(axes);
  const ColumnGridInMemory in_memory = {test.axes(), test.image.data(), shape.data(),   kernel.data(),
                                        pad.data(),  stride.data(),     dilation.data()};
  const int taps = Product(test.kernel), outputs = Product(shape) / shape[0];
  const int channel_size = Product(test.image) / test.image[0];
  vector<double> columns(taps * outputs), sums(channel_size);
  for (int i = 0; i < taps * outputs; ++i) {
    const int expected = ImageIndex(test, shape, i);
    ASSERT_EQ(PlaceInChannel(grid, i / outputs, i % outputs), expected);
    ASSERT_EQ(PlaceInChannel(in_memory, i / outputs, i % outputs), expected);
    columns[i] = i + 1;
    if (expected >= 0) sums[expected] += columns[i];
  }
  for (int i = 0; i < channel_size; ++i) {
    ASSERT_EQ((SumOfColumns<double, kAxes>(grid, columns.data(), outputs, i)), sums[i]);
    ASSERT_EQ((SumOfColumns<double, kAxes>(in_memory, columns.data(), outputs, i)), sums[i]);
  }
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

TEST(ColumnGridTest, FindsElements) {
  for (const Case& test : Cases()) {
    if (test.axes() == 1) ExpectGridFindsElements<1>(test);
    if (test.axes() == 2) ExpectGridFindsElements<2>(test);
    if (test.axes() == 3) ExpectGridFindsElements<3>(test);
    ExpectGridFindsElements<kManyAxes>(test);
  }
}

#ifndef CPU_ONLY

namespace {

template <typename T>
void CopyTo(Blob<T>* blob, const vector<T>& values) {
  blob->Reshape({static_cast<int>(values.size())});
  std::copy(values.begin(), values.end(), blob->mutable_cpu_data());
}

// A case's sizes where the GPU reads them.
struct SizesOnGpu {
  Blob<int> image, columns, kernel, pad, stride, dilation;

  explicit SizesOnGpu(const Case& test) {
    CopyTo(&image, test.image);
    CopyTo(&columns, test.columns());
    CopyTo(&kernel, test.kernel);
    CopyTo(&pad, test.pad);
    CopyTo(&stride, test.stride);
    CopyTo(&dilation, test.dilation);
  }
};

// Fills a blob on the GPU, where what was not written shows.
template <typename Dtype>
Dtype* Unwritten(int count, Blob<Dtype>* blob) {
  CopyTo(blob, vector<Dtype>(count, -99));
  return blob->mutable_gpu_data();
}

}  // namespace

TYPED_TEST(Im2colTest, GpuGathersWhatTheCpuGathers) {
  SKIP_WITHOUT_GPU();
  for (const Case& test : Cases()) {
    const vector<int> shape = test.columns();
    vector<TypeParam> expected(Product(shape));
    Blob<TypeParam> image, columns;
    CopyTo(&image, Numbers<TypeParam>(Product(test.image), 1));
    im2col_nd_cpu(image.cpu_data(), test.axes(), test.image.data(), shape.data(), test.kernel.data(),
                  test.pad.data(), test.stride.data(), test.dilation.data(), expected.data());
    const int count = Product(shape);
    const SizesOnGpu sizes(test);
    im2col_nd_gpu(image.gpu_data(), test.axes(), count / Product(test.kernel), sizes.image.gpu_data(),
                  sizes.columns.gpu_data(), sizes.kernel.gpu_data(), sizes.pad.gpu_data(),
                  sizes.stride.gpu_data(), sizes.dilation.gpu_data(), Unwritten(count, &columns));
    EXPECT_EQ(DataOf(columns), expected);
    images_to_columns_gpu(AxesOf(test), 1, test.image[0], image.gpu_data(), Unwritten(count, &columns));
    EXPECT_EQ(DataOf(columns), expected);
    if (test.axes() != 2) continue;
    im2col_gpu(image.gpu_data(), test.image[0], test.image[1], test.image[2], test.kernel[0], test.kernel[1],
               test.pad[0], test.pad[1], test.stride[0], test.stride[1], test.dilation[0], test.dilation[1],
               Unwritten(count, &columns));
    EXPECT_EQ(DataOf(columns), expected);
  }
}

TYPED_TEST(Im2colTest, GpuScatterIsTheCpus) {
  SKIP_WITHOUT_GPU();
  for (const Case& test : Cases()) {
    const vector<int> shape = test.columns();
    const int count = Product(test.image);
    vector<TypeParam> expected(count);
    Blob<TypeParam> image, columns, bias;
    CopyTo(&columns, Numbers<TypeParam>(Product(shape), -3));
    col2im_nd_cpu(columns.cpu_data(), test.axes(), test.image.data(), shape.data(), test.kernel.data(),
                  test.pad.data(), test.stride.data(), test.dilation.data(), expected.data());
    const SizesOnGpu sizes(test);
    col2im_nd_gpu(columns.gpu_data(), test.axes(), count, sizes.image.gpu_data(), sizes.columns.gpu_data(),
                  sizes.kernel.gpu_data(), sizes.pad.gpu_data(), sizes.stride.gpu_data(),
                  sizes.dilation.gpu_data(), Unwritten(count, &image));
    EXPECT_EQ(DataOf(image), expected);
    if (test.axes() == 2) {
      col2im_gpu(columns.gpu_data(), test.image[0], test.image[1], test.image[2], test.kernel[0],
                 test.kernel[1], test.pad[0], test.pad[1], test.stride[0], test.stride[1], test.dilation[0],
                 test.dilation[1], Unwritten(count, &image));
      EXPECT_EQ(DataOf(image), expected);
    }
    CopyTo(&bias, Numbers<TypeParam>(test.image[0], 100));
    for (int i = 0; i < count; ++i) expected[i] += 100 + i / (count / test.image[0]);
    columns_to_images_gpu(AxesOf(test), 1, test.image[0], columns.gpu_data(), bias.gpu_data(),
                          Unwritten(count, &image));
    EXPECT_EQ(DataOf(image), expected);
  }
}

// Each row of the columns has the images' parts one after the other.
TYPED_TEST(Im2colTest, GpuTakesSeveralImages) {
  SKIP_WITHOUT_GPU();
  constexpr int kImages = 3;
  for (const Case& test : Cases()) {
    const vector<int> shape = test.columns();
    const int rows = shape[0], outputs = Product(shape) / rows, image_size = Product(test.image);
    vector<TypeParam> expected(kImages * rows * outputs), image_columns(rows * outputs);
    Blob<TypeParam> images, columns, back;
    CopyTo(&images, Numbers<TypeParam>(kImages * image_size, 1));
    for (int n = 0; n < kImages; ++n) {
      im2col_nd_cpu(images.cpu_data() + n * image_size, test.axes(), test.image.data(), shape.data(),
                    test.kernel.data(), test.pad.data(), test.stride.data(), test.dilation.data(),
                    image_columns.data());
      for (int i = 0; i < rows * outputs; ++i) {
        expected[(i / outputs * kImages + n) * outputs + i % outputs] = image_columns[i];
      }
    }
    const int count = static_cast<int>(expected.size());
    images_to_columns_gpu(AxesOf(test), kImages, test.image[0], images.gpu_data(),
                          Unwritten(count, &columns));
    EXPECT_EQ(DataOf(columns), expected);
    columns_to_images_gpu<TypeParam>(AxesOf(test), kImages, test.image[0], columns.gpu_data(), nullptr,
                                     Unwritten(images.count(), &back));
    for (int n = 0; n < kImages; ++n) {
      vector<TypeParam> image(image_size);
      for (int i = 0; i < rows * outputs; ++i) {
        image_columns[i] = expected[(i / outputs * kImages + n) * outputs + i % outputs];
      }
      col2im_nd_cpu(image_columns.data(), test.axes(), test.image.data(), shape.data(), test.kernel.data(),
                    test.pad.data(), test.stride.data(), test.dilation.data(), image.data());
      const TypeParam* got = back.cpu_data() + n * image_size;
      EXPECT_EQ(vector<TypeParam>(got, got + image_size), image);
    }
  }
}

#endif  // !CPU_ONLY

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
