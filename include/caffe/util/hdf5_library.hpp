#ifndef CAFFE_UTIL_HDF5_LIBRARY_HPP_
#define CAFFE_UTIL_HDF5_LIBRARY_HPP_

#ifdef USE_HDF5

#include <functional>
#include <string>

#include "caffe/util/hdf5.hpp"

namespace caffe {

/// What hdf5.hpp declares for blobs of a type.
template <typename Dtype>
struct Hdf5Datasets {
  void (*check)(hid_t loc_id, const char* name, int min_dim, int max_dim, Blob<Dtype>* blob, bool reshape);
  void (*load)(hid_t loc_id, const char* name, int min_dim, int max_dim, Blob<Dtype>* blob, bool reshape);
  void (*save)(hid_t loc_id, const string& name, const Blob<Dtype>& blob, bool write_diff);
  void (*append)(hid_t loc_id, const string& name, const Blob<Dtype>& blob);
};

/**
 * @brief What hdf5.hpp declares. It is linked to a library of its own, libcaffe_hdf5 beside this one, as HDF5
 * brings some thirty libraries and takes 6 MB of memory as soon as it is loaded, which programs that have no
 * such file can do without.
 */
struct Hdf5Library {
  void (*close)(hid_t id, herr_t (*close)(hid_t));
  Hdf5Handle (*open_file)(const string& filename);
  Hdf5Handle (*create_file)(const string& filename);
  void (*write_file)(const string& filename, const std::function<void(hid_t file)>& write);
  Hdf5Handle (*open_group)(hid_t loc_id, const string& name);
  Hdf5Handle (*create_group)(hid_t loc_id, const string& name);
  bool (*exists)(hid_t loc_id, const string& name);
  bool (*is_group)(hid_t loc_id, const string& name);
  Hdf5Datasets<float> floats;
  Hdf5Datasets<double> doubles;
  int (*load_int)(hid_t loc_id, const string& name);
  void (*save_int)(hid_t loc_id, const string& name, int value);
  string (*load_string)(hid_t loc_id, const string& name);
  void (*save_string)(hid_t loc_id, const string& name, const string& value);
  int (*num_links)(hid_t loc_id);
  string (*name_by_idx)(hid_t loc_id, int idx);
};

}  // namespace caffe

/// The library's only symbol. A program may have it built in.
extern "C" const caffe::Hdf5Library* caffe_hdf5_library();

#endif  // USE_HDF5

#endif  // CAFFE_UTIL_HDF5_LIBRARY_HPP_
