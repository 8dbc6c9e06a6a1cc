#include "caffe/net.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/hdf5.hpp"
#include "layer_test_util.hpp"
#include "net_test_util.hpp"

namespace caffe {

namespace {

const char kTinyNet[] = R"(
  name: 'tiny'
  layer { name: 'data' type: 'Input' top: 'data' top: 'target'
          input_param { shape { dim: 5 dim: 3 } shape { dim: 5 dim: 2 } } }
  layer { name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' param { lr_mult: 1 } param { lr_mult: 2 }
          inner_product_param { num_output: 2 weight_filler { type: 'gaussian' } bias_filler { value: 0.5 } } }
  layer { name: 'relu' type: 'ReLU' bottom: 'ip' top: 'ip' }
  layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'target' top: 'loss' })";

// An InnerProduct from `bottom`, of as many outputs as inputs where num_output is 3.
string InnerProduct(const string& name, const string& bottom, const string& extra = "", int num_output = 3) {
  return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" + bottom + "' top: '" + name + "' " +
         extra + " inner_product_param { num_output: " + std::to_string(num_output) +
         " bias_term: false weight_filler { type: 'gaussian' } } }\n";
}

string Input(const string& name, const string& dims) {
  return "layer { name: '" + name + "' type: 'Input' top: '" + name + "' input_param { shape { " + dims +
         " } } }\n";
}

string Loss(const string& name, const string& a, const string& b, const string& extra = "") {
  return "layer { name: '" + name + "' type: 'EuclideanLoss' bottom: '" + a + "' bottom: '" + b + "' top: '" +
         name + "' " + extra + " }\n";
}

const string kX = Input("x", "dim: 4 dim: 3");
const string kY = Input("y", "dim: 4 dim: 3");

string BuildError(const string& text) {
  return ErrorOf([&] { MakeNet<float>(text); });
}

template <typename Dtype>
void FillInputs(Net<Dtype>* net) {
  int value = 0;
  for (Blob<Dtype>* blob : net->input_blobs()) {
    for (int i = 0; i < blob->count(); ++i) blob->mutable_cpu_data()[i] = Dtype((value++ * 7) % 11 - 5) / 4;
  }
}

// The names of the layers that the net runs backward.
template <typename Dtype>
vector<string> BackwardLayers(const Net<Dtype>& net) {
  vector<string> names;
  for (size_t i = 0; i < net.layers().size(); ++i) {
    if (net.layer_need_backward()[i]) names.push_back(net.layer_names()[i]);
  }
  return names;
}

}  // namespace

template <typename TypeParam>
class NetTest : public MultiDeviceTest<TypeParam> {
 protected:
  LogCapture log_;
};

TYPED_TEST_SUITE(NetTest, TestDtypesAndDevices);

// ------------------------------------------------------------------------------------------------ structure

TYPED_TEST(NetTest, KnowsItsLayersBlobsAndParameters) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kTinyNet);
  EXPECT_EQ(net->name(), "tiny");
  EXPECT_EQ(net->phase(), TEST) << "the phase of a NetState that gives none";
  EXPECT_EQ(net->layer_names(), (vector<string>{"data", "ip", "relu", "loss"}));
  EXPECT_EQ(net->blob_names(), (vector<string>{"data", "target", "ip", "loss"}));
  EXPECT_EQ(net->top_ids(0), (vector<int>{0, 1}));
  EXPECT_EQ(net->bottom_ids(2), (vector<int>{2}));
  EXPECT_EQ(net->top_ids(2), (vector<int>{2})) << "in place";
  EXPECT_EQ(net->bottom_ids(3), (vector<int>{2, 1}));
  EXPECT_EQ(net->input_blob_indices(), (vector<int>{0, 1}));
  EXPECT_EQ(net->output_blob_indices(), (vector<int>{3}));
  EXPECT_EQ(net->num_inputs(), 2);
  EXPECT_EQ(net->num_outputs(), 1);
  EXPECT_EQ(net->output_blobs()[0], net->blobs()[3].get());
  EXPECT_EQ(net->blob_loss_weights(), (vector<Dtype>{0, 0, 0, 1}));
  ASSERT_EQ(net->params().size(), 2u);
  EXPECT_EQ(net->params()[0]->shape(), (vector<int>{2, 3}));
  EXPECT_EQ(net->learnable_params(), (vector<Blob<Dtype>*>{net->params()[0].get(), net->params()[1].get()}));
  EXPECT_EQ(net->params_lr(), (vector<float>{1, 2}));
  EXPECT_EQ(net->has_params_lr(), (vector<bool>{true, true}));
  EXPECT_EQ(net->has_params_decay(), (vector<bool>{false, false}));
  EXPECT_EQ(net->params_weight_decay(), (vector<float>{1, 1}));
  EXPECT_EQ(net->param_owners(), (vector<int>{-1, -1}));
  EXPECT_EQ(net->param_display_names(), (vector<string>{"0", "1"}));
  EXPECT_THROW(net->top_ids(4), Error);
  EXPECT_THROW(net->bottom_ids(-1), Error);
}

TYPED_TEST(NetTest, FindsBlobsAndLayersByName) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kTinyNet);
  EXPECT_TRUE(net->has_blob("target"));
  EXPECT_TRUE(net->has_layer("relu"));
  EXPECT_FALSE(net->has_blob("relu"));
  EXPECT_FALSE(net->has_layer("target"));
  EXPECT_EQ(net->blob_by_name("ip"), net->blobs()[2]);
  EXPECT_EQ(net->layer_by_name("ip"), net->layers()[1]);
  EXPECT_EQ(net->blob_by_name("none"), nullptr);
  EXPECT_EQ(net->layer_by_name("none"), nullptr);
  EXPECT_TRUE(this->log_.Has("Unknown blob name none"));
  EXPECT_TRUE(this->log_.Has("Unknown layer name none"));
}

