// Data layers serve the same with any number of threads, and go on from where they, or a training, stopped.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "caffe/layers/memory_data_layer.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/db.hpp"
#include "caffe/util/format.hpp"
#include "caffe/util/hdf5.hpp"
#include "caffe/util/image.hpp"
#include "caffe/util/parallel_for.hpp"
#include "data_layer_test_util.hpp"
#include "solver_test_util.hpp"

namespace caffe {

namespace {

constexpr int kImages = 11, kSide = 48;

/// Noise, which does not get small as PNG: its decoding is work for several threads.
Image Noise(int i) {
  Image image(kSide, kSide, 3);
  uint32_t value = 77 + i;
  for (uint8_t& pixel : image.pixels) pixel = (value = value * 1664525 + 1013904223) >> 24;
  return image;
}

/// A folder with the images as files, a list, a window file, databases and HDF5 files.
class Sources {
 public:
  Sources() {
    string list, windows;
    const std::unique_ptr<db::DB> database(db::GetDB(DataParameter::LMDB));
    database->Open(folder_ / "lmdb", db::NEW);
    const std::unique_ptr<db::Transaction> transaction(database->NewTransaction());
    for (int i = 0; i < kImages; ++i) {
      const string number = std::to_string(i);
      Datum datum;
      datum.set_encoded(true);
      datum.set_label(i);
      datum.set_data(EncodeImage(Noise(i), ImageFormat::PNG));
      transaction->Put(format_int(i, 3), datum.SerializeAsString());
      list += folder_.Save(number + ".png", datum.data()) + " " + number + "\n";
      windows += "# " + number + " " + folder_ / (number + ".png") + " 3 48 48 2\n" + "1 0.9 3 4 30 40\n" +
                 "2 0.1 5 6 40 30\n";
    }
    transaction->Commit();
    folder_.Save("list.txt", list);
    folder_.Save("windows.txt", windows);
#ifdef USE_HDF5
    for (const int first : {0, 4}) {
      const int rows = first == 0 ? 4 : kImages - 4;
      Blob<float> data(vector<int>{rows, 2}), label(vector<int>{rows});
      for (int i = 0; i < rows; ++i) {
        label.mutable_cpu_data()[i] = data.mutable_cpu_data()[2 * i] = first + i;
        data.mutable_cpu_data()[2 * i + 1] = 0.5;
      }
      const Hdf5Handle file = Hdf5CreateFile(folder_ / (std::to_string(first) + ".h5"));
      hdf5_save_nd_dataset(file.get(), "data", data);
      hdf5_save_nd_dataset(file.get(), "label", label);
    }
    folder_.Save("files.txt", "0.h5\n4.h5\n");
#endif
  }

  /// Layers of all sources, with all that is random in them.
  vector<string> Layers() const {
    const string head = "name: 'data' top: 'data' top: 'label' ";
    const string transform = " transform_param { crop_size: 40 mirror: true scale: 0.01 mean_value: 128 } ";
    vector<string> layers = {
        head + transform + "type: 'Data' data_param { backend: LMDB batch_size: 6 rand_skip: 9 source: '" +
            folder_ / "lmdb" + "' }",
        head + transform +
            "type: 'ImageData' image_data_param { batch_size: 6 shuffle: true rand_skip: 5 source: '" +
            folder_ / "list.txt" + "' }",
        head + transform + "type: 'WindowData' window_data_param { batch_size: 6 fg_fraction: 0.5 source: '" +
            folder_ / "windows.txt" + "' }"};
#ifdef USE_HDF5
    layers.push_back(head + "type: 'HDF5Data' hdf5_data_param { batch_size: 6 shuffle: true source: '" +
                     folder_ / "files.txt" + "' }");
#endif
    return layers;
  }

  TempFolder folder_;
};

/// A data layer with its tops.
template <typename Dtype>
struct Served {
  explicit Served(const string& text, int seed) {
    Caffe::set_random_seed(seed);
    layer = LayerRegistry<Dtype>::CreateLayer(FromText<LayerParameter>(text));
    layer->SetUp({}, tops);
  }

