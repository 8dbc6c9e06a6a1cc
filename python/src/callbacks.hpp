#ifndef CAFFE_PYTHON_CALLBACKS_HPP_
#define CAFFE_PYTHON_CALLBACKS_HPP_

#include <memory>
#include <utility>

#include "bindings.hpp"

namespace caffe {
namespace python {

/// Keeps a Python object, or several, alive for as long as the net or solver `self`.
inline void KeepWith(const py::object& self, py::object kept) {
  if (!py::hasattr(self, "_callbacks")) self.attr("_callbacks") = py::list();
  self.attr("_callbacks").cast<py::list>().append(std::move(kept));
}

/**
 * @brief Ties a callback, which the engine knows by its address, to the Python object of the net or solver.
 *
 * The callback and the functions that it calls go into the object's __dict__: they live as long as it does,
 * and Python's garbage collector sees functions that refer back to the object. So the callback itself only
 * borrows the functions. Nets of a solver have Python objects that live as long as the solver's (see
 * KeptAttribute).
 */
template <typename Callback>
Callback* KeepCallback(const py::object& self, std::unique_ptr<Callback> callback,
                       const py::object& functions) {
  Callback* address = callback.release();
  py::capsule owner(address, [](void* held) { delete static_cast<Callback*>(held); });
  KeepWith(self, py::make_tuple(functions, owner));
  return address;
}

/// An attribute of the Python object that is made when it is first asked for, and kept.
template <typename Make>
py::object KeptAttribute(const py::object& self, const char* name, Make make) {
  if (!py::hasattr(self, name)) self.attr(name) = make();
  return self.attr(name);
}

}  // namespace python
}  // namespace caffe

#endif  // CAFFE_PYTHON_CALLBACKS_HPP_
