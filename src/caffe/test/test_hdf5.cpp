#include "caffe/util/hdf5.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "layer_test_util.hpp"
#include "net_test_util.hpp"

namespace caffe {

TEST(Hdf5FileTest, IsToldByItsFirstBytes) {
  const TempFolder folder;
  EXPECT_TRUE(IsHdf5File(folder.Save("a", "\x89HDF\r\n\x1a\nmore")));
  EXPECT_FALSE(IsHdf5File(folder.Save("b.h5", "\x89HDF")));
  EXPECT_FALSE(IsHdf5File(folder.Save("c.h5", "name: 'net'")));
  EXPECT_FALSE(IsHdf5File(folder / "none.h5"));
  EXPECT_FALSE(IsHdf5File(folder.path()));
}

#ifdef USE_HDF5

namespace {

template <typename Dtype>
void FillAscending(Blob<Dtype>* blob) {
  std::iota(blob->mutable_cpu_data(), blob->mutable_cpu_data() + blob->count(), Dtype(0.5));
  std::iota(blob->mutable_cpu_diff(), blob->mutable_cpu_diff() + blob->count(), Dtype(-100.25));
}

Hdf5Handle CreateFile(const string& path) {
  return Hdf5Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
}

}  // namespace

template <typename Dtype>
class Hdf5Test : public ::testing::Test {
 protected:
  string Path() const { return folder_ / "file.h5"; }
  Hdf5Handle Create() const { return CreateFile(Path()); }
  Hdf5Handle Open() const { return Hdf5OpenFile(Path()); }

  TempFolder folder_;
};

TYPED_TEST_SUITE(Hdf5Test, TestDtypes);

TYPED_TEST(Hdf5Test, BlobsOfAllShapesComeBack) {
  const vector<vector<int>> shapes = {{}, {1}, {7}, {2, 3}, {3, 1, 2, 5}, {2, 1, 1, 3, 1, 2}, {2, 0, 3}};
  {
    const Hdf5Handle file = this->Create();
    for (size_t i = 0; i < shapes.size(); ++i) {
      Blob<TypeParam> blob(shapes[i]);
      FillAscending(&blob);
      hdf5_save_nd_dataset(file.get(), "data" + std::to_string(i), blob);
      hdf5_save_nd_dataset(file.get(), "diff" + std::to_string(i), blob, true);
    }
  }
  const Hdf5Handle file = this->Open();
  for (size_t i = 0; i < shapes.size(); ++i) {
    Blob<TypeParam> expected(shapes[i]);
    FillAscending(&expected);
    Blob<TypeParam> data(vector<int>{1, 2});
    hdf5_load_nd_dataset(file.get(), ("data" + std::to_string(i)).c_str(), 0, kMaxBlobAxes, &data, true);
    EXPECT_EQ(data.shape(), shapes[i]);
    EXPECT_EQ(DataOf(data), DataOf(expected));
    Blob<TypeParam> diff(shapes[i]);
    hdf5_load_nd_dataset(file.get(), ("diff" + std::to_string(i)).c_str(), 0, kMaxBlobAxes, &diff);
    for (int j = 0; j < diff.count(); ++j) EXPECT_EQ(diff.cpu_data()[j], expected.cpu_diff()[j]);
  }
}

TYPED_TEST(Hdf5Test, NumbersOfOtherTypesAreConverted) {
  const Hdf5Handle file = this->Create();
  const hsize_t shape[] = {2, 2};
  const Hdf5Handle space(H5Screate_simple(2, shape, nullptr), H5Sclose);
  const double doubles[] = {0.5, -1.25, 3, 4};
  const float floats[] = {0.5f, -1.25f, 3, 4};
  const unsigned char bytes[] = {0, 1, 200, 255};
  const auto save = [&](const char* name, hid_t type, const void* values) {
    const Hdf5Handle set(
        H5Dcreate2(file.get(), name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose);
    ASSERT_GE(H5Dwrite(set.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
  };
  save("doubles", H5T_NATIVE_DOUBLE, doubles);
  save("floats", H5T_NATIVE_FLOAT, floats);
  save("bytes", H5T_NATIVE_UCHAR, bytes);
  Blob<TypeParam> blob;
  hdf5_load_nd_dataset(file.get(), "doubles", 2, 2, &blob, true);
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{0.5, -1.25, 3, 4}));
  hdf5_load_nd_dataset(file.get(), "floats", 2, 2, &blob, true);
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{0.5, -1.25, 3, 4}));
  hdf5_load_nd_dataset(file.get(), "bytes", 2, 2, &blob, true);
  EXPECT_EQ(DataOf(blob), (vector<TypeParam>{0, 1, 200, 255}));
}

