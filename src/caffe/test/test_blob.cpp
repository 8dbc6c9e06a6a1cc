#include "caffe/blob.hpp"

#include <gtest/gtest.h>

#include <climits>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "layer_test_util.hpp"
#include "net_test_util.hpp"

namespace caffe {

namespace {

template <typename Dtype>
void FillAscending(Blob<Dtype>* blob, Dtype data_start, Dtype diff_start) {
  std::iota(blob->mutable_cpu_data(), blob->mutable_cpu_data() + blob->count(), data_start);
  std::iota(blob->mutable_cpu_diff(), blob->mutable_cpu_diff() + blob->count(), diff_start);
}

BlobProto Proto(const string& text) { return FromText<BlobProto>(text); }

}  // namespace

template <typename Dtype>
class BlobTest : public ::testing::Test {
 protected:
  string ProtoError(const string& text, bool reshape = true) {
    Blob<Dtype> blob({2, 3});
    return ErrorOf([&] { blob.FromProto(Proto(text), reshape); });
  }
};

TYPED_TEST_SUITE(BlobTest, TestDtypes);

// ------------------------------------------------------------------------------------------------------
// shape

TYPED_TEST(BlobTest, StartsWithoutShape) {
  Blob<TypeParam> blob;
  EXPECT_EQ(blob.num_axes(), 0);
  EXPECT_EQ(blob.count(), 0);
  EXPECT_EQ(blob.shape_string(), "(0)");
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.cpu_data(); }), "no shape yet"));
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.mutable_cpu_diff(); }), "no shape yet"));
  EXPECT_EQ(blob.asum_data(), 0);
}

TYPED_TEST(BlobTest, HasShapesOfAnyNumberOfAxes) {
  Blob<TypeParam> blob(vector<int>{2, 3, 1, 5, 7});
  EXPECT_EQ(blob.num_axes(), 5);
  EXPECT_EQ(blob.count(), 210);
  EXPECT_EQ(blob.shape_string(), "2 3 1 5 7 (210)");
  EXPECT_EQ(blob.shape(3), 5);
  EXPECT_EQ(blob.shape(-1), 7);
  EXPECT_EQ(blob.shape(-5), 2);
  EXPECT_EQ(blob.count(1), 105);
  EXPECT_EQ(blob.count(1, 4), 15);
  EXPECT_EQ(blob.count(3, 3), 1);
  EXPECT_EQ(blob.count(5), 1);

  blob.Reshape(vector<int>());
  EXPECT_EQ(blob.count(), 1) << "a scalar";
  blob.Reshape({4, 0, 2});
  EXPECT_EQ(blob.count(), 0);
  EXPECT_NE(blob.cpu_data(), nullptr);
  BlobShape shape;
  shape.add_dim(6);
  shape.add_dim(2);
  blob.Reshape(shape);
  EXPECT_EQ(blob.shape(), (vector<int>{6, 2}));
  Blob<TypeParam> other;
  other.ReshapeLike(blob);
  EXPECT_EQ(other.shape(), blob.shape());
}

TYPED_TEST(BlobTest, HasTheLegacyAxes) {
  const Blob<TypeParam> blob(2, 3, 4, 5);
  EXPECT_EQ(blob.shape(), (vector<int>{2, 3, 4, 5}));
  EXPECT_EQ(blob.num(), 2);
  EXPECT_EQ(blob.channels(), 3);
  EXPECT_EQ(blob.height(), 4);
  EXPECT_EQ(blob.width(), 5);
  const Blob<TypeParam> matrix(vector<int>{6, 7});
  EXPECT_EQ(matrix.channels(), 7);
  EXPECT_EQ(matrix.height(), 1);
  EXPECT_EQ(matrix.LegacyShape(-1), 7) << "counted from the end where negative";
  EXPECT_EQ(matrix.LegacyShape(-3), 1);
  EXPECT_THROW(matrix.LegacyShape(4), Error);
  EXPECT_THROW(matrix.LegacyShape(-5), Error);
  EXPECT_THROW(Blob<TypeParam>(vector<int>(5, 1)).num(), Error);
}