TYPED_TEST(NetTest, LogsInCaffesWords) {
  typedef typename TypeParam::Dtype Dtype;
  MakeNet<Dtype>(string(kTinyNet) + R"(
    layer { name: 'free' type: 'ReLU' bottom: 'data' top: 'free' })");
  const vector<string>& log = this->log_.messages();
  ASSERT_FALSE(log.empty());
  EXPECT_EQ(log[0].find("Initializing net from parameters: \nname: \"tiny\"\nlayer {"), 0u) << log[0];
  const string size = std::to_string(sizeof(Dtype));
  const auto bytes = [](int count) {
    return "Memory required for data: " + std::to_string(count * sizeof(Dtype));
  };
  const vector<string> expected = {"Creating Layer data",
                                   "data -> data",
                                   "data -> target",
                                   "Setting up data",
                                   "Top shape: 5 3 (15)",
                                   "Top shape: 5 2 (10)",
                                   bytes(25),
                                   "Creating Layer data_data_0_split",
                                   "data_data_0_split <- data",
                                   "data_data_0_split -> data_data_0_split_0",
                                   "data_data_0_split -> data_data_0_split_1",
                                   "Setting up data_data_0_split",
                                   "Top shape: 5 3 (15)",
                                   "Top shape: 5 3 (15)",
                                   bytes(55),
                                   "Creating Layer ip",
                                   "ip <- data_data_0_split_0",
                                   "ip -> ip",
                                   "Setting up ip",
                                   "Top shape: 5 2 (10)",
                                   bytes(65),
                                   "Creating Layer relu",
                                   "relu <- ip",
                                   "relu -> ip (in-place)",
                                   "Setting up relu",
                                   "Top shape: 5 2 (10)",
                                   bytes(75),
                                   "Creating Layer loss",
                                   "loss <- ip",
                                   "loss <- target",
                                   "loss -> loss",
                                   "Setting up loss",
                                   "Top shape: (1)",
                                   "    with loss weight 1",
                                   bytes(76),
                                   "Creating Layer free",
                                   "free <- data_data_0_split_1",
                                   "free -> free",
                                   "Setting up free",
                                   "Top shape: 5 3 (15)",
                                   bytes(91),
                                   "free does not need backward computation.",
                                   "loss needs backward computation.",
                                   "relu needs backward computation.",
                                   "ip needs backward computation.",
                                   "data_data_0_split does not need backward computation.",
                                   "data does not need backward computation.",
                                   "This network produces output free",
                                   "This network produces output loss",
                                   "Network initialization done."};
  EXPECT_EQ(vector<string>(log.begin() + 1, log.end()), expected);
}

TYPED_TEST(NetTest, OtherRanksBuildQuietly) {
  typedef typename TypeParam::Dtype Dtype;
  Caffe::set_solver_rank(1);
  MakeNet<Dtype>(kTinyNet);
  Caffe::set_solver_rank(0);
  EXPECT_TRUE(this->log_.messages().empty());
}

TYPED_TEST(NetTest, MakesTopsThatTheLayerNeeds) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net =
      MakeNet<Dtype>(kX + kY + "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'x' bottom: 'y' }");
  ASSERT_EQ(net->top_vecs()[2].size(), 1u);
  EXPECT_EQ(net->blob_names()[2], "(automatic)");
  EXPECT_EQ(net->num_outputs(), 0) << "nobody can read it by name";
  FillInputs(net.get());
  Dtype loss;
  net->Forward(&loss);
  EXPECT_GT(loss, 0);
}

TYPED_TEST(NetTest, LayersTakeTheNetsPhase) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>("state { phase: TRAIN } " + kX +
                                  "layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'r' phase: TEST }");
  EXPECT_EQ(net->phase(), TRAIN);
  EXPECT_EQ(net->layers()[0]->layer_param().phase(), TRAIN);
  EXPECT_EQ(net->layers()[1]->layer_param().phase(), TEST) << "a layer's own comes first";
}

// --------------------------------------------------------------------------------------------------- errors

TEST(NetErrorTest, DefinitionsThatMakeNoNet) {
  LogCapture quiet;
  const string unknown = BuildError(Input("data", "dim: 1") + InnerProduct("ip", "dta"));
  EXPECT_TRUE(Contains(unknown, "layer 'ip' (InnerProduct): Unknown bottom blob 'dta'"));
  EXPECT_TRUE(Contains(unknown, "did you mean 'data'"));

  EXPECT_TRUE(Contains(
      BuildError(kX + InnerProduct("a", "x") + "layer { name: 'b' type: 'Power' bottom: 'x' top: 'a' }"),
      "layer 'b' (Power): top blob 'a' is produced by multiple layers"));

  EXPECT_TRUE(
      Contains(BuildError(kX + "layer { name: 'c' type: 'Convolutoin' bottom: 'x' top: 'c' }"),
               "layer 'c' (Convolutoin): unknown layer type 'Convolutoin' (did you mean 'Convolution'"));

  EXPECT_TRUE(Contains(BuildError(kX + InnerProduct("a", "x", "param { lr_mult: 1 } param { lr_mult: 2 }")),
                       "layer 'a' (InnerProduct): "));
  EXPECT_TRUE(Contains(BuildError(kX + InnerProduct("a", "x", "param { lr_mult: 1 } param { lr_mult: 2 }")),
                       "too many param specifications: the layer has 1 parameter blob(s)"));

  EXPECT_TRUE(Contains(BuildError(kX + InnerProduct("a", "x", "propagate_down: true propagate_down: false")),
                       "propagate_down must be given once for each bottom"));

  EXPECT_TRUE(
      Contains(BuildError(kX + InnerProduct("a", "x", "include { phase: TEST } exclude { stage: 's' }")),
               "layer 'a' (InnerProduct): has both include and exclude rules"));

  EXPECT_TRUE(Contains(BuildError(kX + Input("z", "dim: 4 dim: 5") + Loss("loss", "x", "z")),
                       "layer 'loss' (EuclideanLoss): "));
}

