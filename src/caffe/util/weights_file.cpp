#include "caffe/util/weights_file.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace caffe {

namespace pb = google::protobuf;
using pb::internal::WireFormatLite;

/// The file's messages without the blobs' values, and where those are.
class WeightsFile::Outline {
 public:
  explicit Outline(const WeightsFile& file) : file_(file) {}

  /// False where the file is not laid out as expected; whoever reads it whole finds what is wrong, if
  /// anything.
  bool Make() { return file_.file_.size() > 0 && Walk(0, file_.file_.size(), &bytes_, &Outline::NetField); }

  const string& bytes() const { return bytes_; }
  /// By layers that have blobs, in the order of the file.
  vector<vector<Place>>& places() { return places_; }

 private:
  /// Takes a field whose content lies at `offset`; false to keep it in the outline as it is.
  using Take = bool (Outline::*)(int number, int64_t offset, int64_t size, string* outline);

  // More than a tag and a length take.
  static constexpr int kHead = 32;

  /// Goes through the fields of a message and puts those that `take` does not want into the outline.
  bool Walk(int64_t offset, int64_t end, string* outline, Take take) {
    while (offset < end) {
      char head[kHead];
      const int64_t have = std::min<int64_t>(kHead, end - offset);
      file_.Read(offset, have, head);
      pb::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(head), static_cast<int>(have));
      const uint32_t tag = stream.ReadTag();
      const auto type = WireFormatLite::GetTagWireType(tag);
      if (WireFormatLite::GetTagFieldNumber(tag) == 0) return false;
      uint64_t content = 0;
      if (type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
        if (!stream.ReadVarint64(&content)) return false;
      } else {
        uint64_t ignored;
        if (type == WireFormatLite::WIRETYPE_VARINT) {
          if (!stream.ReadVarint64(&ignored)) return false;
        } else if (type == WireFormatLite::WIRETYPE_FIXED32) {
          if (!stream.Skip(4)) return false;
        } else if (type == WireFormatLite::WIRETYPE_FIXED64) {
          if (!stream.Skip(8)) return false;
        } else {
          return false;
        }
      }
      const int64_t start = offset + stream.CurrentPosition();
      if (content > static_cast<uint64_t>(end - start)) return false;
      const int64_t next = start + static_cast<int64_t>(content);
      unexpected_ = false;
      const bool taken = type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED &&
                         (this->*take)(WireFormatLite::GetTagFieldNumber(tag), start,
                                       static_cast<int64_t>(content), outline);
      if (unexpected_) return false;
      if (!taken) {
        const size_t before = outline->size();
        outline->resize(before + (next - offset));
        file_.Read(offset, next - offset, outline->data() + before);
      }
      offset = next;
    }
    return true;
  }

  static void Append(int number, const string& message, string* outline) {
    pb::io::StringOutputStream stream(outline);
    pb::io::CodedOutputStream coded(&stream);
    coded.WriteTag(WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
    coded.WriteVarint64(message.size());
    coded.WriteString(message);
  }

  bool NetField(int number, int64_t offset, int64_t size, string* outline) {
    // Layers of the V1 format: their blobs are elsewhere.
    if (number == NetParameter::kLayersFieldNumber) return Unexpected();
    if (number != NetParameter::kLayerFieldNumber) return false;
    string layer;
    layer_places_.clear();
    if (!Walk(offset, offset + size, &layer, &Outline::LayerField)) return Unexpected();
    if (!layer_places_.empty()) places_.push_back(layer_places_);
    Append(number, layer, outline);
    return true;
  }

  bool LayerField(int number, int64_t offset, int64_t size, string* outline) {
    if (number != LayerParameter::kBlobsFieldNumber) return false;
    string blob;
    place_ = Place();
    place_.offset = offset;
    place_.size = size;
    pieces_ = 0;
    if (!Walk(offset, offset + size, &blob, &Outline::BlobField)) return Unexpected();
    // Several pieces, or doubles, gradients or signs, are for the parser.
    if (pieces_ != 1) place_.num_values = 0;
    layer_places_.push_back(place_);
    Append(number, blob, outline);
    return true;
  }

  bool BlobField(int number, int64_t offset, int64_t size, string* outline) {
    if (number == BlobProto::kDataFieldNumber) {
      if (size % sizeof(float) != 0) return Unexpected();
      ++pieces_;
      place_.values_offset = offset;
      place_.num_values = size / static_cast<int64_t>(sizeof(float));
      return true;
    }
    if (number != BlobProto::kDiffFieldNumber && number != BlobProto::kDoubleDataFieldNumber &&
        number != BlobProto::kDoubleDiffFieldNumber && number != BlobProto::kSignsFieldNumber &&
        number != BlobProto::kAlphasFieldNumber) {
      return false;
    }
    // That there are signs is worth knowing without them.
    if (number == BlobProto::kSignsFieldNumber) Append(number, "", outline);
    pieces_ += 2;
    return true;
  }

  bool Unexpected() {
    unexpected_ = true;
    return true;
  }

  const WeightsFile& file_;
  string bytes_;
  vector<vector<Place>> places_;
  vector<Place> layer_places_;
  Place place_;
  int pieces_ = 0;
  bool unexpected_ = false;
};

WeightsFile::WeightsFile(const string& filename) : file_(filename) {
  Outline outline(*this);
  if (!outline.Make()) {
    ReadNetParamsFromBinaryFileOrDie(filename, &net_);
    return;
  }
  ParseProtoFromBinary(outline.bytes(), filename, &net_);
  UpgradeNetAsNeeded(filename, &net_);
  // An upgrade may put layers without blobs before others.
  size_t next = 0;
  for (const LayerParameter& layer : net_.layer()) {
    places_.emplace_back();
    if (layer.blobs_size() > 0) places_.back() = outline.places().at(next++);
  }
}

void WeightsFile::Read(int64_t offset, int64_t size, void* target) const {
  char* to = static_cast<char*>(target);
  while (size > 0) {
    const ssize_t count = ::pread(file_.descriptor(), to, static_cast<size_t>(size), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) file_.Fail(count < 0 ? errno : EIO);
    to += count;
    offset += count;
    size -= count;
  }
}

template <typename Dtype>
void WeightsFile::CopyBlob(int layer, int blob, Blob<Dtype>* target) const {
  if (places_.empty()) {
    target->FromProto(net_.layer(layer).blobs(blob), false);
    return;
  }
  const Place& place = places_[layer][blob];
  if (place.num_values != target->count() || target->count() == 0) {
    string bytes(place.size, '\0');
    Read(place.offset, place.size, bytes.data());
    BlobProto proto;
    CHECK(proto.ParseFromString(bytes)) << "parameter " << blob << " is damaged";
    target->FromProto(proto, false);
    return;
  }
  Dtype* values = target->mutable_cpu_data();
  if constexpr (sizeof(Dtype) == sizeof(float)) {
    Read(place.values_offset, place.num_values * static_cast<int64_t>(sizeof(float)), values);
  } else {
    vector<float> block(std::min<int64_t>(place.num_values, 1 << 16));
    for (int64_t done = 0; done < place.num_values; done += static_cast<int64_t>(block.size())) {
      const int64_t count = std::min<int64_t>(block.size(), place.num_values - done);
      Read(place.values_offset + done * static_cast<int64_t>(sizeof(float)),
           count * static_cast<int64_t>(sizeof(float)), block.data());
      std::copy_n(block.data(), count, values + done);
    }
  }
}

template void WeightsFile::CopyBlob<float>(int, int, Blob<float>*) const;
template void WeightsFile::CopyBlob<double>(int, int, Blob<double>*) const;

}  // namespace caffe