TYPED_TEST(BlobTest, RefusesImpossibleShapes) {
  Blob<TypeParam> blob({2, 3});
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.Reshape({2, -1}); }), "must not be negative: 2 -1"));
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.Reshape({65536, 65536}); }),
                       "at most 2147483647 elements, not 65536 65536"));
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.Reshape({INT_MAX, INT_MAX, INT_MAX}); }), "at most"));
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.Reshape({0, 65536, 65536}); }), "at most"))
      << "the count of the last two axes would overflow";
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.Reshape(vector<int>(kMaxBlobAxes + 1, 1)); }), "at most 32 axes"));
  BlobShape shape;
  shape.add_dim(int64_t(1) << 32);
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.Reshape(shape); }), "impossible dimension 4294967296"));
  EXPECT_EQ(blob.shape(), (vector<int>{2, 3})) << "it stays as it was";
  EXPECT_EQ(blob.count(), 6);
  blob.Reshape(vector<int>(kMaxBlobAxes, 1));
  EXPECT_EQ(blob.count(), 1);
}

TYPED_TEST(BlobTest, RefusesAxesAndIndicesOutside) {
  const Blob<TypeParam> blob(vector<int>{2, 3});
  EXPECT_EQ(blob.CanonicalAxisIndex(-2), 0);
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.CanonicalAxisIndex(2); }), "axis 2 is out of range"));
  EXPECT_THROW(blob.CanonicalAxisIndex(-3), Error);
  EXPECT_THROW(blob.shape(2), Error);
  EXPECT_THROW(blob.count(1, 3), Error);
  EXPECT_THROW(blob.count(-1), Error);
  EXPECT_THROW(blob.count(2, 1), Error);
  EXPECT_THROW(blob.offset({0, 3}), Error);
  EXPECT_THROW(blob.offset(vector<int>{-1}), Error);
  EXPECT_THROW(blob.offset({0, 0, 0}), Error);
}

TYPED_TEST(BlobTest, IndexesRowMajor) {
  Blob<TypeParam> blob(2, 3, 4, 5);
  FillAscending<TypeParam>(&blob, 0, 1000);
  EXPECT_EQ(blob.offset(1, 2, 3, 4), 119);
  EXPECT_EQ(blob.offset(1), 60);
  EXPECT_EQ(blob.offset({1, 2}), 100) << "missing indices are 0";
  EXPECT_EQ(blob.data_at(1, 0, 2, 3), 73);
  EXPECT_EQ(blob.diff_at(1, 0, 2, 3), 1073);
  EXPECT_EQ(blob.data_at({0, 1, 0, 1}), 21);
  EXPECT_EQ(blob.diff_at({0, 1, 0, 1}), 1021);
}

// -----------------------------------------------------------------------------------------------------
// memory

TYPED_TEST(BlobTest, KeepsMemoryThatSuffices) {
  Blob<TypeParam> blob({4, 5});
  FillAscending<TypeParam>(&blob, 1, 2);
  const TypeParam* data = blob.cpu_data();
  blob.Reshape({3, 2});
  EXPECT_EQ(blob.cpu_data(), data);
  EXPECT_EQ(blob.cpu_data()[5], 6);
  blob.Reshape({20});
  EXPECT_EQ(blob.cpu_data(), data);
  blob.Reshape({21});
  EXPECT_EQ(blob.asum_data(), 0) << "fresh";
}

TYPED_TEST(BlobTest, UsesTheCallersMemory) {
  TypeParam theirs[6] = {1, 2, 3, 4, 5, 6};
  Blob<TypeParam> blob({5, 5});
  blob.Reshape({2, 3});
  blob.set_cpu_data(theirs);
  EXPECT_EQ(blob.cpu_data(), theirs);
  EXPECT_EQ(blob.data()->size(), sizeof(theirs)) << "not that of the larger shape before";
  blob.mutable_cpu_data()[0] = 7;
  EXPECT_EQ(theirs[0], 7);
  blob.Reshape({2, 4});
  EXPECT_NE(blob.cpu_data(), theirs) << "theirs does not suffice";
}