TEST(NetErrorTest, FilesAreNamed) {
  LogCapture quiet;
  const TempFolder folder;
  const string file = folder.Save("net.prototxt", kX + InnerProduct("ip", "nothing"));
  EXPECT_TRUE(Contains(ErrorOf([&] { Net<float>(file, TEST); }),
                       file + ": layer 'ip' (InnerProduct): Unknown bottom blob 'nothing'"));
  EXPECT_TRUE(
      Contains(ErrorOf([&] { Net<float>(folder / "none.prototxt", TEST); }), folder / "none.prototxt"));
}

// --------------------------------------------------------------------------------------------------- states

namespace {

bool Meets(const string& state, const string& rule) {
  LogCapture quiet;
  return Net<float>::StateMeetsRule(FromText<NetState>(state), FromText<NetStateRule>(rule), "layer");
}

vector<string> Filtered(const string& state) {
  LogCapture quiet;
  NetParameter filtered;
  Net<float>::FilterNet(FromText<NetParameter>("state { " + state + " }" + R"(
    layer { name: 'always' }
    layer { name: 'train' include { phase: TRAIN } }
    layer { name: 'test' include { phase: TEST } }
    layer { name: 'either' include { phase: TRAIN } include { stage: 'deploy' } }
    layer { name: 'not_deploy' exclude { stage: 'deploy' } }
    layer { name: 'not_high_or_train' exclude { min_level: 3 } exclude { phase: TRAIN } })"),
                        &filtered);
  vector<string> names;
  for (const LayerParameter& layer : filtered.layer()) names.push_back(layer.name());
  return names;
}

}  // namespace

TEST(NetStateTest, RulesHoldWhereAllTheirPartsDo) {
  EXPECT_TRUE(Meets("", ""));
  EXPECT_TRUE(Meets("phase: TEST", "phase: TEST"));
  EXPECT_FALSE(Meets("phase: TEST", "phase: TRAIN"));
  EXPECT_TRUE(Meets("level: 2", "min_level: 2 max_level: 2"));
  EXPECT_FALSE(Meets("level: 1", "min_level: 2"));
  EXPECT_FALSE(Meets("level: 3", "max_level: 2"));
  EXPECT_FALSE(Meets("", "min_level: 1"));
  EXPECT_TRUE(Meets("stage: 'a' stage: 'b'", "stage: 'b'"));
  EXPECT_TRUE(Meets("stage: 'a' stage: 'b'", "stage: 'b' stage: 'a' not_stage: 'c'"));
  EXPECT_FALSE(Meets("stage: 'a'", "stage: 'a' stage: 'b'"));
  EXPECT_FALSE(Meets("stage: 'a' stage: 'b'", "not_stage: 'b'"));
  EXPECT_FALSE(Meets("phase: TEST stage: 'a'", "phase: TRAIN stage: 'a'"));
}

TEST(NetStateTest, SaysWhyALayerIsLeftOut) {
  LogCapture log;
  Net<float>::StateMeetsRule(FromText<NetState>("phase: TRAIN level: 1 stage: 's'"),
                             FromText<NetStateRule>("phase: TEST"), "acc");
  ASSERT_EQ(log.messages().size(), 1u);
  EXPECT_EQ(log.messages()[0],
            "The NetState phase (TRAIN) differed from the phase (TEST) specified by a rule in layer acc");
}

TEST(NetStateTest, LayersAreIncludedByAnyRuleAndExcludedByAny) {
  EXPECT_EQ(Filtered("phase: TRAIN"), (vector<string>{"always", "train", "either", "not_deploy"}));
  EXPECT_EQ(Filtered("phase: TEST"), (vector<string>{"always", "test", "not_deploy", "not_high_or_train"}));
  EXPECT_EQ(Filtered("phase: TEST stage: 'deploy'"),
            (vector<string>{"always", "test", "either", "not_high_or_train"}));
  EXPECT_EQ(Filtered("phase: TEST level: 3"), (vector<string>{"always", "test", "not_deploy"}));
}

TEST(NetStateTest, FilteringKeepsTheRest) {
  LogCapture quiet;
  const NetParameter param = FromText<NetParameter>(
      "name: 'n' force_backward: true state { stage: 's' } layer { name: 'a' include { stage: 's' } }");
  NetParameter filtered;
  Net<float>::FilterNet(param, &filtered);
  EXPECT_EQ(filtered.DebugString(), param.DebugString());
}

TEST(NetStateTest, FilesAreBuiltForPhaseLevelAndStages) {
  LogCapture quiet;
  const TempFolder folder;
  const string file = folder.Save("net.prototxt", kX + R"(
    layer { name: 'train' type: 'ReLU' bottom: 'x' top: 'train' include { phase: TRAIN } }
    layer { name: 'deploy' type: 'ReLU' bottom: 'x' top: 'deploy' include { stage: 'deploy' min_level: 2 } })");
  const vector<string> stages = {"other", "deploy"};
  EXPECT_EQ(Net<float>(file, TRAIN).layer_names(), (vector<string>{"x", "train"}));
  EXPECT_EQ(Net<float>(file, TEST, 2, &stages).layer_names(), (vector<string>{"x", "deploy"}));
  EXPECT_EQ(Net<float>(file, TEST, 1, &stages).layer_names(), (vector<string>{"x"}));
}

// -------------------------------------------------------------------------------------------------- running

