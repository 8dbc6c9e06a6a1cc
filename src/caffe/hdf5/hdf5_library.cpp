#include "caffe/util/hdf5_library.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <functional>
#include <mutex>
#include <numeric>
#include <system_error>
#include <vector>

#include "caffe/util/atomic_file.hpp"

namespace caffe {

namespace {

/// For one thread after another: HDF5 is not built for several at once everywhere.
std::recursive_mutex hdf5_mutex;

/// Keeps other threads from HDF5, and HDF5 from printing its own account of an error, which the Error tells,
/// and from loading the code that a file's filters ask for.
class Quiet {
 public:
  Quiet() : lock_(hdf5_mutex) {
    H5Eget_auto2(H5E_DEFAULT, &print_, &client_data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    knows_plugins_ = H5PLget_loading_state(&plugins_) >= 0;
    if (knows_plugins_) H5PLset_loading_state(0);
  }
  ~Quiet() {
    if (knows_plugins_) H5PLset_loading_state(plugins_);
    H5Eset_auto2(H5E_DEFAULT, print_, client_data_);
  }

 private:
  const std::lock_guard<std::recursive_mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* client_data_ = nullptr;
  bool knows_plugins_;
  unsigned int plugins_ = 0;
};

// ": REASON" by HDF5's innermost account of what just failed; empty where it has none.
string Reason() {
  string reason;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned depth, const H5E_error2_t* entry, void* text) -> herr_t {
        if (depth == 0 && entry->desc) *static_cast<string*>(text) = string(": ") + entry->desc;
        return 0;
      },
      &reason);
  return reason;
}

// The text of HDF5's functions that fill a buffer of a size they tell first.
template <typename Get>
string TextOf(Get get) {
  const ssize_t length = get(nullptr, 0);
  if (length <= 0) return "";
  string text(length, '\0');
  get(&text[0], text.size() + 1);
  return text;
}

string FileOf(hid_t id) {
  return TextOf([id](char* text, size_t size) { return H5Fget_name(id, text, size); });
}

[[noreturn]] void Throw(hid_t loc_id, const string& what) {
  const string file = FileOf(loc_id);
  throw Error(what, "", "", file);
}

// "dataset '/data/conv1/0'"
string Named(const char* kind, hid_t loc_id, const string& name) {
  string group = TextOf([loc_id](char* text, size_t size) { return H5Iget_name(loc_id, text, size); });
  if (group.empty() || group.back() != '/') group += '/';
  return string(kind) + " '" + group + name + "'";
}

string ShapeText(const std::vector<hsize_t>& shape) {
  ostringstream text;
  for (size_t i = 0; i < shape.size(); ++i) text << (i ? " " : "") << shape[i];
  return text.str();
}

hid_t NativeType(float) { return H5T_NATIVE_FLOAT; }
hid_t NativeType(double) { return H5T_NATIVE_DOUBLE; }

/// Properties of an access that does not follow links to other files.
Hdf5Handle WithinFile(hid_t kind) {
  Hdf5Handle properties(H5Pcreate(kind), H5Pclose);
  H5Pset_elink_cb(
      properties.get(),
      [](const char*, const char*, const char*, const char*, unsigned*, hid_t, void*) -> herr_t {
        return -1;
      },
      nullptr);
  return properties;
}

/// Checks that the values are the file's own, and that neither they nor a chunk of them take far more memory
/// than the file has bytes.
void CheckStorage(hid_t loc_id, const string& name, hid_t dataset) {
  const string what = Named("dataset", loc_id, name);
  const Hdf5Handle made(H5Dget_create_plist(dataset), H5Pclose);
  const H5D_layout_t layout = H5Pget_layout(made.get());
  if (layout == H5D_VIRTUAL || H5Pget_external_count(made.get()) > 0) {
    Throw(loc_id, what + " has its values in other files: copy it into this one, for example with h5repack");
  }
  // More than a small file needs that leaves out what is equal, and Deflate's best.
  constexpr double kAlways = 1 << 24, kCompression = 1032;
  hsize_t file_bytes = 0;
  const Hdf5Handle file(H5Iget_file_id(loc_id), H5Fclose);
  H5Fget_filesize(file.get(), &file_bytes);
  const bool filtered = H5Pget_nfilters(made.get()) > 0;
  const double most = kAlways + static_cast<double>(file_bytes) * (filtered ? kCompression : 1);
  const Hdf5Handle type(H5Dget_type(dataset), H5Tclose);
  const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
  double needed = static_cast<double>(H5Sget_simple_extent_npoints(space.get()));
  if (layout == H5D_CHUNKED) {
    hsize_t chunk[H5S_MAX_RANK] = {};
    const int axes = H5Pget_chunk(made.get(), H5S_MAX_RANK, chunk);
    needed =
        std::max(needed, std::accumulate(chunk, chunk + std::max(axes, 0), 1., std::multiplies<double>()));
  }
  needed *= static_cast<double>(H5Tget_size(type.get()));
  if (needed > most) {
    Throw(loc_id, what + " would take " + std::to_string(static_cast<uint64_t>(needed)) +
                      " bytes, which the file of " + std::to_string(file_bytes) +
                      " does not hold: it is damaged, or was never filled");
  }
}

Hdf5Handle OpenDataset(hid_t loc_id, const string& name) {
  Hdf5Handle dataset(H5Dopen2(loc_id, name.c_str(), WithinFile(H5P_DATASET_ACCESS).get()), H5Dclose);
  if (!dataset.valid()) Throw(loc_id, "has no " + Named("dataset", loc_id, name));
  CheckStorage(loc_id, name, dataset.get());
  return dataset;
}

std::vector<hsize_t> ShapeOf(hid_t dataset) {
  const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
  const int axes = H5Sget_simple_extent_ndims(space.get());
  std::vector<hsize_t> shape(std::max(axes, 0));
  if (axes > 0) H5Sget_simple_extent_dims(space.get(), shape.data(), nullptr);
  return shape;
}

void Read(hid_t loc_id, const string& name, hid_t dataset, hid_t memory_type, void* to) {
  if (H5Dread(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, to) < 0) {
    Throw(loc_id, "cannot read " + Named("dataset", loc_id, name) + Reason());
  }
}

void Write(hid_t loc_id, const string& name, hid_t type, const Hdf5Handle& space, const void* from) {
  const Hdf5Handle dataset(
      H5Dcreate2(loc_id, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose);
  if (!dataset.valid() || H5Dwrite(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, from) < 0) {
    Throw(loc_id, "cannot write " + Named("dataset", loc_id, name) + Reason());
  }
}

// The name of a type that holds no numbers; null for one that does.
const char* NotNumeric(H5T_class_t type) {
  switch (type) {
    case H5T_FLOAT:
    case H5T_INTEGER:
      return nullptr;
    case H5T_STRING:
      return "text";
    case H5T_TIME:
      return "times";
    case H5T_BITFIELD:
      return "bit fields";
    case H5T_OPAQUE:
      return "opaque bytes";
    case H5T_COMPOUND:
      return "records";
    case H5T_REFERENCE:
      return "references";
    case H5T_ENUM:
      return "enumerated values";
    case H5T_VLEN:
      return "lists";
    case H5T_ARRAY:
      return "arrays";
    default:
      return "no known type";
  }
}

void Close(hid_t id, herr_t (*close)(hid_t)) {
  const Quiet quiet;
  close(id);
}

Hdf5Handle OpenFile(const string& filename) {
  const Quiet quiet;
  // HDF5 tells a missing file and a foreign one in many words; the system in few.
  std::error_code error;
  if (std::filesystem::status(filename, error).type() == std::filesystem::file_type::not_found) {
    throw Error("cannot read '" + filename + "': " + std::generic_category().message(ENOENT), "", "",
                filename);
  }
  Hdf5Handle file(H5Fopen(filename.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (!file.valid()) throw Error("not a whole HDF5 file" + Reason(), "", "", filename);
  return file;
}

Hdf5Handle CreateFile(const string& filename) {
  const Quiet quiet;
  Hdf5Handle file(H5Fcreate(filename.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  if (!file.valid()) {
    throw Error("cannot make the HDF5 file '" + filename + "'" + Reason() +
                    ": does the folder exist, can it be written, and is the file not in use?",
                "", "", filename);
  }
  return file;
}

void WriteFile(const string& filename, const std::function<void(hid_t file)>& write) {
  // HDF5 cannot let go of a file that it cannot write: it would complain until the process ends. So it gets
  // memory, and what it made there is written as any other content is.
  AtomicFile target(filename);
  std::vector<char> image;
  try {
    const Quiet quiet;
    const Hdf5Handle in_memory(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    const size_t growth = 1 << 20;
    H5Pset_fapl_core(in_memory.get(), growth, false);
    const Hdf5Handle file(H5Fcreate(filename.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, in_memory.get()), H5Fclose);
    if (!file.valid()) throw Error("cannot make an HDF5 file" + Reason());
    write(file.get());
    if (H5Fflush(file.get(), H5F_SCOPE_LOCAL) < 0) throw Error("cannot make an HDF5 file" + Reason());
    const ssize_t size = H5Fget_file_image(file.get(), nullptr, 0);
    image.resize(std::max<ssize_t>(size, 0));
    if (H5Fget_file_image(file.get(), image.data(), image.size()) <= 0) {
      throw Error("cannot make an HDF5 file" + Reason());
    }
  } catch (const Error& error) {
    throw error.WithFile(filename);
  }
  target.Write(image.data(), image.size());
  target.Commit();
}

Hdf5Handle OpenGroup(hid_t loc_id, const string& name) {
  const Quiet quiet;
  Hdf5Handle group(H5Gopen2(loc_id, name.c_str(), WithinFile(H5P_GROUP_ACCESS).get()), H5Gclose);
  if (!group.valid()) Throw(loc_id, "has no " + Named("group", loc_id, name));
  return group;
}

bool IsGroup(hid_t loc_id, const string& name) {
  const Quiet quiet;
  return Hdf5Handle(H5Gopen2(loc_id, name.c_str(), WithinFile(H5P_GROUP_ACCESS).get()), H5Gclose).valid();
}

Hdf5Handle CreateGroup(hid_t loc_id, const string& name) {
  if (IsGroup(loc_id, name)) return OpenGroup(loc_id, name);
  const Quiet quiet;
  const Hdf5Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  Hdf5Handle group(H5Gcreate2(loc_id, name.c_str(), links.get(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  if (!group.valid()) Throw(loc_id, "cannot make " + Named("group", loc_id, name) + Reason());
  return group;
}

bool Exists(hid_t loc_id, const string& name) {
  const Quiet quiet;
  return H5Lexists(loc_id, name.c_str(), WithinFile(H5P_LINK_ACCESS).get()) > 0;
}

template <typename Dtype>
void CheckDataset(hid_t file_id, const char* name, int min_dim, int max_dim, Blob<Dtype>* blob,
                  bool reshape) {
  const Quiet quiet;
  const Hdf5Handle dataset = OpenDataset(file_id, name);
  const string what = Named("dataset", file_id, name);
  const Hdf5Handle type(H5Dget_type(dataset.get()), H5Tclose);
  const char* foreign = NotNumeric(H5Tget_class(type.get()));
  if (foreign) Throw(file_id, what + " holds " + foreign + ", not numbers");

  const std::vector<hsize_t> stored = ShapeOf(dataset.get());
  const int axes = static_cast<int>(stored.size());
  if (axes < min_dim || axes > max_dim) {
    Throw(file_id, what + " has " + std::to_string(axes) + " axes; " + std::to_string(min_dim) + " to " +
                       std::to_string(max_dim) + " are expected");
  }
  vector<int> shape;
  for (hsize_t dim : stored) {
    if (dim > INT_MAX) Throw(file_id, what + " is too large for a blob: " + ShapeText(stored));
    shape.push_back(static_cast<int>(dim));
  }
  if (reshape) {
    blob->Reshape(shape);
  } else if (shape != blob->shape()) {
    Throw(file_id, "shape mismatch: " + what + " has the shape " + ShapeText(stored) + ", but " +
                       blob->shape_string() + " is expected");
  }
}

template <typename Dtype>
void LoadDataset(hid_t file_id, const char* name, int min_dim, int max_dim, Blob<Dtype>* blob, bool reshape) {
  CheckDataset(file_id, name, min_dim, max_dim, blob, reshape);
  const Quiet quiet;
  const Hdf5Handle dataset = OpenDataset(file_id, name);
  Read(file_id, name, dataset.get(), NativeType(Dtype()), blob->mutable_cpu_data());
}

template <typename Dtype>
void SaveDataset(const hid_t file_id, const string& name, const Blob<Dtype>& blob, bool write_diff) {
  const Quiet quiet;
  const std::vector<hsize_t> shape(blob.shape().begin(), blob.shape().end());
  const Hdf5Handle space(H5Screate_simple(blob.num_axes(), shape.data(), nullptr), H5Sclose);
  Write(file_id, name, NativeType(Dtype()), space, write_diff ? blob.cpu_diff() : blob.cpu_data());
}

template <typename Dtype>
void AppendDataset(hid_t file_id, const string& name, const Blob<Dtype>& blob) {
  const std::vector<hsize_t> added(blob.shape().begin(), blob.shape().end());
  const int axes = blob.num_axes();
  if (blob.count() == 0) return;
  const Quiet quiet;
  const string what = Named("dataset", file_id, name);
  const bool exists = Exists(file_id, name);
  Hdf5Handle dataset;
  std::vector<hsize_t> start(axes, 0), total = added;
  if (exists) {
    dataset = OpenDataset(file_id, name);
    total = ShapeOf(dataset.get());
    std::vector<hsize_t> as_added = total;
    if (!as_added.empty()) as_added[0] = added[0];
    if (as_added != added) {
      Throw(file_id, what + " has the shape " + ShapeText(total) + ", and " + ShapeText(added) +
                         " cannot be added to it: the axes after the first must be the same");
    }
    start[0] = total[0];
    total[0] += added[0];
    if (H5Dset_extent(dataset.get(), total.data()) < 0) Throw(file_id, "cannot extend " + what + Reason());
  } else {
    std::vector<hsize_t> limit = added;
    limit[0] = H5S_UNLIMITED;
    const Hdf5Handle space(H5Screate_simple(axes, added.data(), limit.data()), H5Sclose);
    const Hdf5Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_chunk(layout.get(), axes, added.data());
    dataset = Hdf5Handle(H5Dcreate2(file_id, name.c_str(), NativeType(Dtype()), space.get(), H5P_DEFAULT,
                                    layout.get(), H5P_DEFAULT),
                         H5Dclose);
  }
  const Hdf5Handle memory(H5Screate_simple(axes, added.data(), nullptr), H5Sclose);
  const Hdf5Handle place(H5Screate_simple(axes, total.data(), nullptr), H5Sclose);
  H5Sselect_hyperslab(place.get(), H5S_SELECT_SET, start.data(), nullptr, added.data(), nullptr);
  if (!dataset.valid() ||
      H5Dwrite(dataset.get(), NativeType(Dtype()), memory.get(), place.get(), H5P_DEFAULT, blob.cpu_data()) <
          0 ||
      H5Fflush(file_id, H5F_SCOPE_LOCAL) < 0) {
    Throw(file_id, "cannot write " + what + Reason());
  }
}

int LoadInt(hid_t loc_id, const string& name) {
  const Quiet quiet;
  const Hdf5Handle dataset = OpenDataset(loc_id, name);
  const Hdf5Handle type(H5Dget_type(dataset.get()), H5Tclose);
  const Hdf5Handle space(H5Dget_space(dataset.get()), H5Sclose);
  if (H5Tget_class(type.get()) != H5T_INTEGER || H5Sget_simple_extent_npoints(space.get()) != 1) {
    Throw(loc_id, Named("dataset", loc_id, name) + " is not a single integer");
  }
  int value = 0;
  Read(loc_id, name, dataset.get(), H5T_NATIVE_INT, &value);
  return value;
}

void SaveInt(hid_t loc_id, const string& name, int i) {
  const Quiet quiet;
  const hsize_t one = 1;
  const Hdf5Handle space(H5Screate_simple(1, &one, nullptr), H5Sclose);
  Write(loc_id, name, H5T_NATIVE_INT, space, &i);
}

string LoadString(hid_t loc_id, const string& name) {
  const Quiet quiet;
  const Hdf5Handle dataset = OpenDataset(loc_id, name);
  const Hdf5Handle type(H5Dget_type(dataset.get()), H5Tclose);
  const Hdf5Handle space(H5Dget_space(dataset.get()), H5Sclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Sget_simple_extent_npoints(space.get()) != 1) {
    Throw(loc_id, Named("dataset", loc_id, name) + " is not a single text");
  }
  if (H5Tis_variable_str(type.get()) > 0) {
    const Hdf5Handle memory_type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(memory_type.get(), H5T_VARIABLE);
    H5Tset_cset(memory_type.get(), H5Tget_cset(type.get()));
    char* text = nullptr;
    Read(loc_id, name, dataset.get(), memory_type.get(), &text);
    const string value = text ? text : "";
    H5Dvlen_reclaim(memory_type.get(), space.get(), H5P_DEFAULT, &text);
    return value;
  }
  string text(H5Tget_size(type.get()), '\0');
  Read(loc_id, name, dataset.get(), type.get(), &text[0]);
  text.resize(std::strlen(text.c_str()));
  return text;
}

void SaveString(hid_t loc_id, const string& name, const string& s) {
  const Quiet quiet;
  const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), s.size() + 1);
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  Write(loc_id, name, type.get(), space, s.c_str());
}

int NumLinks(hid_t loc_id) {
  const Quiet quiet;
  H5G_info_t info;
  if (H5Gget_info(loc_id, &info) < 0) Throw(loc_id, "cannot list a group" + Reason());
  return static_cast<int>(info.nlinks);
}

string NameByIndex(hid_t loc_id, int idx) {
  const Quiet quiet;
  const string name = TextOf([loc_id, idx](char* text, size_t size) {
    return H5Lget_name_by_idx(loc_id, ".", H5_INDEX_NAME, H5_ITER_INC, static_cast<hsize_t>(idx), text, size,
                              H5P_DEFAULT);
  });
  if (name.empty()) Throw(loc_id, "has no object " + std::to_string(idx) + " in a group");
  return name;
}

template <typename Dtype>
constexpr Hdf5Datasets<Dtype> kDatasets = {&CheckDataset<Dtype>, &LoadDataset<Dtype>, &SaveDataset<Dtype>,
                                           &AppendDataset<Dtype>};

constexpr Hdf5Library kLibrary = {&Close,           &OpenFile,         &CreateFile, &WriteFile,
                                  &OpenGroup,       &CreateGroup,      &Exists,     &IsGroup,
                                  kDatasets<float>, kDatasets<double>, &LoadInt,    &SaveInt,
                                  &LoadString,      &SaveString,       &NumLinks,   &NameByIndex};

}  // namespace

}  // namespace caffe

const caffe::Hdf5Library* caffe_hdf5_library() { return &caffe::kLibrary; }