  /// All values of the next passes.
  vector<Dtype> Passes(int passes) {
    vector<Dtype> values;
    for (int i = 0; i < passes; ++i) {
      layer->Forward({}, tops);
      for (const Blob<Dtype>* top : tops) {
        values.insert(values.end(), top->cpu_data(), top->cpu_data() + top->count());
      }
    }
    return values;
  }

  shared_ptr<Layer<Dtype>> layer;
  Blob<Dtype> data, label;
  vector<Blob<Dtype>*> tops{&data, &label};
};

}  // namespace

template <typename Dtype>
class DataStateTest : public ::testing::Test {
 protected:
  ~DataStateTest() override {
    SetParallelThreads(threads_);
    Caffe::set_solver_count(1);
    Caffe::set_solver_rank(0);
  }

  static Sources& sources() {
    static Sources made;
    return made;
  }

  const int threads_ = ParallelThreads();
};

TYPED_TEST_SUITE(DataStateTest, TestDtypes);

TYPED_TEST(DataStateTest, TheNumberOfThreadsChangesNothing) {
  for (const string& text : this->sources().Layers()) {
    SetParallelThreads(1);
    const auto alone = Served<TypeParam>(text, 1701).Passes(7);
    SetParallelThreads(4);
    EXPECT_EQ(alone, Served<TypeParam>(text, 1701).Passes(7)) << text;
    EXPECT_NE(alone, Served<TypeParam>(text, 1702).Passes(7)) << text;
  }
}

TYPED_TEST(DataStateTest, ALayerGoesOnAtTheRecordWhereItStopped) {
  for (const string& text : this->sources().Layers()) {
    for (const int passes : {1, 2, 5, 9}) {
      Served<TypeParam> first(text, 1701);
      first.Passes(passes);
      DataState state;
      ASSERT_TRUE(first.layer->GetDataState(&state)) << text;
      EXPECT_EQ(6u * passes, state.record());
      const auto rest = first.Passes(5);
      Served<TypeParam> second(text, 4);
      second.Passes(2);
      second.layer->SetDataState(state);
      EXPECT_EQ(rest, second.Passes(5)) << text << " after " << passes;
      DataState end;
      ASSERT_TRUE(second.layer->GetDataState(&end));
      EXPECT_EQ(6u * (passes + 5), end.record());
      // Back again, from the layer's own later place.
      second.layer->SetDataState(state);
      EXPECT_EQ(rest, second.Passes(5)) << text << " after " << passes;
    }
  }
}

TYPED_TEST(DataStateTest, ALayerThatHasServedNothingHasItsSeed) {
  for (const string& text : this->sources().Layers()) {
    Served<TypeParam> first(text, 1);
    DataState state;
    ASSERT_TRUE(first.layer->GetDataState(&state));
    EXPECT_EQ(0u, state.record());
    Served<TypeParam> second(text, 2);
    second.layer->SetDataState(state);
    EXPECT_EQ(first.Passes(4), second.Passes(4)) << text;
  }
  DataState state;
  EXPECT_FALSE(
      LayerRegistry<TypeParam>::CreateLayer(FromText<LayerParameter>("type: 'ReLU'"))->GetDataState(&state));
}

TYPED_TEST(DataStateTest, MemoryGoesOnAtItsItem) {
  const string text =
      "type: 'MemoryData' top: 'data' top: 'label' transform_param { crop_size: 2 mirror: true } "
      "phase: TRAIN memory_data_param { batch_size: 2 channels: 1 height: 2 width: 2 }";
  const auto served_by = [](const Served<TypeParam>& served) {
    return static_cast<MemoryDataLayer<TypeParam>*>(served.layer.get());
  };
  vector<TypeParam> data(6 * 4), labels(6);
  std::iota(data.begin(), data.end(), TypeParam(0));
  std::iota(labels.begin(), labels.end(), TypeParam(0));
  Served<TypeParam> first(text, 1701);
  served_by(first)->Reset(data.data(), labels.data(), 6);
  first.Passes(5);
  DataState state;
  ASSERT_TRUE(first.layer->GetDataState(&state));
  EXPECT_EQ(4u, state.record());
  const auto rest = first.Passes(4);
  for (const bool filled_before : {true, false}) {
    Served<TypeParam> second(text, 4);
    if (filled_before) served_by(second)->Reset(data.data(), labels.data(), 6);
    second.layer->SetDataState(state);
    if (!filled_before) {
      DataState waiting;
      second.layer->GetDataState(&waiting);
      EXPECT_EQ(4u, waiting.record());
      served_by(second)->Reset(data.data(), labels.data(), 6);
    }
    EXPECT_EQ(rest, second.Passes(4)) << filled_before;
  }

  // Crops and flips of what is added are the layer's own random numbers.
  Datum datum;
  datum.set_channels(1);
  datum.set_height(4);
  datum.set_width(5);
  for (char value = 0; value < 20; ++value) *datum.mutable_data() += value;
  const vector<Datum> datums(6, datum);
  Served<TypeParam> added(text, 1701);
  served_by(added)->AddDatumVector(datums);
  added.Passes(3);
  ASSERT_TRUE(added.layer->GetDataState(&state));
  served_by(added)->AddDatumVector(datums);
  Served<TypeParam> restored(text, 4);
  restored.layer->SetDataState(state);
  served_by(restored)->AddDatumVector(datums);
  EXPECT_EQ(added.Passes(3), restored.Passes(3));
  string zeros;
  for (int i = 0; i < 624; ++i) zeros += "0 ";
  for (const string& damaged : {string("no numbers"), zeros, zeros + "624"}) {
    state.set_random_state(damaged);
    EXPECT_TRUE(Contains(ErrorOf([&] { restored.layer->SetDataState(state); }), "random numbers is damaged"));
  }
}

TYPED_TEST(DataStateTest, RecurrentLayersGoOnFromTheirState) {
  const LayerParameter param = FromText<LayerParameter>(
      "name: 'lstm' type: 'LSTM' bottom: 'x' bottom: 'cont' top: 'h' recurrent_param { num_output: 3 "
      "weight_filler { type: 'uniform' min: -0.5 max: 0.5 } bias_filler { type: 'uniform' min: -1 max: 1 } "
      "}");
  Blob<TypeParam> x(vector<int>{2, 1, 4}), cont(vector<int>{2, 1}), h;
  const vector<Blob<TypeParam>*> bottoms{&x, &cont}, tops{&h};
  std::iota(x.mutable_cpu_data(), x.mutable_cpu_data() + x.count(), TypeParam(-3));
  std::fill_n(cont.mutable_cpu_data(), 2, TypeParam(1));
  const auto make = [&] {
    Caffe::set_random_seed(7);
    const auto layer = LayerRegistry<TypeParam>::CreateLayer(param);
    layer->SetUp(bottoms, tops);
    return layer;
  };
  const auto pass = [&](Layer<TypeParam>* layer) {
    layer->Forward(bottoms, tops);
    return vector<TypeParam>(h.cpu_data(), h.cpu_data() + h.count());
  };
  const auto first = make();
  const auto start = pass(first.get());
  pass(first.get());
  DataState state;
  ASSERT_TRUE(first->GetDataState(&state));
  EXPECT_FALSE(state.has_record());
  const auto expected = pass(first.get());
  EXPECT_NE(start, expected);
  const auto second = make();
  second->SetDataState(state);
  EXPECT_EQ(expected, pass(second.get()));
  state.clear_carried();
  EXPECT_TRUE(Contains(ErrorOf([&] { second->SetDataState(state); }), "another number of states"));
}

TYPED_TEST(DataStateTest, SolversGoOnTogether) {
  const string text = this->sources().Layers()[0];
  Caffe::set_solver_count(3);
  vector<TypeParam> expected;
  DataState of_root;
  for (int rank = 0; rank < 3; ++rank) {
    Caffe::set_solver_rank(rank);
    Served<TypeParam> served(text, 1701);
    served.Passes(2);
    DataState state;
    served.layer->GetDataState(&state);
    EXPECT_EQ(36u, state.record());
    if (rank == 0) of_root = state;
    served.layer->Forward({}, served.tops);
    const auto labels = served.label.cpu_data();
    expected.insert(expected.end(), labels, labels + 6);
  }
  vector<TypeParam> restored;
  for (int rank = 0; rank < 3; ++rank) {
    Caffe::set_solver_rank(rank);
    Served<TypeParam> served(text, 1701);
    served.layer->SetDataState(of_root);
    served.layer->Forward({}, served.tops);
    const auto labels = served.label.cpu_data();
    restored.insert(restored.end(), labels, labels + 6);
  }
  EXPECT_EQ(expected, restored);
}

TYPED_TEST(DataStateTest, AnErrorReadAheadGoesWithItsPlace) {
  const TempFolder folder;
  const string good = folder.Save("good.png", EncodeImage(Noise(1), ImageFormat::PNG));
  const string list = folder.Save("list.txt", good + " 1\n" + good + " 2\n" + folder / "bad.png" + " 3\n");
  Served<TypeParam> served(
      "type: 'ImageData' image_data_param { batch_size: 2 source: '" + list + "' } top: 'data' top: 'label'",
      1);
  served.Passes(1);
  EXPECT_TRUE(Contains(ErrorOf([&] { served.Passes(1); }), "bad.png"));
  folder.Save("bad.png", EncodeImage(Noise(2), ImageFormat::PNG));
  DataState state;
  ASSERT_TRUE(served.layer->GetDataState(&state));
  EXPECT_EQ(2u, state.record());
  served.layer->SetDataState(state);
  served.Passes(1);
  EXPECT_EQ(3, served.label.cpu_data()[0]);
}

/// Fails every third pass, when data and dropout have gone on.
template <typename Dtype>
class Failing : public Net<Dtype>::Callback {
 public:
  explicit Failing(Net<Dtype>* net) { net->add_after_forward(this); }