TYPED_TEST(NetTest, ForwardComputesAndSumsWeightedLosses) {
  typedef typename TypeParam::Dtype Dtype;
  const string branches = kX + kY + InnerProduct("a", "x") + InnerProduct("b", "x");
  Caffe::set_random_seed(1);
  const auto plain = MakeNet<Dtype>(branches + Loss("l1", "a", "y") + Loss("l2", "b", "y"));
  Caffe::set_random_seed(1);
  const auto weighted = MakeNet<Dtype>(branches + Loss("l1", "a", "y", "loss_weight: 3") +
                                       Loss("l2", "b", "y", "loss_weight: 0.5"));
  FillInputs(plain.get());
  FillInputs(weighted.get());
  Dtype plain_loss, weighted_loss;
  const vector<Blob<Dtype>*>& losses = plain->Forward(&plain_loss);
  weighted->Forward(&weighted_loss);
  ASSERT_EQ(losses.size(), 2u);
  const Dtype l1 = losses[0]->cpu_data()[0];
  const Dtype l2 = losses[1]->cpu_data()[0];
  EXPECT_GT(l1, 0);
  EXPECT_NE(l1, l2);
  EXPECT_NEAR(plain_loss, l1 + l2, 1e-4 * plain_loss);
  EXPECT_NEAR(weighted_loss, 3 * l1 + 0.5 * l2, 1e-4 * weighted_loss);
  EXPECT_EQ(weighted->output_blobs()[0]->cpu_data()[0], l1) << "the weight is not in the value";

  plain->Backward();
  weighted->Backward();
  for (int i = 0; i < 9; ++i) {
    EXPECT_NEAR(weighted->params()[0]->cpu_diff()[i], 3 * plain->params()[0]->cpu_diff()[i], 1e-4);
    EXPECT_NEAR(weighted->params()[1]->cpu_diff()[i], 0.5 * plain->params()[1]->cpu_diff()[i], 1e-4);
  }
}

TYPED_TEST(NetTest, GradientsOfAllReadersAddUp) {
  typedef typename TypeParam::Dtype Dtype;
  // loss = |x w + x w|^2 through a shared weight and a split x, against twice the product at once.
  const auto net = MakeNet<Dtype>(
      "force_backward: true " + kX + kY + InnerProduct("a", "x", "param { name: 'w' }") +
      InnerProduct("b", "x", "param { name: 'w' }") + Loss("la", "a", "y") + Loss("lb", "b", "y"));
  const auto single =
      MakeNet<Dtype>("force_backward: true " + kX + kY + InnerProduct("a", "x") + Loss("la", "a", "y"));
  single->params()[0]->CopyFrom(*net->params()[0]);
  FillInputs(net.get());
  FillInputs(single.get());
  net->ForwardBackward();
  single->ForwardBackward();
  const Blob<Dtype>& x = *net->input_blobs()[0];
  for (int i = 0; i < x.count(); ++i)
    EXPECT_NEAR(x.cpu_diff()[i], 2 * single->input_blobs()[0]->cpu_diff()[i], 1e-4);
  for (int i = 0; i < 9; ++i) {
    EXPECT_NEAR(net->params()[0]->cpu_diff()[i], 2 * single->params()[0]->cpu_diff()[i], 1e-4);
  }
}

TYPED_TEST(NetTest, BackwardAddsUntilDiffsAreCleared) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kTinyNet);
  FillInputs(net.get());
  net->ForwardBackward();
  const vector<Dtype> once = DiffOf(*net->params()[0]);
  net->ForwardBackward();
  for (size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(net->params()[0]->cpu_diff()[i], 2 * once[i], 1e-4);
  net->ClearParamDiffs();
  for (const Blob<Dtype>* param : net->learnable_params()) EXPECT_EQ(param->asum_diff(), 0);
  net->ForwardBackward();
  EXPECT_EQ(DiffOf(*net->params()[0]), once);
}

TYPED_TEST(NetTest, UpdateSubtractsDiffsOnceForSharedParameters) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kX + InnerProduct("a", "x", "param { name: 'w' }") +
                                  InnerProduct("b", "a", "param { name: 'w' }"));
  const vector<Dtype> before = DataOf(*net->params()[0]);
  std::fill_n(net->params()[0]->mutable_cpu_diff(), 9, Dtype(0.25));
  net->Update();
  for (int i = 0; i < 9; ++i) EXPECT_NEAR(net->params()[1]->cpu_data()[i], before[i] - 0.25, 1e-6);
}

TYPED_TEST(NetTest, PartsRunAsTheWhole) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>("force_backward: true " + string(kTinyNet));
  FillInputs(net.get());
  Dtype loss;
  net->Forward(&loss);
  net->Backward();
  const vector<Dtype> gradient = DiffOf(*net->input_blobs()[0]);
  EXPECT_EQ(net->ForwardTo(2), 0);
  EXPECT_EQ(net->ForwardFrom(3), loss);
  EXPECT_EQ(net->ForwardFromTo(1, 3), loss);
  Dtype prefilled;
  net->ForwardPrefilled(&prefilled);
  EXPECT_EQ(prefilled, loss);
  net->blobs()[0]->scale_diff(0);
  net->BackwardTo(2);
  EXPECT_EQ(net->input_blobs()[0]->asum_diff(), 0);
  net->BackwardFrom(1);
  EXPECT_EQ(DiffOf(*net->input_blobs()[0]), gradient);
  EXPECT_THROW(net->ForwardFrom(-1), Error);
  EXPECT_THROW(net->ForwardTo(4), Error);
  EXPECT_THROW(net->BackwardFrom(4), Error);
  EXPECT_THROW(net->BackwardTo(-1), Error);
}

TYPED_TEST(NetTest, ForwardTakesInputs) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kTinyNet);
  Blob<Dtype> data({5, 3}), target({5, 2}), third({1});
  for (int i = 0; i < data.count(); ++i) data.mutable_cpu_data()[i] = i;
  Dtype loss;
  net->Forward({&data, &target}, &loss);
  EXPECT_EQ(DataOf(*net->input_blobs()[0]), DataOf(data));
  EXPECT_TRUE(
      Contains(ErrorOf([&] { net->Forward({&data, &target, &third}); }), "the net has 2 input(s), not 3"));
  EXPECT_TRUE(Contains(ErrorOf([&] { net->Forward({&third}); }), "shape"));
}

