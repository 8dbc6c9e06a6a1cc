#include "caffe/layers/recurrent_layer.hpp"

#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

template <typename Names>
int CountOf(Names names) {
  vector<string> list;
  names(&list);
  return static_cast<int>(list.size());
}

void AddInput(const string& name, const BlobShape& shape, NetParameter* net_param) {
  LayerParameter* input = net_param->add_layer();
  input->set_type("Input");
  input->set_name(name);
  input->add_top(name);
  *input->mutable_input_param()->add_shape() = shape;
}

template <typename Dtype>
BlobShape ShapeOf(const Blob<Dtype>& blob) {
  BlobShape shape;
  for (int dim : blob.shape()) shape.add_dim(dim);
  return shape;
}

template <typename Dtype>
vector<Blob<Dtype>*> BlobsByName(const Net<Dtype>& net, const vector<string>& names) {
  vector<Blob<Dtype>*> blobs;
  for (const string& name : names) {
    CHECK(net.has_blob(name)) << "the unrolled net makes no blob '" << name << "'";
    blobs.push_back(net.blob_by_name(name).get());
  }
  return blobs;
}

// Lets two blobs of one shape be one in memory.
template <typename Dtype>
void Join(Blob<Dtype>* blob, const Blob<Dtype>& owner) {
  blob->ShareData(owner);
  blob->ShareDiff(owner);
}

}  // namespace

template <typename Dtype>
int RecurrentLayer<Dtype>::MinBottomBlobs() const {
  if (!this->layer_param_.recurrent_param().expose_hidden()) return 2;
  return 2 + CountOf([this](vector<string>* names) { RecurrentInputBlobNames(names); });
}

template <typename Dtype>
int RecurrentLayer<Dtype>::ExactNumTopBlobs() const {
  const int outputs = CountOf([this](vector<string>* names) { OutputBlobNames(names); });
  if (!this->layer_param_.recurrent_param().expose_hidden()) return outputs;
  return outputs + CountOf([this](vector<string>* names) { RecurrentOutputBlobNames(names); });
}

template <typename Dtype>
void RecurrentLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>&) {
  CHECK_GE(bottom[0]->num_axes(), 2) << "the input must have at least 2 axes: time steps x streams x ...";
  T_ = bottom[0]->shape(0);
  N_ = bottom[0]->shape(1);
  CHECK_EQ(bottom[1]->num_axes(), 2) << "the sequence indicators must have 2 axes: time steps x streams";
  CHECK_EQ(T_, bottom[1]->shape(0))
      << "input and sequence indicators must have the same number of time steps";
  CHECK_EQ(N_, bottom[1]->shape(1)) << "input and sequence indicators must have the same number of streams";

  vector<string> recur_inputs, recur_outputs, outputs;
  RecurrentInputBlobNames(&recur_inputs);
  RecurrentOutputBlobNames(&recur_outputs);
  OutputBlobNames(&outputs);
  CHECK_EQ(recur_inputs.size(), recur_outputs.size()) << "each state needs a first and a last value";
  expose_hidden_ = this->layer_param_.recurrent_param().expose_hidden();
  const size_t num_hidden_exposed = expose_hidden_ ? recur_inputs.size() : 0;
  static_input_ = bottom.size() > 2 + num_hidden_exposed;
  if (static_input_) {
    CHECK_GE(bottom[2]->num_axes(), 1) << "the static input must have at least 1 axis: streams x ...";
    CHECK_EQ(N_, bottom[2]->shape(0)) << "input and static input must have the same number of streams";
  }

  NetParameter net_param;
  net_param.set_name(this->layer_param_.name());
  AddInput("x", ShapeOf(*bottom[0]), &net_param);
  AddInput("cont", ShapeOf(*bottom[1]), &net_param);
  if (static_input_) AddInput("x_static", ShapeOf(*bottom[2]), &net_param);
  FillUnrolledNet(&net_param);
  // Names stay apart from those of the outer net, in messages and when nets are inspected.
  if (!this->layer_param_.name().empty()) {
    for (LayerParameter& layer : *net_param.mutable_layer()) {
      layer.set_name(this->layer_param_.name() + "_" + layer.name());
    }
  }
  net_param.mutable_state()->set_phase(this->phase_);
  net_param.set_force_backward(true);
  unrolled_net_ = std::make_shared<Net<Dtype>>(net_param);
  unrolled_net_->set_debug_info(this->layer_param_.recurrent_param().debug_info());

  x_input_blob_ = unrolled_net_->blob_by_name("x").get();
  cont_input_blob_ = unrolled_net_->blob_by_name("cont").get();
  if (static_input_) x_static_input_blob_ = unrolled_net_->blob_by_name("x_static").get();
  recur_input_blobs_ = BlobsByName(*unrolled_net_, recur_inputs);
  recur_output_blobs_ = BlobsByName(*unrolled_net_, recur_outputs);
  output_blobs_ = BlobsByName(*unrolled_net_, outputs);
  last_layer_index_ = static_cast<int>(unrolled_net_->layers().size()) - 1;

  // Each step's layers share one set of parameters, owned by the first step's.
  this->blobs_.clear();
  for (size_t i = 0; i < unrolled_net_->params().size(); ++i) {
    if (unrolled_net_->param_owners()[i] == -1) this->blobs_.push_back(unrolled_net_->params()[i]);
  }
  this->param_propagate_down_.assign(this->blobs_.size(), true);
}

