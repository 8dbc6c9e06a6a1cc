#include "caffe/util/path_resolve.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/util/split_list.hpp"
#include "net_test_util.hpp"

namespace caffe {

namespace {

// A working folder with a net's folder in it:
//   here.txt  models/net.prototxt  models/here.txt  models/there.txt  models/lmdb/data.mdb
class PathResolveTest : public ::testing::Test {
 protected:
  PathResolveTest() : working_folder_(folder_.path()) {
    folder_.Save("here.txt", "");
    folder_.Save("models/net.prototxt", "");
    folder_.Save("models/here.txt", "");
    folder_.Save("models/there.txt", "");
    folder_.Save("models/lmdb/data.mdb", "");
  }

  TempFolder folder_;
  WorkingFolder working_folder_;
  LogCapture log_;
};

}  // namespace

TEST(SplitListTest, SplitsAtCommasAndTrims) {
  EXPECT_EQ(SplitList("a"), (std::vector<std::string>{"a"}));
  EXPECT_EQ(SplitList("a,b c, d\t,"), (std::vector<std::string>{"a", "b c", "d"}));
  EXPECT_EQ(SplitList(" , ,,"), std::vector<std::string>());
  EXPECT_EQ(SplitList(""), std::vector<std::string>());
}

TEST_F(PathResolveTest, TheWorkingFolderComesFirst) {
  EXPECT_EQ(ResolvePath("here.txt", "models/net.prototxt"), "here.txt");
  EXPECT_EQ(ResolvePath("./models/there.txt", "models/net.prototxt"), "./models/there.txt");
  EXPECT_EQ(ResolvePath(folder_ / "here.txt", "models/net.prototxt"), folder_ / "here.txt");
  EXPECT_TRUE(log_.messages().empty());
}

TEST_F(PathResolveTest, ThenTheFolderOfTheFile) {
  EXPECT_EQ(ResolvePath("there.txt", "models/net.prototxt"), "models/there.txt");
  ASSERT_EQ(log_.messages().size(), 1u);
  EXPECT_EQ(log_.messages()[0],
            "'there.txt' in models/net.prototxt is not in the working folder: taking models/there.txt");
  EXPECT_EQ(ResolvePath("lmdb", folder_ / "models/net.prototxt"), folder_ / "models/lmdb");
  EXPECT_EQ(ResolvePath("lmdb/", "models/net.prototxt"), "models/lmdb/");
}

TEST_F(PathResolveTest, WhatIsNowhereStays) {
  EXPECT_EQ(ResolvePath("none.txt", "models/net.prototxt"), "none.txt");
  EXPECT_EQ(ResolvePath("/none/none.txt", "models/net.prototxt"), "/none/none.txt");
  EXPECT_EQ(ResolvePath("", "models/net.prototxt"), "");
  EXPECT_EQ(ResolvePath("none.txt", "net.prototxt"), "none.txt");
  EXPECT_TRUE(log_.messages().empty());
}

TEST_F(PathResolveTest, NetsReadTheirInputsFromBesideTheFile) {
  NetParameter net = FromText<NetParameter>(R"(
    layer { name: 'there.txt' type: 'Data' data_param { source: 'lmdb' }
            transform_param { mean_file: 'there.txt' } }
    layer { image_data_param { source: 'there.txt' root_folder: 'lmdb/' mean_file: 'there.txt' } }
    layer { hdf5_data_param { source: 'there.txt' } hdf5_output_param { file_name: 'there.txt' } }
    layer { window_data_param { source: 'none.txt' root_folder: '' mean_file: 'here.txt' } }
    layer { infogain_loss_param { source: 'there.txt' } })");
  ResolvePaths("models/net.prototxt", &net);
  EXPECT_EQ(net.DebugString(), FromText<NetParameter>(R"(
    layer { name: 'there.txt' type: 'Data' data_param { source: 'models/lmdb' }
            transform_param { mean_file: 'models/there.txt' } }
    layer { image_data_param { source: 'models/there.txt' root_folder: 'models/lmdb/'
                               mean_file: 'models/there.txt' } }
    layer { hdf5_data_param { source: 'models/there.txt' } hdf5_output_param { file_name: 'there.txt' } }
    layer { window_data_param { source: 'none.txt' root_folder: '' mean_file: 'here.txt' } }
    layer { infogain_loss_param { source: 'models/there.txt' } })")
                                   .DebugString());
}

TEST_F(PathResolveTest, SolversFindTheirNetsAndWeightsAndWriteToTheWorkingFolder) {
  SolverParameter solver = FromText<SolverParameter>(R"(
    net: 'there.txt' train_net: 'here.txt' test_net: 'none.txt' test_net: 'there.txt'
    weights: 'there.txt, here.txt,none.txt' snapshot_prefix: 'lmdb'
    net_param { layer { data_param { source: 'lmdb' } } }
    train_net_param { layer { data_param { source: 'lmdb' } } }
    test_net_param { layer { data_param { source: 'lmdb' } } })");
  ResolvePaths("models/net.prototxt", &solver);
  EXPECT_EQ(solver.DebugString(), FromText<SolverParameter>(R"(
    net: 'models/there.txt' train_net: 'here.txt' test_net: 'none.txt' test_net: 'models/there.txt'
    weights: 'models/there.txt,here.txt,none.txt' snapshot_prefix: 'lmdb'
    net_param { layer { data_param { source: 'models/lmdb' } } }
    train_net_param { layer { data_param { source: 'models/lmdb' } } }
    test_net_param { layer { data_param { source: 'models/lmdb' } } })")
                                      .DebugString());
}

}  // namespace caffe