TYPED_TEST(NetTest, ReshapesForNewInputs) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kTinyNet);
  net->blob_by_name("data")->Reshape({2, 3});
  net->blob_by_name("target")->Reshape({2, 2});
  net->Reshape();
  EXPECT_EQ(net->blob_by_name("ip")->shape(), (vector<int>{2, 2}));
  net->blob_by_name("data")->Reshape({2, 4});
  EXPECT_TRUE(Contains(ErrorOf([&] { net->Reshape(); }), "layer 'ip' (InnerProduct): "));
  EXPECT_TRUE(Contains(ErrorOf([&] { net->Forward(); }), "layer 'ip' (InnerProduct): "));
}

namespace {

template <typename Dtype>
class Recorder : public Net<Dtype>::Callback {
 public:
  Recorder(const string& name, vector<string>* calls) : name_(name), calls_(calls) {}

 protected:
  void run(int layer) override { calls_->push_back(name_ + std::to_string(layer)); }

 private:
  string name_;
  vector<string>* calls_;
};

}  // namespace

TYPED_TEST(NetTest, CallbacksRunAroundEachLayer) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kTinyNet);
  vector<string> calls;
  Recorder<Dtype> before_forward("bf", &calls), after_forward("af", &calls);
  Recorder<Dtype> before_backward("bb", &calls), after_backward("ab", &calls);
  net->add_before_forward(&before_forward);
  net->add_after_forward(&after_forward);
  net->add_before_backward(&before_backward);
  net->add_after_backward(&after_backward);
  EXPECT_EQ(net->before_forward().size(), 1u);
  net->ForwardFromTo(1, 2);
  net->BackwardFromTo(2, 1);
  EXPECT_EQ(calls, (vector<string>{"bf1", "af1", "bf2", "af2", "bb2", "ab2", "bb1", "ab1"}));
}

TYPED_TEST(NetTest, DebugInfoLogsMeanMagnitudes) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>("debug_info: true" + string(kTinyNet));
  std::fill_n(net->blobs()[0]->mutable_cpu_data(), 15, Dtype(-1));
  std::fill_n(net->params()[0]->mutable_cpu_data(), 6, Dtype(-0.5));
  this->log_.Clear();
  net->Forward();
  EXPECT_EQ(this->log_.messages()[0], "    [Forward] Layer data, top blob data data: 1");
  EXPECT_TRUE(this->log_.Has("    [Forward] Layer ip, top blob ip data: 2"));
  EXPECT_TRUE(this->log_.Has("    [Forward] Layer ip, param blob 0 data: 0.5"));
  net->Backward();
  // (2 - 0) / 5 in each of 10 elements, through two columns of weights of -0.5.
  EXPECT_TRUE(this->log_.Has("    [Backward] Layer relu, bottom blob ip diff: 0.4"));
  EXPECT_TRUE(this->log_.Has("    [Backward] Layer ip, param blob 0 diff: 2"));
  EXPECT_EQ(this->log_.Count("    [Backward] Layer ip, bottom blob"), 0) << "not computed";
  EXPECT_EQ(this->log_.Count("    [Backward] All net params (data, diff): L1 norm = (4, 16); L2 norm = ("),
            1);
  net->Update();
  EXPECT_TRUE(this->log_.Has("    [Update] Layer ip, param 0 data: 1.5; diff: 2"));
  net->set_debug_info(false);
  this->log_.Clear();
  net->ForwardBackward();
  EXPECT_TRUE(this->log_.messages().empty());
}

// --------------------------------------------------------------------------------------------- need backward

TYPED_TEST(NetTest, BackwardGoesWhereALossNeedsIt) {
  typedef typename TypeParam::Dtype Dtype;
  const auto chain =
      MakeNet<Dtype>(kX + kY + InnerProduct("frozen", "x", "param { lr_mult: 0 }") +
                     InnerProduct("a", "frozen") + InnerProduct("b", "a") + Loss("loss", "b", "y"));
  EXPECT_EQ(BackwardLayers(*chain), (vector<string>{"a", "b", "loss"}));
  EXPECT_EQ(chain->bottom_need_backward()[3], (vector<bool>{false})) << "nothing before it learns";
  EXPECT_EQ(chain->bottom_need_backward()[5], (vector<bool>{true, false})) << "the target is given";
  EXPECT_FALSE(chain->layers()[2]->param_propagate_down(0));
  EXPECT_TRUE(chain->layers()[3]->param_propagate_down(0));

  const auto between =
      MakeNet<Dtype>(kX + kY + InnerProduct("a", "x") + InnerProduct("frozen", "a", "param { lr_mult: 0 }") +
                     Loss("loss", "frozen", "y"));
  EXPECT_EQ(BackwardLayers(*between), (vector<string>{"a", "frozen", "loss"}))
      << "the gradient passes through";

  const auto branch = MakeNet<Dtype>(kX + kY + InnerProduct("a", "x") + InnerProduct("side", "a") +
                                     InnerProduct("main", "a") + Loss("loss", "main", "y"));
  EXPECT_EQ(BackwardLayers(*branch), (vector<string>{"a", "a_a_0_split", "main", "loss"}))
      << "no loss depends on 'side'";

  const auto no_loss = MakeNet<Dtype>(kX + InnerProduct("a", "x"));
  EXPECT_TRUE(BackwardLayers(*no_loss).empty());
}

TYPED_TEST(NetTest, PropagateDownCutsAndAsks) {
  typedef typename TypeParam::Dtype Dtype;
  const auto cut = MakeNet<Dtype>(kX + kY + InnerProduct("a", "x") +
                                  InnerProduct("b", "a", "propagate_down: false") + Loss("loss", "b", "y"));
  EXPECT_EQ(BackwardLayers(*cut), (vector<string>{"b", "loss"})) << "what is before the cut gets no gradient";

  const auto asked =
      MakeNet<Dtype>(kX + kY + InnerProduct("a", "x", "propagate_down: true") + Loss("loss", "a", "y"));
  FillInputs(asked.get());
  asked->ForwardBackward();
  EXPECT_GT(asked->input_blobs()[0]->asum_diff(), 0);

  const auto plain = MakeNet<Dtype>(kX + kY + InnerProduct("a", "x") + Loss("loss", "a", "y"));
  FillInputs(plain.get());
  plain->ForwardBackward();
  EXPECT_EQ(plain->input_blobs()[0]->asum_diff(), 0) << "nobody needs it";
}

