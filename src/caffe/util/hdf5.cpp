#include "caffe/util/hdf5.hpp"

#include <dlfcn.h>

#include <fstream>
#include <utility>

#include "caffe/util/hdf5_library.hpp"
#include "caffe/util/own_library.hpp"

namespace caffe {

bool IsHdf5File(const string& filename) {
  const string signature = "\x89HDF\r\n\x1a\n";
  string start(signature.size(), '\0');
  std::ifstream file(filename, std::ios::binary);
  return file.read(&start[0], start.size()) && start == signature;
}

}  // namespace caffe

#ifdef USE_HDF5

extern "C" __attribute__((weak)) const caffe::Hdf5Library* caffe_hdf5_library();

namespace caffe {

namespace {

const Hdf5Library* Load() {
  if (&caffe_hdf5_library) return caffe_hdf5_library();
  const string file = OwnLibrary("libcaffe_hdf5.so");
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto get = reinterpret_cast<decltype(&caffe_hdf5_library)>(
      library ? dlsym(library, "caffe_hdf5_library") : nullptr);
  CHECK(get != nullptr) << "Caffe's HDF5 part cannot be loaded: " << dlerror();
  return get();
}

/// Loaded by the first call; one that fails is made again by the next.
const Hdf5Library& Library() {
  static const Hdf5Library* const library = Load();
  return *library;
}

const Hdf5Datasets<float>& Datasets(float) { return Library().floats; }
const Hdf5Datasets<double>& Datasets(double) { return Library().doubles; }

}  // namespace

Hdf5Handle& Hdf5Handle::operator=(Hdf5Handle&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(close_, other.close_);
  return *this;
}

Hdf5Handle::~Hdf5Handle() {
  if (valid()) Library().close(id_, close_);
}

Hdf5Handle Hdf5OpenFile(const string& filename) { return Library().open_file(filename); }

Hdf5Handle Hdf5CreateFile(const string& filename) { return Library().create_file(filename); }

void Hdf5WriteFile(const string& filename, const std::function<void(hid_t file)>& write) {
  Library().write_file(filename, write);
}

Hdf5Handle Hdf5OpenGroup(hid_t loc_id, const string& name) { return Library().open_group(loc_id, name); }

Hdf5Handle Hdf5CreateGroup(hid_t loc_id, const string& name) { return Library().create_group(loc_id, name); }

bool Hdf5Exists(hid_t loc_id, const string& name) { return Library().exists(loc_id, name); }

bool Hdf5IsGroup(hid_t loc_id, const string& name) { return Library().is_group(loc_id, name); }

template <typename Dtype>
void hdf5_load_nd_dataset_helper(hid_t file_id, const char* dataset_name_, int min_dim, int max_dim,
                                 Blob<Dtype>* blob, bool reshape) {
  Datasets(Dtype()).check(file_id, dataset_name_, min_dim, max_dim, blob, reshape);
}
template void hdf5_load_nd_dataset_helper<float>(hid_t, const char*, int, int, Blob<float>*, bool);
template void hdf5_load_nd_dataset_helper<double>(hid_t, const char*, int, int, Blob<double>*, bool);

template <typename Dtype>
void hdf5_load_nd_dataset(hid_t file_id, const char* dataset_name_, int min_dim, int max_dim,
                          Blob<Dtype>* blob, bool reshape) {
  Datasets(Dtype()).load(file_id, dataset_name_, min_dim, max_dim, blob, reshape);
}
template void hdf5_load_nd_dataset<float>(hid_t, const char*, int, int, Blob<float>*, bool);
template void hdf5_load_nd_dataset<double>(hid_t, const char*, int, int, Blob<double>*, bool);

template <typename Dtype>
void hdf5_save_nd_dataset(const hid_t file_id, const string& dataset_name, const Blob<Dtype>& blob,
                          bool write_diff) {
  Datasets(Dtype()).save(file_id, dataset_name, blob, write_diff);
}
template void hdf5_save_nd_dataset<float>(const hid_t, const string&, const Blob<float>&, bool);
template void hdf5_save_nd_dataset<double>(const hid_t, const string&, const Blob<double>&, bool);

template <typename Dtype>
void hdf5_append_nd_dataset(hid_t file_id, const string& dataset_name, const Blob<Dtype>& blob) {
  Datasets(Dtype()).append(file_id, dataset_name, blob);
}
template void hdf5_append_nd_dataset<float>(hid_t, const string&, const Blob<float>&);
template void hdf5_append_nd_dataset<double>(hid_t, const string&, const Blob<double>&);

int hdf5_load_int(hid_t loc_id, const string& dataset_name) {
  return Library().load_int(loc_id, dataset_name);
}

void hdf5_save_int(hid_t loc_id, const string& dataset_name, int i) {
  Library().save_int(loc_id, dataset_name, i);
}

string hdf5_load_string(hid_t loc_id, const string& dataset_name) {
  return Library().load_string(loc_id, dataset_name);
}

void hdf5_save_string(hid_t loc_id, const string& dataset_name, const string& s) {
  Library().save_string(loc_id, dataset_name, s);
}

int hdf5_get_num_links(hid_t loc_id) { return Library().num_links(loc_id); }

string hdf5_get_name_by_idx(hid_t loc_id, int idx) { return Library().name_by_idx(loc_id, idx); }

}  // namespace caffe

#endif  // USE_HDF5
