#include "caffe/solver_factory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "caffe/sgd_solvers.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "net_test_util.hpp"

namespace caffe {

namespace {

SolverParameter SolverOfType(const string& type) {
  return FromText<SolverParameter>("type: '" + type +
                                   "' train_net_param { layer { name: 'x' type: 'Input' top: 'x' "
                                   "input_param { shape { dim: 1 } } } }");
}

/// A solver of another project, as it would register itself.
template <typename Dtype>
class FactoryTestSolver : public SGDSolver<Dtype> {
 public:
  explicit FactoryTestSolver(const SolverParameter& param) : SGDSolver<Dtype>(param) {}
  const char* type() const override { return "FactoryTest"; }
};

REGISTER_SOLVER_CLASS(FactoryTest);

}  // namespace

template <typename TypeParam>
class SolverFactoryTest : public MultiDeviceTest<TypeParam> {
 protected:
  LogCapture quiet_;
};

TYPED_TEST_SUITE(SolverFactoryTest, TestDtypesAndDevices);

TYPED_TEST(SolverFactoryTest, MakesEachTypeByItsName) {
  typedef typename TypeParam::Dtype Dtype;
  const vector<string> types = SolverRegistry<Dtype>::SolverTypeList();
  EXPECT_TRUE(std::is_sorted(types.begin(), types.end()));
  // Beside these there are solvers of the tests.
  for (const char* type : {"AdaDelta", "AdaGrad", "Adam", "FactoryTest", "Nesterov", "RMSProp", "SGD"}) {
    EXPECT_EQ(std::count(types.begin(), types.end(), type), 1) << type;
  }
  for (const string& type : types) {
    const std::unique_ptr<Solver<Dtype>> solver(SolverRegistry<Dtype>::CreateSolver(SolverOfType(type)));
    EXPECT_EQ(type, solver->type());
  }
}

TYPED_TEST(SolverFactoryTest, UnknownTypesNameTheNearest) {
  typedef typename TypeParam::Dtype Dtype;
  const string error = ErrorOf([] { SolverRegistry<Dtype>::CreateSolver(SolverOfType("Adm")); });
  EXPECT_TRUE(Contains(error, "unknown solver type 'Adm' (did you mean 'Adam'"));
  EXPECT_TRUE(Contains(error, "Nesterov"));
}

TYPED_TEST(SolverFactoryTest, ATypeIsRegisteredOnce) {
  typedef typename TypeParam::Dtype Dtype;
  EXPECT_TRUE(Contains(ErrorOf([] { SolverRegistry<Dtype>::AddCreator("SGD", nullptr); }),
                       "solver type 'SGD' is registered already"));
}

}  // namespace caffe