TYPED_TEST(NetTest, ForceBackwardReachesTheInputs) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net =
      MakeNet<Dtype>("force_backward: true " + kX + kY + InnerProduct("frozen", "x", "param { lr_mult: 0 }") +
                     Loss("loss", "frozen", "y"));
  EXPECT_EQ(BackwardLayers(*net), (vector<string>{"x", "y", "frozen", "loss"}));
  EXPECT_TRUE(net->layers()[2]->param_propagate_down(0));
  FillInputs(net.get());
  net->ForwardBackward();
  EXPECT_GT(net->input_blobs()[0]->asum_diff(), 0);
  EXPECT_GT(net->params()[0]->asum_diff(), 0);
}

// ------------------------------------------------------------------------------------------ sharing
// parameters

TYPED_TEST(NetTest, ParametersOfOneNameAreOne) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net =
      MakeNet<Dtype>(kX + InnerProduct("a", "x", "param { name: 'w' decay_mult: 3 }") +
                     InnerProduct("b", "a") + InnerProduct("c", "b", "param { name: 'w' lr_mult: 2 }"));
  EXPECT_EQ(net->params().size(), 3u);
  EXPECT_EQ(net->learnable_params(), (vector<Blob<Dtype>*>{net->params()[0].get(), net->params()[1].get()}));
  EXPECT_EQ(net->param_owners(), (vector<int>{-1, -1, 0}));
  EXPECT_EQ(net->param_names_index(), (map<string, int>{{"w", 0}}));
  EXPECT_EQ(net->param_display_names(), (vector<string>{"w", "0", "w"}));
  EXPECT_EQ(net->params()[2]->cpu_data(), net->params()[0]->cpu_data());
  EXPECT_EQ(net->params()[2]->cpu_diff(), net->params()[0]->cpu_diff());
  EXPECT_EQ(net->params_lr(), (vector<float>{2, 1})) << "the owner takes over what only the other says";
  EXPECT_EQ(net->params_weight_decay(), (vector<float>{3, 1}));
  EXPECT_TRUE(this->log_.Has("Sharing parameters 'w' owned by layer 'a', param index 0"));
}

TEST(NetSharingTest, ShapesMustAgreeUnlessPermissive) {
  LogCapture quiet;
  const string wide = Input("wide", "dim: 4 dim: 6");
  const string owner = InnerProduct("a", "x", "param { name: 'w' }", 4);     // 4 x 3
  const string other = InnerProduct("b", "wide", "param { name: 'w' }", 2);  // 2 x 6
  const string error = BuildError(kX + wide + owner + other);
  EXPECT_TRUE(Contains(error, "layer 'b' (InnerProduct): cannot share parameter 'w' with layer 'a'"));
  EXPECT_TRUE(Contains(error, "2 6 (12)"));
  EXPECT_TRUE(Contains(error, "4 3 (12)"));
  EXPECT_TRUE(Contains(error, "PERMISSIVE"));

  const auto net = MakeNet<float>(kX + wide + owner +
                                  InnerProduct("b", "wide", "param { name: 'w' share_mode: PERMISSIVE }", 2));
  EXPECT_EQ(net->params()[1]->cpu_data(), net->params()[0]->cpu_data());

  EXPECT_TRUE(Contains(BuildError(kX + wide + owner +
                                  InnerProduct("b", "wide", "param { name: 'w' share_mode: PERMISSIVE }", 3)),
                       "3 6 (18) here, 4 3 (12) there"));
}

TEST(NetSharingTest, MultipliersMustAgree) {
  LogCapture quiet;
  const auto error = [](const string& a, const string& b) {
    return BuildError(kX + InnerProduct("a", "x", "param { name: 'w' " + a + " }") +
                      InnerProduct("b", "a", "param { name: 'w' " + b + " }"));
  };
  EXPECT_TRUE(Contains(error("lr_mult: 1", "lr_mult: 2"), "layer 'b' (InnerProduct): "));
  EXPECT_TRUE(Contains(error("lr_mult: 1", "lr_mult: 2"), "shared parameter 'w' has another lr_mult"));
  EXPECT_TRUE(
      Contains(error("decay_mult: 1", "decay_mult: 0"), "shared parameter 'w' has another decay_mult"));
  MakeNet<float>(kX + InnerProduct("a", "x", "param { name: 'w' lr_mult: 2 }") +
                 InnerProduct("b", "a", "param { name: 'w' lr_mult: 2 }"));
}

// --------------------------------------------------------------------------------------------------- weights

namespace {

const char kSaved[] = R"(
  name: 'saved'
  layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 1 dim: 2 dim: 6 dim: 6 } } }
  layer { name: 'block/conv' type: 'Convolution' bottom: 'data' top: 'conv'
          convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: 'gaussian' }
                              bias_filler { type: 'gaussian' } } }
  layer { name: 'block' type: 'InnerProduct' bottom: 'conv' top: 'ip'
          inner_product_param { num_output: 4 weight_filler { type: 'gaussian' }
                                bias_filler { type: 'gaussian' } } })";

template <typename Dtype>
vector<vector<Dtype>> Weights(const Net<Dtype>& net) {
  vector<vector<Dtype>> weights;
  for (const auto& param : net.params()) weights.push_back(DataOf(*param));
  return weights;
}

string Replaced(string text, const string& from, const string& to) {
  return text.replace(text.find(from), from.size(), to);
}

}  // namespace

