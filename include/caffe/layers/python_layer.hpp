#ifndef CAFFE_PYTHON_LAYER_HPP_
#define CAFFE_PYTHON_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"

// As Python.h declares it, which whoever only makes nets does not need.
struct _object;
typedef _object PyObject;

namespace caffe {

/**
 * @brief A layer written in Python: class python_param.layer of module python_param.module, a subclass of
 * caffe.Layer with the methods setup, reshape, forward and backward.
 *
 * Each C++ method calls the Python one of its name with lists of blobs. setup finds the layer's param_str and
 * phase as attributes. Exceptions of Python pass through the engine unchanged, traceback included. Defined
 * in the Python package for float, which is what its nets compute in.
 */
template <typename Dtype>
class PythonLayer : public Layer<Dtype> {
 public:
  /// `self` is the Python object that owns this layer.
  PythonLayer(PyObject* self, const LayerParameter& param) : Layer<Dtype>(param), self_(self) {}
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Python"; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  PyObject* self_;
};

using PythonLayerCreator = shared_ptr<Layer<float>> (*)(const LayerParameter& param);

/// Says how layers of type Python are made. The Python package does when it is imported; until then they
/// raise an error that says so.
void SetPythonLayerCreator(PythonLayerCreator creator);

}  // namespace caffe

#endif  // CAFFE_PYTHON_LAYER_HPP_
