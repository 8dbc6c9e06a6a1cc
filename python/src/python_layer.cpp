#include "caffe/layers/python_layer.hpp"

#include "bindings.hpp"

namespace caffe {

namespace py = pybind11;

namespace {

// Names the layer in the exception that Python is about to see, whose type and traceback stay as they are.
void AddNote(const py::error_already_set& error, const LayerParameter& param) {
  std::string note = "in layer '" + param.name() + "' (Python)";
  const std::string& module = param.python_param().module();
  if (error.matches(PyExc_ModuleNotFoundError) &&
      py::str(error.value().attr("name")).cast<std::string>() == module) {
    note += "; name the folder of " + module + ".py in PYTHONPATH";
  }
  if (py::hasattr(error.value(), "add_note")) {
    error.value().attr("add_note")(note);
  } else {
    // Python 3.10 keeps notes, but shows none.
    py::setattr(error.value(), "__notes__", py::make_tuple(note));
  }
}

// The blobs as Python sees them: a list of the objects that nets hand out.
py::list Blobs(const vector<Blob<float>*>& blobs) {
  py::list list;
  for (Blob<float>* blob : blobs) list.append(py::cast(blob, py::return_value_policy::reference));
  return list;
}

// The object's own method of this name; null where its class has none but that of caffe.Layer, which would
// call back here.
py::object MethodOf(py::handle self, const char* name) {
  const py::object of_class = py::getattr(py::type::of(self), name, py::none());
  const py::object of_base = py::getattr(py::type::of<Layer<float>>(), name, py::none());
  if (of_class.is(of_base)) return py::object();
  return self.attr(name);
}

// Runs `work` with the interpreter's lock held, in whatever thread the net runs.
template <typename Work>
void InPython(const LayerParameter& param, Work work) {
  const py::gil_scoped_acquire acquire;
  try {
    work();
  } catch (const py::error_already_set& error) {
    AddNote(error, param);
    throw;
  }
}

}  // namespace

template <typename Dtype>
void PythonLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  InPython(this->layer_param_, [&] {
    const py::handle self(self_);
    self.attr("param_str") = this->layer_param_.python_param().param_str();
    self.attr("phase") = static_cast<int>(this->phase_);
    if (const py::object setup = MethodOf(self, "setup")) setup(Blobs(bottom), Blobs(top));
  });
  this->param_propagate_down_.resize(this->blobs_.size(), true);
}

template <typename Dtype>
void PythonLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  InPython(this->layer_param_, [&] {
    if (const py::object reshape = MethodOf(self_, "reshape")) reshape(Blobs(bottom), Blobs(top));
  });
}

template <typename Dtype>
void PythonLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  InPython(this->layer_param_, [&] { py::handle(self_).attr("forward")(Blobs(bottom), Blobs(top)); });
}

template <typename Dtype>
void PythonLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                                      const vector<Blob<Dtype>*>& bottom) {
  InPython(this->layer_param_,
           [&] { py::handle(self_).attr("backward")(Blobs(top), py::cast(propagate_down), Blobs(bottom)); });
}

template class PythonLayer<float>;

namespace python {

namespace {

// The Python object, and with it the layer that it owns, lives as long as the net needs the layer.
std::shared_ptr<Layer<float>> Owned(py::object instance) {
  auto* layer = instance.cast<Layer<float>*>();
  PyObject* const owner = instance.release().ptr();
  return std::shared_ptr<Layer<float>>(layer, [owner](Layer<float>*) {
    // What is left when the interpreter has ended goes with the process.
    if (!Py_IsInitialized()) return;
    const py::gil_scoped_acquire acquire;
    Py_DECREF(owner);
  });
}

std::shared_ptr<Layer<float>> CreatePythonLayer(const LayerParameter& param) {
  const PythonParameter& python = param.python_param();
  CHECK(!python.module().empty() && !python.layer().empty())
      << "python_param.module and python_param.layer are needed: the module, and the class in it";
  std::shared_ptr<Layer<float>> layer;
  InPython(param, [&] {
    const py::object made_by = py::module_::import(python.module().c_str()).attr(python.layer().c_str());
    const bool is_layer =
        PyType_Check(made_by.ptr()) &&
        PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(made_by.ptr()),
                         reinterpret_cast<PyTypeObject*>(py::type::of<Layer<float>>().ptr()));
    if (!is_layer) {
      throw py::type_error(python.module() + "." + python.layer() + " is no subclass of caffe.Layer, which " +
                           "layer '" + param.name() + "' needs");
    }
    layer = Owned(made_by(param));
  });
  return layer;
}

}  // namespace

void BindPythonLayer(py::module_&) {
  SetPythonLayerCreator(&CreatePythonLayer);
  // The layer has to know the object it belongs to, which a plain constructor is not told.
  py::object base = py::type::of<Layer<float>>();
  base.attr("__init__") = py::cpp_function(
      [](py::detail::value_and_holder& instance, const LayerParameter& param) {
        instance.value_ptr() = new PythonLayer<float>(reinterpret_cast<PyObject*>(instance.inst), param);
      },
      py::name("__init__"), py::is_method(base), py::arg("param"), py::detail::is_new_style_constructor());
}

}  // namespace python
}  // namespace caffe