TYPED_TEST(BlobTest, SharesAnothersMemory) {
  Blob<TypeParam> owner({2, 3}), reader({3, 2}), other({5});
  FillAscending<TypeParam>(&owner, 1, 10);
  reader.ShareData(owner);
  EXPECT_EQ(reader.cpu_data(), owner.cpu_data());
  EXPECT_NE(reader.cpu_diff(), owner.cpu_diff());
  reader.ShareDiff(owner);
  EXPECT_EQ(reader.cpu_diff(), owner.cpu_diff());
  reader.mutable_cpu_data()[1] = 9;
  EXPECT_EQ(owner.cpu_data()[1], 9);
  EXPECT_THROW(other.ShareData(owner), Error);
  EXPECT_THROW(other.ShareDiff(owner), Error);
}

TYPED_TEST(BlobTest, CopiesDataOrDiff) {
  Blob<TypeParam> source({2, 3}), same({2, 3}), other({6});
  FillAscending<TypeParam>(&source, 1, 10);
  same.CopyFrom(source);
  EXPECT_EQ(DataOf(same), DataOf(source));
  EXPECT_EQ(same.asum_diff(), 0);
  same.CopyFrom(source, true);
  EXPECT_EQ(DiffOf(same), DiffOf(source));
  const string error = ErrorOf([&] { other.CopyFrom(source); });
  EXPECT_TRUE(Contains(error, "2 3 (6)"));
  EXPECT_TRUE(Contains(error, "without reshape"));
  other.CopyFrom(source, false, true);
  EXPECT_EQ(other.shape(), source.shape());
  EXPECT_EQ(DataOf(other), DataOf(source));
  Blob<TypeParam> scalar((vector<int>())), fresh;
  scalar.mutable_cpu_data()[0] = 5;
  fresh.CopyFrom(scalar, false, true);
  EXPECT_EQ(fresh.data_at(vector<int>()), 5) << "a new blob has the shape of a scalar, but no element";
}

#ifdef CPU_ONLY

TYPED_TEST(BlobTest, WithoutAGpuItsSideIsAnError) {
  Blob<TypeParam> blob({2});
  const vector<std::function<void()>> uses = {
      [&] { blob.gpu_data(); },         [&] { blob.gpu_diff(); },  [&] { blob.mutable_gpu_data(); },
      [&] { blob.mutable_gpu_diff(); }, [&] { blob.gpu_shape(); }, [&] { blob.set_gpu_data(nullptr); }};
  for (const auto& use : uses) EXPECT_TRUE(Contains(ErrorOf(use), "needs a GPU"));
}

#endif  // CPU_ONLY

// --------------------------------------------------------------------------------------------------
// arithmetic

TYPED_TEST(BlobTest, SumsAndScales) {
  Blob<TypeParam> blob({3, 1});
  EXPECT_EQ(blob.asum_data() + blob.sumsq_data() + blob.asum_diff() + blob.sumsq_diff(), 0) << "untouched";
  blob.scale_data(3);
  EXPECT_EQ(blob.data()->head(), SyncedMemory::UNINITIALIZED) << "zeros need no memory";
  blob.mutable_cpu_data()[0] = -1;
  blob.mutable_cpu_data()[2] = 3;
  blob.mutable_cpu_diff()[1] = -2;
  EXPECT_EQ(blob.asum_data(), 4);
  EXPECT_EQ(blob.sumsq_data(), 10);
  EXPECT_EQ(blob.asum_diff(), 2);
  EXPECT_EQ(blob.sumsq_diff(), 4);
  blob.scale_data(-0.5);
  blob.scale_diff(2);
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{0.5, 0, -1.5}));
  EXPECT_EQ(DiffOf(blob), (vector<TypeParam>{0, -4, 0}));
  blob.Update();
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{0.5, 4, -1.5}));
}

TYPED_TEST(BlobTest, StatisticsAreOfTheShapeNotOfTheMemory) {
  Blob<TypeParam> blob({4});
  for (int i = 0; i < 4; ++i) blob.mutable_cpu_data()[i] = 1;
  blob.Reshape({3});
  EXPECT_EQ(blob.asum_data(), 3);
}