template <typename Dtype>
void RecurrentLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(T_, bottom[0]->shape(0)) << "the number of time steps is fixed when the layer is set up";
  CHECK_EQ(N_, bottom[0]->shape(1)) << "the number of streams is fixed when the layer is set up";
  CHECK_EQ(T_, bottom[1]->shape(0))
      << "input and sequence indicators must have the same number of time steps";
  CHECK_EQ(N_, bottom[1]->shape(1)) << "input and sequence indicators must have the same number of streams";
  x_input_blob_->ReshapeLike(*bottom[0]);
  cont_input_blob_->ReshapeLike(*bottom[1]);
  if (static_input_) x_static_input_blob_->ReshapeLike(*bottom[2]);
  vector<BlobShape> recur_input_shapes;
  RecurrentInputShapes(&recur_input_shapes);
  CHECK_EQ(recur_input_shapes.size(), recur_input_blobs_.size()) << "each state needs a shape";
  for (size_t i = 0; i < recur_input_shapes.size(); ++i)
    recur_input_blobs_[i]->Reshape(recur_input_shapes[i]);
  unrolled_net_->Reshape();

  Join(x_input_blob_, *bottom[0]);
  cont_input_blob_->ShareData(*bottom[1]);
  if (static_input_) Join(x_static_input_blob_, *bottom[2]);
  for (size_t i = 0; i < output_blobs_.size(); ++i) {
    top[i]->ReshapeLike(*output_blobs_[i]);
    Join(top[i], *output_blobs_[i]);
  }
  if (!expose_hidden_) return;
  const size_t first_state = 2 + static_input_;
  for (size_t i = 0; i < recur_input_blobs_.size(); ++i) {
    Blob<Dtype>* initial = bottom[first_state + i];
    CHECK(initial->shape() == recur_input_blobs_[i]->shape())
        << "bottom " << first_state + i << ", an initial state, must have shape "
        << recur_input_blobs_[i]->shape_string() << ", not " << initial->shape_string();
    Join(recur_input_blobs_[i], *initial);
    top[output_blobs_.size() + i]->ReshapeLike(*recur_output_blobs_[i]);
    Join(top[output_blobs_.size() + i], *recur_output_blobs_[i]);
  }
}

template <typename Dtype>
void RecurrentLayer<Dtype>::Reset() {
  for (Blob<Dtype>* blob : recur_output_blobs_) caffe_set(blob->count(), Dtype(0), blob->mutable_cpu_data());
}

template <typename Dtype>
bool RecurrentLayer<Dtype>::GetDataState(DataState* state) const {
  if (expose_hidden_) return false;
  for (const Blob<Dtype>* blob : recur_output_blobs_) blob->ToProto(state->add_carried());
  return true;
}

template <typename Dtype>
void RecurrentLayer<Dtype>::SetDataState(const DataState& state) {
  CHECK_EQ(state.carried_size(), recur_output_blobs_.size()) << "the layer carries another number of states";
  for (int i = 0; i < state.carried_size(); ++i) recur_output_blobs_[i]->FromProto(state.carried(i), false);
}

template <typename Dtype>
void RecurrentLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  // A net in the test phase may have had its parameters replaced by shared ones since it was built.
  if (this->phase_ == TEST) unrolled_net_->ShareWeights();
  if (!expose_hidden_) {
    for (size_t i = 0; i < recur_input_blobs_.size(); ++i) {
      recur_input_blobs_[i]->CopyFrom(*recur_output_blobs_[i]);
    }
  }
  unrolled_net_->ForwardTo(last_layer_index_);
  // Layers that only pass a blob on (Split, Concat of one) share memory anew in every pass.
  for (size_t i = 0; i < top.size(); ++i) {
    const bool is_output = i < output_blobs_.size();
    Join(top[i], *(is_output ? output_blobs_[i] : recur_output_blobs_[i - output_blobs_.size()]));
  }
}

template <typename Dtype>
void RecurrentLayer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  // The unrolled net's layers choose the device themselves.
  Forward_cpu(bottom, top);
}

template <typename Dtype>
void RecurrentLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>&, const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>&) {
  CHECK(!propagate_down[1]) << "sequence indicators have no gradient";
  unrolled_net_->BackwardFrom(last_layer_index_);
}

INSTANTIATE_CLASS(RecurrentLayer);

}  // namespace caffe
