#ifndef CAFFE_UTIL_HDF5_H_
#define CAFFE_UTIL_HDF5_H_

#include <functional>
#include <string>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"

namespace caffe {

/// Whether the file starts as an HDF5 file does; false too where it cannot be read.
bool IsHdf5File(const string& filename);

}  // namespace caffe

#ifdef USE_HDF5

#include <hdf5.h>
#include <hdf5_hl.h>

namespace caffe {

/// An HDF5 identifier that is closed with its owner.
class Hdf5Handle {
 public:
  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(other.id_), close_(other.close_) { other.id_ = -1; }
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept;
  ~Hdf5Handle();

  hid_t get() const { return id_; }
  bool valid() const { return id_ >= 0; }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;

  DISABLE_COPY_AND_ASSIGN(Hdf5Handle);
};

// All of these throw an Error that names the file, and the dataset or group where one is concerned.

/// Opens a file for reading.
Hdf5Handle Hdf5OpenFile(const string& filename);
/// Makes a file to be written little by little, in place of one that exists.
Hdf5Handle Hdf5CreateFile(const string& filename);
/// Makes a whole file or none: it takes the place of `filename` when all that `write` puts into it is on the
/// disk. An error leaves the old file.
void Hdf5WriteFile(const string& filename, const std::function<void(hid_t file)>& write);
Hdf5Handle Hdf5OpenGroup(hid_t loc_id, const string& name);
/// Makes a group where there is none yet, and those above it where the name has slashes.
Hdf5Handle Hdf5CreateGroup(hid_t loc_id, const string& name);
/// Whether there is an object of that name.
bool Hdf5Exists(hid_t loc_id, const string& name);
bool Hdf5IsGroup(hid_t loc_id, const string& name);

/// Checks a dataset of numbers against the blob, of min_dim to max_dim axes: shapes it alike with `reshape`,
/// throws where the shape is another one without.
template <typename Dtype>
void hdf5_load_nd_dataset_helper(hid_t file_id, const char* dataset_name_, int min_dim, int max_dim,
                                 Blob<Dtype>* blob, bool reshape);

/// Reads a dataset of numbers, of any width, into the blob's data.
template <typename Dtype>
void hdf5_load_nd_dataset(hid_t file_id, const char* dataset_name_, int min_dim, int max_dim,
                          Blob<Dtype>* blob, bool reshape = false);

/// Writes the blob's data (its gradient with write_diff) in its shape and type.
template <typename Dtype>
void hdf5_save_nd_dataset(const hid_t file_id, const string& dataset_name, const Blob<Dtype>& blob,
                          bool write_diff = false);

/// Adds the blob's data, along the first axis, to a dataset that was made so; makes it where there is none.
/// What was added is with the system when this returns.
template <typename Dtype>
void hdf5_append_nd_dataset(hid_t file_id, const string& dataset_name, const Blob<Dtype>& blob);

int hdf5_load_int(hid_t loc_id, const string& dataset_name);
void hdf5_save_int(hid_t loc_id, const string& dataset_name, int i);
string hdf5_load_string(hid_t loc_id, const string& dataset_name);
void hdf5_save_string(hid_t loc_id, const string& dataset_name, const string& s);

/// Number of objects in a group, and the name of one of them, in alphabetical order.
int hdf5_get_num_links(hid_t loc_id);
string hdf5_get_name_by_idx(hid_t loc_id, int idx);

}  // namespace caffe

#else

/// Stands where HDF5 is needed in a build without it.
#define NO_HDF5                                                                                              \
  LOG(FATAL) << "this needs HDF5, but Caffe was built without it: install libhdf5-dev (Debian, Ubuntu) and " \
                "build again, or use the binaryproto format (snapshot_format: BINARYPROTO)"

#endif  // USE_HDF5

#endif  // CAFFE_UTIL_HDF5_H_