TEST(IntegerBlobTest, HoldsIndicesAndRefusesArithmetic) {
  Blob<int> indices({2, 2});
  indices.mutable_cpu_data()[3] = 7;
  Blob<int> copy;
  copy.CopyFrom(indices, false, true);
  EXPECT_EQ(copy.data_at({1, 1}), 7);
  Blob<unsigned int> mask({3});
  mask.mutable_cpu_data()[0] = UINT_MAX;
  EXPECT_THROW(indices.asum_data(), Error);
  EXPECT_THROW(indices.sumsq_diff(), Error);
  EXPECT_THROW(indices.Update(), Error);
  EXPECT_THROW(mask.scale_data(2), Error);
  BlobProto proto;
  EXPECT_THROW(indices.ToProto(&proto), Error);
}

// ---------------------------------------------------------------------------------------------------
// messages

TYPED_TEST(BlobTest, GoesThroughMessages) {
  for (const vector<int>& shape : {vector<int>{}, {4}, {2, 3}, {1, 2, 3, 1, 2}, {2, 0}}) {
    Blob<TypeParam> blob(shape), data_only, both, in_place(shape);
    FillAscending<TypeParam>(&blob, 0.25, -7);
    BlobProto proto;
    blob.ToProto(&proto);
    data_only.FromProto(proto);
    EXPECT_EQ(data_only.shape(), shape);
    EXPECT_EQ(DataOf(data_only), DataOf(blob));
    EXPECT_EQ(data_only.asum_diff(), 0);
    blob.ToProto(&proto, true);
    both.FromProto(proto);
    EXPECT_EQ(DataOf(both), DataOf(blob));
    EXPECT_EQ(DiffOf(both), DiffOf(blob));
    in_place.FromProto(proto, false);
    EXPECT_EQ(DataOf(in_place), DataOf(blob));
  }
}

TYPED_TEST(BlobTest, ReadsBothWidths) {
  Blob<TypeParam> blob;
  blob.FromProto(Proto("shape { dim: 2 } data: 0.5 data: 3 diff: 1 diff: 2"));
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{0.5, 3}));
  EXPECT_EQ(DiffOf(blob), (vector<TypeParam>{1, 2}));
  blob.FromProto(Proto("shape { dim: 2 } double_data: 1.5 double_data: 4 double_diff: 7 double_diff: 8"));
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{1.5, 4}));
  EXPECT_EQ(DiffOf(blob), (vector<TypeParam>{7, 8}));
}

TYPED_TEST(BlobTest, ReadsPackedWeights) {
  Blob<TypeParam> blob;
  blob.FromProto(Proto("shape { dim: 2 dim: 2 } signs: '\\001\\002' alphas: 0.5 alphas: 2"));
  EXPECT_EQ(blob.shape(), (vector<int>{2, 2}));
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{0.5, -0.5, -2, 2}));
  blob.FromProto(Proto("shape { dim: 1 dim: 3 dim: 3 } signs: '\\007\\001' alphas: 1 " +
                       string("diff: 0 diff: 0 diff: 0 diff: 0 diff: 0 diff: 0 diff: 0 diff: 0 diff: 7")));
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{1, 1, 1, -1, -1, -1, -1, -1, 1}));
  EXPECT_EQ(DiffOf(blob)[8], 7);
}

TYPED_TEST(BlobTest, DamagedPackedWeightsAreErrors) {
  const auto fails = [this](const string& text, const string& what) {
    const string error = this->ProtoError(text);
    EXPECT_TRUE(Contains(error, what) && Contains(error, "pack_caffemodel")) << error;
  };
  const string alphas = "alphas: 1 alphas: 2 ", signs = "signs: '12' ", shape = "shape { dim: 2 dim: 3 } ";
  EXPECT_EQ(this->ProtoError(shape + signs + alphas), "");
  fails(shape + "signs: '1' " + alphas, "another number of bytes of signs");
  fails(shape + "signs: '123' " + alphas, "another number of bytes of signs");
  fails(shape + alphas, "another number of bytes of signs");
  fails(shape + signs + "alphas: 1", "another number of alphas than outputs");
  fails(shape + signs, "another number of alphas than outputs");
  fails("shape { dim: 2 dim: 9 }" + signs + alphas, "another number of bytes of signs");
  fails(signs + alphas, "has no outputs");
  fails("shape { dim: 0 dim: 3 } " + signs, "has no outputs");
  fails(shape + signs + alphas + "data: 1 data: 1 data: 1 data: 1 data: 1 data: 1", "both values and signs");
  EXPECT_TRUE(Contains(this->ProtoError("shape { dim: 3 dim: 2 } signs: '123' alphas: 3 " + alphas, false),
                       "shape mismatch"));
}