TYPED_TEST(Hdf5Test, ErrorsNameFileAndDataset) {
  {
    const Hdf5Handle file = this->Create();
    const Hdf5Handle group = Hdf5CreateGroup(file.get(), "group");
    hdf5_save_nd_dataset(group.get(), "matrix", Blob<TypeParam>({2, 3}));
    hdf5_save_string(group.get(), "text", "words");
    hdf5_save_int(group.get(), "number", 3);
  }
  const Hdf5Handle file = this->Open();
  const Hdf5Handle group = Hdf5OpenGroup(file.get(), "group");
  const string start = this->Path() + ": ";
  Blob<TypeParam> blob({3, 2});
  const auto load = [&](const char* name, int min_axes, int max_axes) {
    return ErrorOf([&] { hdf5_load_nd_dataset(group.get(), name, min_axes, max_axes, &blob); });
  };
  EXPECT_EQ(load("none", 0, 4), start + "has no dataset '/group/none'");
  EXPECT_EQ(load("matrix", 0, 4),
            start + "shape mismatch: dataset '/group/matrix' has the shape 2 3, but 3 2 (6) is expected");
  EXPECT_EQ(load("matrix", 3, 4), start + "dataset '/group/matrix' has 2 axes; 3 to 4 are expected");
  EXPECT_EQ(load("text", 0, 4), start + "dataset '/group/text' holds text, not numbers");
  EXPECT_EQ(blob.shape(), (vector<int>{3, 2}));
  EXPECT_EQ(ErrorOf([&] { hdf5_load_int(group.get(), "matrix"); }),
            start + "dataset '/group/matrix' is not a single integer");
  EXPECT_EQ(ErrorOf([&] { hdf5_load_string(group.get(), "number"); }),
            start + "dataset '/group/number' is not a single text");
  EXPECT_EQ(ErrorOf([&] { hdf5_load_int(group.get(), "none"); }), start + "has no dataset '/group/none'");
  EXPECT_EQ(ErrorOf([&] { Hdf5OpenGroup(file.get(), "none"); }), start + "has no group '/none'");
  EXPECT_TRUE(Contains(ErrorOf([&] { hdf5_save_int(group.get(), "more", 1); }),
                       start + "cannot write dataset '/group/more'"))
      << "the file is open for reading";
}

