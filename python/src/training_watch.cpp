#include <atomic>
#include <cmath>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "caffe/sgd_solvers.hpp"
#include "callbacks.hpp"
#include "solver_actions.hpp"

namespace caffe {
namespace python {

namespace {

// Notes where a solver is, for another thread to read. It never takes the interpreter lock, so watching does
// not slow training down.
class TrainingWatch : public SolverClass::Callback {
 public:
  explicit TrainingWatch(SolverClass* solver)
      : solver_(*solver), sgd_(dynamic_cast<SGDSolver<Dtype>*>(solver)), iteration_(solver->iter()) {}

  int iteration() const { return iteration_; }
  float loss() const { return loss_; }
  float learning_rate() const { return learning_rate_; }

 protected:
  void on_start() override {
    iteration_ = solver_.iter();
    if (sgd_) learning_rate_ = sgd_->GetLearningRate();
  }
  void on_gradients_ready() override {
    Net<Dtype>& net = *solver_.net();
    float loss = 0;
    for (size_t i = 0; i < net.output_blobs().size(); ++i) {
      const Blob<Dtype>& output = *net.output_blobs()[i];
      const float weight = net.blob_loss_weights()[net.output_blob_indices()[i]];
      if (weight == 0) continue;
      loss += weight * std::accumulate(output.cpu_data(), output.cpu_data() + output.count(), 0.0f);
    }
    loss_ = loss;
    iteration_ = solver_.iter() + 1;
  }

 private:
  SolverClass& solver_;
  SGDSolver<Dtype>* const sgd_;
  std::atomic<int> iteration_;
  std::atomic<float> loss_{std::nanf("")};
  std::atomic<float> learning_rate_{std::nanf("")};
};

TrainingWatch* Watch(const py::object& solver) {
  auto& watched = solver.cast<SolverClass&>();
  TrainingWatch* watch = KeepCallback(solver, std::make_unique<TrainingWatch>(&watched), py::none());
  watched.add_callback(watch);
  return watch;
}

// Takes the log's lines in place of standard error. Lines wait in a queue: threads of the engine, which may
// be waited for by one that holds the interpreter lock, can log at any time.
class LogLines {
 public:
  using Line = std::tuple<int, std::string, std::string>;

  void Enter() {
    logging::SetSink(
        [queue = queue_](logging::Severity severity, const std::string& line, const std::string& message) {
          const std::lock_guard<std::mutex> lock(queue->mutex);
          queue->lines.emplace_back(severity, line, message);
        });
  }
  void Exit() { logging::SetSink(nullptr); }

  std::vector<Line> Take() {
    const std::lock_guard<std::mutex> lock(queue_->mutex);
    return std::exchange(queue_->lines, {});
  }

 private:
  struct Queue {
    std::mutex mutex;
    std::vector<Line> lines;
  };
  std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
};

}  // namespace

void BindTrainingWatch(py::module_& module) {
  py::class_<TrainingWatch, std::unique_ptr<TrainingWatch, py::nodelete>>(
      module, "TrainingWatch", "Where a solver is, to be read while it trains in another thread.")
      .def(py::init(&Watch), py::arg("solver"), py::keep_alive<1, 2>())
      .def_property_readonly("iteration", &TrainingWatch::iteration, "How many iterations were computed.")
      .def_property_readonly("loss", &TrainingWatch::loss,
                             "The last batch's loss; nan before the first is known.")
      .def_property_readonly("lr", &TrainingWatch::learning_rate,
                             "The learning rate; nan before the first iteration.");
  py::class_<LogLines>(module, "LogLines",
                       "In a with block the log's lines come here and do not go to standard error.")
      .def(py::init<>())
      .def(
          "__enter__",
          [](LogLines& lines) -> LogLines& {
            lines.Enter();
            return lines;
          },
          py::return_value_policy::reference_internal)
      .def("__exit__", [](LogLines& lines, const py::args&) { lines.Exit(); })
      .def("take", &LogLines::Take,
           "The lines since the last call: (level, line with its prefix, bare message) of each.");
}

}  // namespace python
}  // namespace caffe