TYPED_TEST(NetTest, WeightsGoThroughMessagesAndFiles) {
  typedef typename TypeParam::Dtype Dtype;
  const TempFolder folder;
  const auto net = MakeNet<Dtype>(kSaved);
  NetParameter message;
  net->ToProto(&message);
  EXPECT_EQ(message.name(), "saved");
  ASSERT_EQ(message.layer_size(), 3);
  EXPECT_EQ(message.layer(1).blobs_size(), 2);
  WriteProtoToBinaryFile(message, folder / "saved.caffemodel");

  const auto copy = MakeNet<Dtype>(kSaved);
  EXPECT_NE(Weights(*copy), Weights(*net));
  this->log_.Clear();
  copy->CopyTrainedLayersFrom(message);
  EXPECT_EQ(Weights(*copy), Weights(*net));
  EXPECT_EQ(this->log_.messages(),
            (vector<string>{"Copying source layer block/conv", "Copying source layer block",
                            "Parameters of net 'saved': 2 matched, 0 differ, 0 missing, 0 left over\n"
                            "  matched    block/conv  Convolution   3 2 3 3 (54), 3 (3)\n"
                            "  matched    block       InnerProduct  4 48 (192), 4 (4)"}));

  const auto from_file = MakeNet<Dtype>(kSaved);
  from_file->CopyTrainedLayersFrom(folder / "saved.caffemodel");
  EXPECT_EQ(Weights(*from_file), Weights(*net));
}

TYPED_TEST(NetTest, SavesGradientsOnRequest) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kTinyNet);
  FillInputs(net.get());
  net->ForwardBackward();
  NetParameter message;
  net->ToProto(&message);
  EXPECT_EQ(message.layer(1).blobs(0).diff_size() + message.layer(1).blobs(0).double_diff_size(), 0);
  net->ToProto(&message, true);
  Blob<Dtype> stored;
  stored.FromProto(message.layer(1).blobs(0));
  EXPECT_EQ(DiffOf(stored), DiffOf(*net->params()[0]));
}

TYPED_TEST(NetTest, CopiesByNameAndLeavesTheRest) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kSaved);
  NetParameter message;
  net->ToProto(&message);
  const auto other = MakeNet<Dtype>(Replaced(kSaved, "name: 'block' ", "name: 'fresh' "));
  const vector<vector<Dtype>> before = Weights(*other);
  this->log_.Clear();
  other->CopyTrainedLayersFrom(message);
  EXPECT_TRUE(this->log_.Has("Ignoring source layer block"));
  EXPECT_EQ(this->log_.Warnings(), 0);
  EXPECT_EQ(Weights(*other)[0], Weights(*net)[0]);
  EXPECT_EQ(Weights(*other)[2], before[2]);
}

TYPED_TEST(NetTest, WarnsWhereNothingWasCopied) {
  typedef typename TypeParam::Dtype Dtype;
  NetParameter message;
  MakeNet<Dtype>(kTinyNet)->ToProto(&message);
  const auto net = MakeNet<Dtype>(kSaved);
  this->log_.Clear();
  net->CopyTrainedLayersFrom(message);
  EXPECT_EQ(this->log_.Warnings(), 1);
}

TYPED_TEST(NetTest, RefusesForeignShapesWholly) {
  typedef typename TypeParam::Dtype Dtype;
  NetParameter message;
  MakeNet<Dtype>(kSaved)->ToProto(&message);
  const auto wider = MakeNet<Dtype>(Replaced(kSaved, "num_output: 4", "num_output: 5"));
  const vector<vector<Dtype>> before = Weights(*wider);
  const string error = ErrorOf([&] { wider->CopyTrainedLayersFrom(message); });
  EXPECT_TRUE(Contains(error, "layer 'block' (InnerProduct): "));
  EXPECT_TRUE(Contains(error, "shape mismatch in parameter 0"));
  EXPECT_TRUE(Contains(error, "4 48 (192)"));
  EXPECT_TRUE(Contains(error, "5 48 (240)"));
  EXPECT_TRUE(Contains(error, "rename it"));
  EXPECT_EQ(Weights(*wider), before) << "not even the layers that fit";

  const auto fewer = MakeNet<Dtype>(Replaced(kSaved, "num_output: 4", "num_output: 4 bias_term: false"));
  const string count_error = ErrorOf([&] { fewer->CopyTrainedLayersFrom(message); });
  EXPECT_TRUE(Contains(count_error, "layer 'block' (InnerProduct): "));
  EXPECT_TRUE(Contains(count_error, "the source has 2, this net 1"));
}

TYPED_TEST(NetTest, WeightFilesThatAreNoneAreNamed) {
  typedef typename TypeParam::Dtype Dtype;
  const TempFolder folder;
  const auto net = MakeNet<Dtype>(kSaved);
  NetParameter message;
  MakeNet<Dtype>(Replaced(kSaved, "num_output: 4", "num_output: 5"))->ToProto(&message);
  WriteProtoToBinaryFile(message, folder / "other.caffemodel");
  const string whole = folder.Load("other.caffemodel");
  for (const string& file :
       {folder / "none.caffemodel", folder.Save("net.prototxt", kSaved), folder / "other.caffemodel",
        folder.Save("cut.caffemodel", whole.substr(0, whole.size() / 2)),
        folder.Save("cut.h5", "\x89HDF\r\n\x1a\n...")}) {
    EXPECT_TRUE(Contains(ErrorOf([&] { net->CopyTrainedLayersFrom(file); }), file));
  }
}

TYPED_TEST(NetTest, LegacyShapesFit) {
  typedef typename TypeParam::Dtype Dtype;
  const auto net = MakeNet<Dtype>(kSaved);
  NetParameter message;
  net->ToProto(&message);
  const auto make_legacy = [](int num, int channels, int height, int width, BlobProto* blob) {
    blob->clear_shape();
    blob->set_num(num);
    blob->set_channels(channels);
    blob->set_height(height);
    blob->set_width(width);
  };
  make_legacy(3, 2, 3, 3, message.mutable_layer(1)->mutable_blobs(0));
  make_legacy(1, 1, 1, 3, message.mutable_layer(1)->mutable_blobs(1));
  make_legacy(1, 1, 4, 48, message.mutable_layer(2)->mutable_blobs(0));
  make_legacy(1, 1, 1, 4, message.mutable_layer(2)->mutable_blobs(1));
  const auto copy = MakeNet<Dtype>(kSaved);
  copy->CopyTrainedLayersFrom(message);
  EXPECT_EQ(Weights(*copy), Weights(*net));

  make_legacy(1, 1, 48, 4, message.mutable_layer(2)->mutable_blobs(0));
  EXPECT_TRUE(Contains(ErrorOf([&] { copy->CopyTrainedLayersFrom(message); }), "1 1 48 4 (192)"));
}

