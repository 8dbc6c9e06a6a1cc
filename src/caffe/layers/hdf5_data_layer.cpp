#include "caffe/layers/hdf5_data_layer.hpp"

#include <cerrno>
#include <climits>
#include <fstream>
#include <numeric>
#include <system_error>

#include "caffe/layer_factory.hpp"

#ifdef USE_HDF5

#include "caffe/util/math_functions.hpp"
#include "caffe/util/path_resolve.hpp"
#include "caffe/util/record_random.hpp"
#include "caffe/util/rng.hpp"
#include "caffe/util/solver_share.hpp"

namespace caffe {

namespace {

/// The lines of a list of files, without blanks around them.
vector<string> ReadFileList(const string& source) {
  constexpr char kBlank[] = " \t\r";
  errno = 0;
  std::ifstream list(source);
  if (!list) {
    throw Error(
        "cannot read the list of HDF5 files '" + source + "': " + std::generic_category().message(errno), "",
        "", source);
  }
  vector<string> files;
  string line;
  while (std::getline(list, line)) {
    if (files.empty() && line.compare(0, 8, "\x89HDF\r") == 0) {
      throw Error("'" + source + "' is an HDF5 file: hdf5_data_param.source is a text file that lists such",
                  "", "", source);
    }
    const size_t start = line.find_first_not_of(kBlank);
    if (start == string::npos) continue;
    files.push_back(ResolvePath(line.substr(start, line.find_last_not_of(kBlank) + 1 - start), source));
  }
  // A folder can be opened, but not read.
  if (list.bad()) {
    throw Error("cannot read the list of HDF5 files '" + source + "': is it a file?", "", "", source);
  }
  if (files.empty()) throw Error("the list of HDF5 files '" + source + "' names no file", "", "", source);
  return files;
}

/// 0, 1, ... count - 1.
std::vector<unsigned int> Ascending(size_t count) {
  std::vector<unsigned int> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0u);
  return numbers;
}

}  // namespace