TYPED_TEST(Hdf5Test, AHugeClaimIsRefused) {
  const Hdf5Handle file = this->Create();
  // Chunks that were never written take no space, so that a small file may claim any size.
  const hsize_t shape[] = {hsize_t(1) << 40, 2};
  const hsize_t chunk[] = {16, 2};
  const Hdf5Handle space(H5Screate_simple(2, shape, nullptr), H5Sclose);
  const Hdf5Handle chunked(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(chunked.get(), 2, chunk);
  const Hdf5Handle set(
      H5Dcreate2(file.get(), "huge", H5T_NATIVE_FLOAT, space.get(), H5P_DEFAULT, chunked.get(), H5P_DEFAULT),
      H5Dclose);
  Blob<TypeParam> blob;
  EXPECT_TRUE(Contains(ErrorOf([&] { hdf5_load_nd_dataset(file.get(), "huge", 0, 4, &blob, true); }),
                       "dataset '/huge' would take 8796093022208 bytes, which the file"));
}

TEST(Hdf5FileTest, IntegersAndTextsComeBack) {
  const TempFolder folder;
  {
    const Hdf5Handle file = CreateFile(folder / "file.h5");
    hdf5_save_int(file.get(), "zero", 0);
    hdf5_save_int(file.get(), "negative", -123456789);
    hdf5_save_string(file.get(), "empty", "");
    hdf5_save_string(file.get(), "text", "snapshots/lenet_iter_10.caffemodel");
  }
  const Hdf5Handle file = Hdf5OpenFile(folder / "file.h5");
  EXPECT_EQ(hdf5_load_int(file.get(), "zero"), 0);
  EXPECT_EQ(hdf5_load_int(file.get(), "negative"), -123456789);
  EXPECT_EQ(hdf5_load_string(file.get(), "empty"), "");
  EXPECT_EQ(hdf5_load_string(file.get(), "text"), "snapshots/lenet_iter_10.caffemodel");
}

TEST(Hdf5FileTest, TextsOfVariableLengthAreRead) {
  // As other programs write them.
  const TempFolder folder;
  const Hdf5Handle file = CreateFile(folder / "file.h5");
  const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  {
    const Hdf5Handle set(
        H5Dcreate2(file.get(), "text", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
        H5Dclose);
    const char* text = "from elsewhere";
    H5Dwrite(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, &text);
  }
  EXPECT_EQ(hdf5_load_string(file.get(), "text"), "from elsewhere");
}

TEST(Hdf5FileTest, GroupsAreListedByName) {
  const TempFolder folder;
  const Hdf5Handle file = CreateFile(folder / "file.h5");
  const Hdf5Handle nested = Hdf5CreateGroup(file.get(), "b/inner");
  const Hdf5Handle outer = Hdf5CreateGroup(file.get(), "b");
  hdf5_save_int(file.get(), "c", 1);
  hdf5_save_int(file.get(), "a", 1);
  EXPECT_EQ(hdf5_get_num_links(file.get()), 3);
  EXPECT_EQ(hdf5_get_name_by_idx(file.get(), 0), "a");
  EXPECT_EQ(hdf5_get_name_by_idx(file.get(), 1), "b");
  EXPECT_EQ(hdf5_get_name_by_idx(file.get(), 2), "c");
  EXPECT_THROW(hdf5_get_name_by_idx(file.get(), 3), Error);
  EXPECT_EQ(hdf5_get_num_links(outer.get()), 1);
  EXPECT_EQ(hdf5_get_num_links(nested.get()), 0);
  EXPECT_TRUE(Hdf5Exists(file.get(), "b/inner"));
  EXPECT_FALSE(Hdf5Exists(file.get(), "d"));
  EXPECT_TRUE(Hdf5IsGroup(file.get(), "b"));
  EXPECT_FALSE(Hdf5IsGroup(file.get(), "a"));
}

TEST(Hdf5FileTest, FilesThatCannotBeReadOrMadeAreNamed) {
  const TempFolder folder;
  const string missing = folder / "none.h5";
  EXPECT_EQ(ErrorOf([&] { Hdf5OpenFile(missing); }),
            "cannot read '" + missing + "': No such file or directory");
  const string text = folder.Save("text.h5", "no HDF5");
  EXPECT_TRUE(Contains(ErrorOf([&] { Hdf5OpenFile(text); }), text + ": not a whole HDF5 file"));
  {
    const Hdf5Handle file = CreateFile(folder / "whole.h5");
    hdf5_save_nd_dataset(file.get(), "data", Blob<float>({100, 100}));
  }
  const string whole = folder.Load("whole.h5");
  const string cut = folder.Save("cut.h5", whole.substr(0, whole.size() / 2));
  EXPECT_TRUE(Contains(ErrorOf([&] { Hdf5OpenFile(cut); }), cut + ": not a whole HDF5 file: truncated file"));
  const string nowhere = folder / "no/file.h5";
  EXPECT_TRUE(
      Contains(ErrorOf([&] { Hdf5WriteFile(nowhere, [](hid_t) {}); }), "cannot write '" + nowhere + "'"));
}

TEST(Hdf5FileTest, WhatTheFileDoesNotHoldIsNotRead) {
  const TempFolder folder;
  const string path = folder / "foreign.h5";
  const hsize_t huge[] = {1 << 15, 1 << 15}, row[] = {1, 1 << 15};
  {
    const Hdf5Handle file = CreateFile(path);
    const Hdf5Handle space(H5Screate_simple(2, huge, nullptr), H5Sclose);
    const auto add = [&](const char* name, const Hdf5Handle& layout) {
      Hdf5Handle(
          H5Dcreate2(file.get(), name, H5T_NATIVE_FLOAT, space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
          H5Dclose);
    };
    const Hdf5Handle plain(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    add("never_filled", plain);
    H5Pset_chunk(plain.get(), 2, row);
    add("no_chunks", plain);
    const Hdf5Handle external(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_external(external.get(), folder.Save("other.bin", "other").c_str(), 0, H5F_UNLIMITED);
    add("external", external);
    // A text of a gigabyte.
    const Hdf5Handle text(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(text.get(), size_t{1} << 30);
    const Hdf5Handle scalar(H5Screate(H5S_SCALAR), H5Sclose);
    Hdf5Handle(
        H5Dcreate2(file.get(), "text", text.get(), scalar.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
        H5Dclose);
    CreateFile(folder / "other.h5");
    H5Lcreate_external((folder / "other.h5").c_str(), "/", file.get(), "elsewhere", H5P_DEFAULT, H5P_DEFAULT);
  }
  const Hdf5Handle file = Hdf5OpenFile(path);
  const auto error = [&](const char* name) {
    Blob<float> blob;
    return ErrorOf([&] { hdf5_load_nd_dataset(file.get(), name, 0, kMaxBlobAxes, &blob, true); });
  };
  EXPECT_TRUE(
      Contains(error("never_filled"), "dataset '/never_filled' would take 4294967296 bytes, which the file"));
  EXPECT_TRUE(Contains(error("no_chunks"), "would take 4294967296 bytes"));
  EXPECT_TRUE(Contains(error("external"), "dataset '/external' has its values in other files"));
  EXPECT_TRUE(
      Contains(ErrorOf([&] { hdf5_load_string(file.get(), "text"); }), "would take 1073741824 bytes"));
  EXPECT_FALSE(Hdf5IsGroup(file.get(), "elsewhere"));
}

TEST(Hdf5FileTest, NoPluginsAreLoaded) {
  const TempFolder folder;
  unsigned int before, within, after;
  ASSERT_GE(H5PLset_loading_state(H5PL_ALL_PLUGIN), 0);
  H5PLget_loading_state(&before);
  Hdf5WriteFile(folder / "file.h5", [&](hid_t) { H5PLget_loading_state(&within); });
  H5PLget_loading_state(&after);
  EXPECT_EQ(within, 0u);
  EXPECT_EQ(after, before);
}

TEST(Hdf5FileTest, WritesWholeFilesOrNone) {
  const TempFolder folder;
  const string file = folder.Save("state.h5", "old");
  const auto fail = [](hid_t id) {
    hdf5_save_int(id, "iter", 1);
    throw Error("on the way");
  };
  EXPECT_EQ(ErrorOf([&] { Hdf5WriteFile(file, fail); }), file + ": on the way");
  EXPECT_EQ(folder.Load("state.h5"), "old");
  EXPECT_EQ(folder.Files(), (std::set<string>{"state.h5"}));
  Hdf5WriteFile(file, [](hid_t id) { hdf5_save_int(id, "iter", 7); });
  EXPECT_EQ(hdf5_load_int(Hdf5OpenFile(file).get(), "iter"), 7);
  EXPECT_EQ(folder.Files(), (std::set<string>{"state.h5"}));
}

#endif  // USE_HDF5

}  // namespace caffe