TYPED_TEST(BlobTest, ReadsLegacyShapes) {
  const string four = "data: 1 data: 2 data: 3 data: 4 data: 5 data: 6 ";
  Blob<TypeParam> blob;
  blob.FromProto(Proto(four + "num: 1 channels: 1 height: 2 width: 3"));
  EXPECT_EQ(blob.shape(), (vector<int>{1, 1, 2, 3}));
  Blob<TypeParam> matrix({2, 3}), vector_({6}), image(1, 1, 2, 3), other({3, 2}), five({1, 1, 1, 2, 3});
  matrix.FromProto(Proto(four + "num: 1 channels: 1 height: 2 width: 3"), false);
  EXPECT_EQ(matrix.shape(), (vector<int>{2, 3})) << "the shape stays where no reshape is asked for";
  EXPECT_EQ(matrix.data_at({1, 2}), 6);
  const BlobProto proto = Proto("num: 1 channels: 1 height: 2 width: 3");
  EXPECT_TRUE(matrix.ShapeEquals(proto));
  EXPECT_TRUE(image.ShapeEquals(proto));
  EXPECT_FALSE(vector_.ShapeEquals(proto));
  EXPECT_FALSE(other.ShapeEquals(proto));
  EXPECT_FALSE(five.ShapeEquals(proto));
  EXPECT_TRUE(vector_.ShapeEquals(Proto("num: 1 channels: 1 height: 1 width: 6")));
  EXPECT_FALSE(vector_.ShapeEquals(Proto("num: 6 channels: 1 height: 1 width: 1")));
  EXPECT_TRUE(matrix.ShapeEquals(Proto("shape { dim: 2 dim: 3 }")));
  EXPECT_FALSE(matrix.ShapeEquals(Proto("shape { dim: 1 dim: 1 dim: 2 dim: 3 }")));
}

TYPED_TEST(BlobTest, DamagedMessagesAreErrors) {
  EXPECT_TRUE(Contains(this->ProtoError("shape { dim: 2 dim: -3 } data: 1"), "impossible dimension -3"));
  EXPECT_TRUE(
      Contains(this->ProtoError("shape { dim: 4294967296 } data: 1"), "impossible dimension 4294967296"));
  EXPECT_TRUE(
      Contains(this->ProtoError("shape { dim: 100000 dim: 100000 } data: 1"), "at most 2147483647 elements"));
  EXPECT_TRUE(Contains(this->ProtoError("shape { dim: 1000000000 } data: 1"), "another number of values"))
      << "no memory is taken for what is not there";
  EXPECT_TRUE(
      Contains(this->ProtoError("shape { dim: 2 } data: 1 data: 2 data: 3"), "another number of values"));
  EXPECT_TRUE(Contains(this->ProtoError("shape { dim: 2 }"), "another number of values"));
  EXPECT_TRUE(Contains(this->ProtoError(""), "another number of values"));
  EXPECT_TRUE(Contains(this->ProtoError("num: 2 channels: 1 height: 1 width: 1 data: 1"),
                       "another number of values"));
  EXPECT_TRUE(
      Contains(this->ProtoError("num: -2 channels: 1 height: 1 width: 1 data: 1"), "must not be negative"));
  EXPECT_TRUE(Contains(
      this->ProtoError("shape { dim: 3 dim: 2 } data: 1 data: 2 data: 3 data: 4 data: 5 data: 6", false),
      "shape mismatch: stored 3 2 but expected 2 3 (6)"));

  Blob<TypeParam> blob({2});
  FillAscending<TypeParam>(&blob, 1, 2);
  EXPECT_TRUE(Contains(ErrorOf([&] { blob.FromProto(Proto("shape { dim: 2 } data: 7 data: 8 diff: 1")); }),
                       "another number of gradients"));
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{1, 2})) << "refused wholly";
}

}  // namespace caffe