template <typename Dtype>
void HDF5DataLayer<Dtype>::LoadHDF5FileData(const char* filename) {
  const int num_tops = this->layer_param_.top_size();
  LOG_IF(INFO, Caffe::root_solver()) << "Loading HDF5 file: " << filename;
  const Hdf5Handle file = Hdf5OpenFile(filename);
  std::vector<shared_ptr<Blob<Dtype>>> blobs(num_tops);
  for (int i = 0; i < num_tops; ++i) {
    const string& name = this->layer_param_.top(i);
    blobs[i] = std::make_shared<Blob<Dtype>>();
    hdf5_load_nd_dataset(file.get(), name.c_str(), 1, INT_MAX, blobs[i].get(), true);
    if (blobs[i]->shape(0) != blobs[0]->shape(0)) {
      throw Error("dataset '" + name + "' has " + std::to_string(blobs[i]->shape(0)) + " rows, and '" +
                      this->layer_param_.top(0) + "' " + std::to_string(blobs[0]->shape(0)) +
                      ": the datasets of a file need the same number",
                  "", "", filename);
    }
    if (blobs[i]->shape(0) > 0 && blobs[i]->count() == 0) {
      throw Error(
          "the rows of dataset '" + name + "' hold no values: its shape is " + blobs[i]->shape_string(), "",
          "", filename);
    }
    if (hdf_blobs_.empty()) continue;
    vector<int> expected = hdf_blobs_[i]->shape();
    expected[0] = blobs[i]->shape(0);
    if (blobs[i]->shape() != expected) {
      throw Error("the rows of dataset '" + name + "' have another shape than those of the file before: " +
                      blobs[i]->shape_string() + " and " + hdf_blobs_[i]->shape_string(),
                  "", "", filename);
    }
  }
  if (blobs[0]->shape(0) == 0) throw Error("the datasets have no rows", "", "", filename);
  hdf_blobs_ = std::move(blobs);
  OrderRows();
  current_row_ = 0;
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::OrderFiles() {
  file_permutation_ = Ascending(num_files_);
  if (!this->layer_param_.hdf5_data_param().shuffle()) return;
  RecordRandom random(seed_, RecordRandom::ORDER, pass_);
  shuffle(file_permutation_.begin(), file_permutation_.end(), &random);
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::OrderRows() {
  data_permutation_ = Ascending(hdf_blobs_[0]->shape(0));
  if (!this->layer_param_.hdf5_data_param().shuffle()) return;
  RecordRandom random(seed_, RecordRandom::ROW_ORDER, pass_ * num_files_ + current_file_);
  shuffle(data_permutation_.begin(), data_permutation_.end(), &random);
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::LoadCurrentFile() {
  LoadHDF5FileData(hdf_filenames_[file_permutation_[current_file_]].c_str());
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  CHECK(!this->layer_param_.has_transform_param())
      << "HDF5Data does not transform data: remove transform_param, and transform before writing the files";
  CHECK_EQ(static_cast<size_t>(this->layer_param_.top_size()), top.size())
      << "the tops need names, which the datasets have";
  const HDF5DataParameter& param = this->layer_param_.hdf5_data_param();
  LOG_IF(FATAL, param.batch_size() < 1 || param.batch_size() > INT_MAX)
      << "hdf5_data_param.batch_size is " << param.batch_size()
      << ": give the number of rows of a forward pass";
  LOG_IF(INFO, Caffe::root_solver()) << "Loading list of HDF5 filenames from: " << param.source();
  hdf_filenames_ = ReadFileList(param.source());
  num_files_ = static_cast<unsigned int>(hdf_filenames_.size());
  LOG_IF(INFO, Caffe::root_solver()) << "Number of HDF5 files: " << num_files_;
  if (param.shuffle()) seed_ = caffe_rng_rand();
  OrderFiles();
  LoadCurrentFile();
  for (size_t i = 0; i < top.size(); ++i) {
    vector<int> shape = hdf_blobs_[i]->shape();
    shape[0] = static_cast<int>(param.batch_size());
    top[i]->Reshape(shape);
  }
}

template <typename Dtype>
bool HDF5DataLayer<Dtype>::GetDataState(DataState* state) const {
  state->set_seed(seed_);
  state->set_record(StartOfRound(offset_, this->phase_));
  return true;
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::SetDataState(const DataState& state) {
  vector<uint64_t> rows;
  for (const string& name : hdf_filenames_) {
    const Hdf5Handle file = Hdf5OpenFile(name);
    Blob<Dtype> shaped;
    hdf5_load_nd_dataset_helper(file.get(), this->layer_param_.top(0).c_str(), 1, INT_MAX, &shaped, true);
    rows.push_back(shaped.shape(0));
  }
  const uint64_t rows_of_pass = std::accumulate(rows.begin(), rows.end(), uint64_t{0});
  CHECK_GT(rows_of_pass, 0u) << "the files of '" << this->layer_param_.hdf5_data_param().source()
                             << "' have no rows";
  seed_ = state.seed();
  offset_ = state.record();
  pass_ = offset_ / rows_of_pass;
  OrderFiles();
  uint64_t row = offset_ % rows_of_pass;
  for (current_file_ = 0; row >= rows[file_permutation_[current_file_]]; ++current_file_) {
    row -= rows[file_permutation_[current_file_]];
  }
  LoadCurrentFile();
  current_row_ = row;
}

template <typename Dtype>
bool HDF5DataLayer<Dtype>::Skip() {
  return IsOfAnotherSolver(offset_, this->phase_);
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::Next() {
  ++offset_;
  if (++current_row_ < data_permutation_.size()) return;
  current_row_ = 0;
  if (++current_file_ == num_files_) {
    current_file_ = 0;
    ++pass_;
    OrderFiles();
    LOG_IF(INFO, num_files_ > 1) << "Looping around to first file.";
  }
  if (num_files_ > 1) {
    LoadCurrentFile();
  } else {
    OrderRows();
  }
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) {
  const int batch_size = static_cast<int>(this->layer_param_.hdf5_data_param().batch_size());
  for (int item = 0; item < batch_size; ++item) {
    while (Skip()) Next();
    for (size_t i = 0; i < top.size(); ++i) {
      const int count = top[i]->count() / top[i]->shape(0);
      caffe_copy(count, hdf_blobs_[i]->cpu_data() + size_t{1} * count * data_permutation_[current_row_],
                 top[i]->mutable_cpu_data() + size_t{1} * count * item);
    }
    Next();
  }
}

#ifdef CPU_ONLY
STUB_GPU_FORWARD(HDF5DataLayer, Forward);
#endif

INSTANTIATE_CLASS(HDF5DataLayer);
REGISTER_LAYER_CLASS(HDF5Data);

}  // namespace caffe

#else

namespace caffe {

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateHDF5DataLayer(const LayerParameter&) {
  NO_HDF5;
  return nullptr;
}
REGISTER_LAYER_CREATOR(HDF5Data, CreateHDF5DataLayer);

}  // namespace caffe

#endif  // USE_HDF5