TYPED_TEST(NetTest, SharesWhatAnotherNetTrains) {
  typedef typename TypeParam::Dtype Dtype;
  const auto train = MakeNet<Dtype>(string(kSaved) + InnerProduct("extra", "ip"));
  const auto test = MakeNet<Dtype>(kSaved);
  this->log_.Clear();
  test->ShareTrainedLayersWith(train.get());
  EXPECT_EQ(this->log_.messages(), (vector<string>{"Ignoring source layer extra"}));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(test->params()[i]->cpu_data(), train->params()[i]->cpu_data());

  const auto other = MakeNet<Dtype>(Replaced(kSaved, "num_output: 4", "num_output: 5"));
  const string error = ErrorOf([&] { other->ShareTrainedLayersWith(train.get()); });
  EXPECT_TRUE(Contains(error, "layer 'block' (InnerProduct): shape mismatch in parameter 0"));
}

#ifdef USE_HDF5

TYPED_TEST(NetTest, WeightsGoThroughHDF5) {
  typedef typename TypeParam::Dtype Dtype;
  const TempFolder folder;
  const auto net = MakeNet<Dtype>(kSaved);
  net->ToHDF5(folder / "saved.caffemodel.h5");
  EXPECT_EQ(folder.Files(), (std::set<string>{"saved.caffemodel.h5"}));
  const auto copy = MakeNet<Dtype>(kSaved);
  this->log_.Clear();
  copy->CopyTrainedLayersFrom(folder / "saved.caffemodel.h5");
  EXPECT_EQ(Weights(*copy), Weights(*net)) << "the names of two layers are one inside the other";
  EXPECT_EQ(this->log_.Count("Copying source layer"), 2);

  const auto wider = MakeNet<Dtype>(Replaced(kSaved, "num_output: 4", "num_output: 5"));
  const vector<vector<Dtype>> before = Weights(*wider);
  const string error = ErrorOf([&] { wider->CopyTrainedLayersFrom(folder / "saved.caffemodel.h5"); });
  EXPECT_TRUE(Contains(error, folder / "saved.caffemodel.h5"));
  EXPECT_TRUE(Contains(error, "layer 'block' (InnerProduct): "));
  EXPECT_TRUE(Contains(error, "'/data/block/0' has the shape 4 48, but 5 48 (240) is expected"));
  EXPECT_TRUE(Contains(error, "rename it"));
  EXPECT_EQ(Weights(*wider), before);

  const auto fewer = MakeNet<Dtype>(Replaced(kSaved, "num_output: 4", "num_output: 4 bias_term: false"));
  EXPECT_TRUE(Contains(ErrorOf([&] { fewer->CopyTrainedLayersFrom(folder / "saved.caffemodel.h5"); }),
                       "the source has 2, this net 1"));
}

TYPED_TEST(NetTest, HDF5GroupsWithinThemselvesAreRefused) {
  typedef typename TypeParam::Dtype Dtype;
  const TempFolder folder;
  {
    const Hdf5Handle file = Hdf5CreateFile(folder / "loop.h5");
    const Hdf5Handle group = Hdf5CreateGroup(file.get(), "data/a");
    for (const char* name : {"b", "c"}) {
      H5Lcreate_hard(file.get(), "data", group.get(), name, H5P_DEFAULT, H5P_DEFAULT);
    }
  }
  const auto net =
      MakeNet<Dtype>("layer { name: 'in' type: 'Input' top: 'in' input_param { shape { dim: 1 } } }");
  const string error = ErrorOf([&] { net->CopyTrainedLayersFrom(folder / "loop.h5"); });
  EXPECT_TRUE(Contains(error, "one refers to itself"));
  EXPECT_TRUE(Contains(error, "loop.h5"));
}

TYPED_TEST(NetTest, HDF5KeepsSharedParametersOnce) {
  typedef typename TypeParam::Dtype Dtype;
  const TempFolder folder;
  const string text = kX + kY + InnerProduct("a", "x", "param { name: 'w' }") +
                      InnerProduct("b", "a", "param { name: 'w' }") + Loss("loss", "b", "y");
  const auto net = MakeNet<Dtype>(text);
  net->ToHDF5(folder / "shared.h5");
  const auto copy = MakeNet<Dtype>(text);
  copy->CopyTrainedLayersFrom(folder / "shared.h5");
  EXPECT_EQ(Weights(*copy), Weights(*net));

  const auto separate = MakeNet<Dtype>(kX + InnerProduct("a", "x") + InnerProduct("b", "a"));
  EXPECT_TRUE(Contains(ErrorOf([&] { separate->CopyTrainedLayersFrom(folder / "shared.h5"); }),
                       "layer 'b' (InnerProduct): "))
      << "the file holds nothing for it";
}

TYPED_TEST(NetTest, AFullDiskKeepsTheOldHDF5File) {
  typedef typename TypeParam::Dtype Dtype;
  const TempFolder folder;
  const auto net = MakeNet<Dtype>(kSaved);
  const string file = folder.Save("saved.h5", "old");
  string error;
  {
    const FileSizeLimit limit(1000);
    error = ErrorOf([&] { net->ToHDF5(file); });
  }
  EXPECT_TRUE(Contains(error, file));
  EXPECT_TRUE(Contains(error, "File too large"));
  EXPECT_EQ(folder.Load("saved.h5"), "old");
  EXPECT_EQ(folder.Files(), (std::set<string>{"saved.h5"}));
}

#endif  // USE_HDF5

}  // namespace caffe
