#include "bindings.hpp"
#include "caffe/util/benchmark.hpp"

namespace caffe {
namespace python {

void BindTimer(py::module_& module) {
  py::class_<Timer, std::shared_ptr<Timer>>(module, "Timer", "A stopwatch for what the engine computes.")
      .def(py::init<>())
      .def("start", &Timer::Start, "Starts it; nothing happens where it runs already.")
      .def("stop", &Timer::Stop)
      .def_property_readonly("ms", &Timer::MilliSeconds,
                             "Milliseconds between start and stop; reading it stops a running timer.");
}

}  // namespace python
}  // namespace caffe
