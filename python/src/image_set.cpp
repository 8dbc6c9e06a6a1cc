// What the tools for sets of images do in the engine.
#include <chrono>
#include <optional>

#include "caffe/util/image_list.hpp"
#include "caffe/util/image_mean.hpp"
#include "caffe/util/image_set_converter.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/rng.hpp"
#include "database.hpp"

namespace caffe {
namespace python {

namespace {

// Between steps of this length Python sees to signals and shows progress.
constexpr std::chrono::milliseconds kStep(100);

std::unique_ptr<ImageSetConverter> MakeConverter(const std::string& root, const Path& list, int height,
                                                 int width, bool gray, bool encoded,
                                                 const std::string& encode_type, bool check_size,
                                                 std::optional<uint32_t> shuffle_seed, int64_t first) {
  std::vector<ListedImage> images;
  ReadImageList(list.string(), [&](int, const std::string& name, int label) {
    images.push_back({name, label});
    return true;
  });
  if (images.empty())
    throw Error("the list of images '" + list.string() + "' is empty", "", "", list.string());
  if (shuffle_seed) {
    rng_t generator(*shuffle_seed);
    shuffle(images.begin(), images.end(), &generator);
  }
  ImageDatumOptions options;
  options.height = height;
  options.width = width;
  options.color = !gray;
  options.encoded = encoded;
  options.encoding = encode_type;
  return std::make_unique<ImageSetConverter>(std::move(images), root, options, check_size, ParallelThreads(),
                                             first);
}

// An ImageMean on its way through a database.
class DatabaseMean {
 public:
  explicit DatabaseMean(Database& database) : cursor_(database.Opened().NewCursor()) {}

  bool Step() {
    const auto end = std::chrono::steady_clock::now() + kStep;
    do {
      if (mean_.AddFrom(cursor_.get()) == 0) return false;
    } while (std::chrono::steady_clock::now() < end);
    return true;
  }

  const ImageMean& mean() const { return mean_; }

 private:
  std::unique_ptr<db::Cursor> cursor_;
  ImageMean mean_;
};

}  // namespace

void BindImageSet(py::module_& module) {
  py::class_<ImageSetConverter>(module, "ImageSetConverter",
                                "Writes the images of a list to a database; decodes on all cores.")
      .def(py::init(&MakeConverter), ReleaseGil(), py::arg("root"), py::arg("list"), py::arg("height"),
           py::arg("width"), py::arg("gray"), py::arg("encoded"), py::arg("encode_type"),
           py::arg("check_size"), py::arg("shuffle_seed"), py::arg("first") = 0,
           "``shuffle_seed`` is None for the order of the list. Height and width 0 keep each image's size. "
           "The\n"
           "images before number ``first`` are in the database.")
      .def(
          "step",
          [](ImageSetConverter& converter, Database& database) {
            return converter.WriteFor(kStep, &database.Opened());
          },
          ReleaseGil(), py::arg("database"), "Goes on for a moment; False where nothing is left to do.")
      .def("__len__", &ImageSetConverter::size)
      .def_property_readonly("written", &ImageSetConverter::written)
      .def_property_readonly("skipped", &ImageSetConverter::skipped, "Images that could not be read.")
      .def_property_readonly("committed", &ImageSetConverter::committed,
                             "The number of the image from which on another converter could go on.");

  py::class_<DatabaseMean>(module, "ImageMean", "The mean of the images in a database.")
      .def(py::init<Database&>(), ReleaseGil(), py::arg("database"))
      .def("step", &DatabaseMean::Step, ReleaseGil(), "Goes on for a moment; False where nothing is left.")
      .def_property_readonly("count", [](const DatabaseMean& self) { return self.mean().count(); })
      .def("channel_means", [](const DatabaseMean& self) { return self.mean().ChannelMeans(); })
      .def(
          "write",
          [](const DatabaseMean& self, const Path& file) {
            WriteProtoToBinaryFile(self.mean().Mean(), file.string());
          },
          ReleaseGil(), py::arg("file"),
          "Writes the mean as a BlobProto. The file appears whole or not at all.");
}

}  // namespace python
}  // namespace caffe