 protected:
  void run(int layer) override {
    if (layer == 2 && ++passes_ % 3 == 0) throw Error("failed");
  }

 private:
  int passes_ = 0;
};

template <typename Dtype>
class ResumeTest : public DataStateTest<Dtype> {
 protected:
  /// A solver that trains and tests, with dropout, on a source.
  SolverParameter Param(const string& source, const string& format) {
    SolverParameter param = FromText<SolverParameter>(
        "base_lr: 0.01 lr_policy: 'fixed' momentum: 0.9 snapshot_after_train: false random_seed: 7 "
        "test_iter: 1 test_interval: 2 snapshot_format: " +
        format);
    param.set_snapshot_prefix(folder_ / "net");
    *param.mutable_net_param() = FromText<NetParameter>(
        "name: 'net' layer { " + source +
        " } layer { name: 'drop' type: 'Dropout' bottom: 'data' top: 'drop' }"
        "layer { name: 'ip' type: 'InnerProduct' bottom: 'drop' top: 'ip'"
        "        inner_product_param { num_output: 11 weight_filler { type: 'gaussian' std: 0.01 } } }"
        "layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip' bottom: 'label' top: 'loss' }");
    return param;
  }

  TempFolder folder_;
};

TYPED_TEST_SUITE(ResumeTest, TestDtypes);

TYPED_TEST(ResumeTest, ARunGoesOnBitForBit) {
  vector<string> formats = {"BINARYPROTO"};
#ifdef USE_HDF5
  formats.push_back("HDF5");
#endif
  for (const string& source : this->sources().Layers()) {
    for (const string& format : formats) {
      const SolverParameter param = this->Param(source, format);
      const auto whole = MakeSolver<TypeParam>(param);
      whole->Step(10);
      const auto first = MakeSolver<TypeParam>(param);
      first->Step(5);
      first->Snapshot();
      const auto second = MakeSolver<TypeParam>(param);
      second->Restore((this->folder_ / "net_iter_5.solverstate" + (format == "HDF5" ? ".h5" : "")).c_str());
      second->Step(5);
      EXPECT_EQ(AllWeights<TypeParam>(whole.get()), AllWeights<TypeParam>(second.get()))
          << format << " " << source;
    }
  }
}

TYPED_TEST(ResumeTest, InterruptedAndFailedStepsAreRepeated) {
  for (const string& source : this->sources().Layers()) {
    SolverParameter param = this->Param(source, "BINARYPROTO");
    param.set_test_iter(0, 3);
    const auto whole = MakeSolver<TypeParam>(param);
    whole->Step(8);
    const auto solver = MakeSolver<TypeParam>(param);
    int asked = 0, failures = 0;
    solver->SetActionFunction([&]() -> SolverAction::Enum {
      if (++asked % 5 == 0) throw Error("interrupted");
      return SolverAction::NONE;
    });
    Failing<TypeParam> failing(solver->net().get());
    while (solver->iter() < 8) {
      failures += !ErrorOf([&] { solver->Step(8 - solver->iter()); }).empty();
    }
    EXPECT_GT(failures, 5);
    EXPECT_EQ(AllWeights<TypeParam>(whole.get()), AllWeights<TypeParam>(solver.get())) << source;
    DataState expected, place;
    whole->test_nets()[0]->layers()[0]->GetDataState(&expected);
    solver->test_nets()[0]->layers()[0]->GetDataState(&place);
    EXPECT_EQ(expected.record(), place.record()) << source;
  }
}

TYPED_TEST(ResumeTest, AStateOfCaffeStartsTheDataAnew) {
  const SolverParameter param = this->Param(this->sources().Layers()[1], "BINARYPROTO");
  const auto first = MakeSolver<TypeParam>(param);
  first->Step(3);
  first->Snapshot();
  const string file = this->folder_ / "net_iter_3.solverstate";
  SolverState state;
  ReadProtoFromBinaryFileOrDie(file, &state);
  // The training net's place, and the test net's.
  ASSERT_EQ(2, state.data_state_size());
  EXPECT_EQ("data", state.data_state(0).layer());
  EXPECT_EQ(18u, state.data_state(0).record());
  EXPECT_EQ(1u, state.data_state(1).net());
  state.clear_data_state();
  state.clear_random_state();
  state.clear_checksum();
  WriteProtoToBinaryFile(state, file);

  const auto fresh = MakeSolver<TypeParam>(param);
  fresh->net()->Forward();
  const auto restored = MakeSolver<TypeParam>(param);
  restored->Restore(file.c_str());
  EXPECT_EQ(3, restored->iter());
  restored->net()->Forward();
  const auto labels = [](Solver<TypeParam>* solver) {
    const Blob<TypeParam>& label = *solver->net()->blob_by_name("label");
    return vector<TypeParam>(label.cpu_data(), label.cpu_data() + label.count());
  };
  EXPECT_EQ(labels(fresh.get()), labels(restored.get()));
}

TYPED_TEST(ResumeTest, PlacesOfOtherLayersAreLeftOut) {
  const SolverParameter param = this->Param(this->sources().Layers()[0], "BINARYPROTO");
  const auto solver = MakeSolver<TypeParam>(param);
  solver->Step(1);
  solver->Snapshot();
  const string file = this->folder_ / "net_iter_1.solverstate";
  SolverState state;
  ReadProtoFromBinaryFileOrDie(file, &state);
  state.clear_checksum();
  state.mutable_data_state(0)->set_layer("none");
  state.mutable_data_state(1)->set_net(8);
  WriteProtoToBinaryFile(state, file);
  MakeSolver<TypeParam>(param)->Restore(file.c_str());
  state.set_random_state("no numbers");
  WriteProtoToBinaryFile(state, file);
  const auto damaged = MakeSolver<TypeParam>(param);
  EXPECT_TRUE(Contains(ErrorOf([&] { damaged->Restore(file.c_str()); }), "random numbers is damaged"));
}

}  // namespace caffe
