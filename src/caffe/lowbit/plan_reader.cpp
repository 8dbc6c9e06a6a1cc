#include <cstring>

#include "caffe/lowbit/plan.hpp"
#include "caffe/lowbit/plan_check.hpp"
#include "caffe/util/crc32.hpp"

namespace caffe {
namespace lowbit {

namespace {

constexpr uint8_t kMagic[8] = {0x89, 'H', 'W', 'G', 'Q', '\r', '\n', 0x1a};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 64;

[[noreturn]] void Damaged(const std::string& what) {
  throw PlanError("the packed model is damaged (" + what +
                  "): copy it again, or make it anew with caffe pack");
}

// Bytes that follow the first one of a character in UTF-8, -1 where it is none.
int Following(uint8_t first) {
  if (first < 0x80) return 0;
  if (first >= 0xc2 && first < 0xe0) return 1;
  if (first >= 0xe0 && first < 0xf0) return 2;
  return first >= 0xf0 && first < 0xf5 ? 3 : -1;
}

// Python and others who show names take no other text, and C ends it at a zero.
bool IsUtf8(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const uint8_t first = static_cast<uint8_t>(text[i]);
    const int following = Following(first);
    if (first == 0 || following < 0 || text.size() - i <= static_cast<size_t>(following)) return false;
    uint32_t character = first & (0xff >> (following + 1));
    for (int j = 1; j <= following; ++j) {
      const uint8_t next = static_cast<uint8_t>(text[i + j]);
      if (next >> 6 != 2) return false;
      character = character << 6 | (next & 0x3f);
    }
    const bool overlong = (following == 2 && character < 0x800) || (following == 3 && character < 0x10000);
    if (overlong || character > 0x10ffff || (character >= 0xd800 && character < 0xe000)) return false;
    i += following + 1;
  }
  return true;
}

// Takes numbers, strings and lists off the plan's bytes.
class Cursor {
 public:
  Cursor(const uint8_t* bytes, size_t size) : at_(bytes), left_(size) {}

  template <typename T>
  T Take() {
    if (left_ < sizeof(T)) Damaged("its plan ends early");
    T value;
    std::memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    left_ -= sizeof(T);
    return value;
  }

  std::string String() {
    const size_t size = Length(1);
    std::string text(reinterpret_cast<const char*>(at_), size);
    if (!IsUtf8(text)) Damaged("a name of its plan is no UTF-8");
    at_ += size;
    left_ -= size;
    return text;
  }

  /// The length of a list whose elements take at least `least` bytes each.
  size_t Length(size_t least) {
    const uint32_t length = Take<uint32_t>();
    if (length > left_ / least) Damaged("a list of its plan is longer than the plan");
    return length;
  }

  template <typename T, typename Read>
  std::vector<T> List(size_t least, Read read) {
    std::vector<T> result(Length(least));
    for (T& element : result) element = read(*this);
    return result;
  }

  bool AtEnd() const { return left_ == 0; }

 private:
  const uint8_t* at_;
  size_t left_;
};

int Size(Cursor& cursor) {
  const uint32_t size = cursor.Take<uint32_t>();
  if (size > static_cast<uint32_t>(kMaxElements)) Damaged("a size of its plan is beyond all measure");
  return static_cast<int>(size);
}

class Reader {
 public:
  Reader(const uint8_t* data, size_t data_bytes) : data_(data), data_bytes_(data_bytes) {}

  Plan Read(Cursor& cursor) {
    plan_.name = cursor.String();
    plan_.tensors = cursor.List<TensorInfo>(20, [](Cursor& c) { return Tensor(c); });
    plan_.inputs = cursor.List<BlobInfo>(12, [this](Cursor& c) { return Interface(c); });
    plan_.outputs = cursor.List<BlobInfo>(12, [this](Cursor& c) { return Interface(c); });
    plan_.stages = cursor.List<StageInfo>(24, [this](Cursor& c) { return Stage(c); });
    cursor.String();  // for caffe test, which reads it for itself
    if (!cursor.AtEnd()) Damaged("something follows its plan");
    return std::move(plan_);
  }

 private:
  static TensorInfo Tensor(Cursor& cursor) {
    TensorInfo tensor;
    tensor.name = cursor.String();
    const uint32_t kind = cursor.Take<uint32_t>();
    if (kind > 1) Damaged("tensor " + tensor.name + " is of unknown kind");
    tensor.kind = static_cast<TensorKind>(kind);
    tensor.channels = Size(cursor);
    tensor.height = Size(cursor);
    tensor.width = Size(cursor);
    CheckTensor(tensor);
    return tensor;
  }

  int TensorIndex(uint32_t index) const {
    if (index >= plan_.tensors.size()) Damaged("it refers to a tensor that it does not have");
    return static_cast<int>(index);
  }

  BlobInfo Interface(Cursor& cursor) const {
    BlobInfo blob;
    blob.name = cursor.String();
    blob.tensor = TensorIndex(cursor.Take<uint32_t>());
    blob.dimensions = cursor.List<int64_t>(4, [](Cursor& c) { return Size(c); });
    return blob;
  }

  ArrayView Array(Cursor& cursor) const {
    const uint32_t type = cursor.Take<uint32_t>();
    const uint64_t count = cursor.Take<uint64_t>();
    const uint64_t offset = cursor.Take<uint64_t>();
    if (type > 4) Damaged("an array is of unknown type");
    const uint64_t size = type <= 1 ? 4 : type == 4 ? 2 : 1;
    if (offset % 64 != 0 || offset > data_bytes_ || count > (data_bytes_ - offset) / size) {
      Damaged("an array lies outside its data");
    }
    return {static_cast<ArrayType>(type), static_cast<size_t>(count), data_ + offset};
  }

  std::vector<ArrayView> Arrays(Cursor& cursor) const {
    return cursor.List<ArrayView>(20, [this](Cursor& c) { return Array(c); });
  }

  StageInfo Stage(Cursor& cursor) const {
    StageInfo stage;
    const uint32_t kind = cursor.Take<uint32_t>();
    stage.name = cursor.String();
    if (kind < 1 || kind > 7) Damaged("stage " + stage.name + " is of unknown kind");
    stage.kind = static_cast<StageKind>(kind);
    stage.attributes = cursor.List<int>(4, [](Cursor& c) { return c.Take<int32_t>(); });
    stage.inputs = cursor.List<int>(4, [this](Cursor& c) { return TensorIndex(c.Take<uint32_t>()); });
    stage.arrays = Arrays(cursor);
    stage.steps = cursor.List<StepInfo>(20, [this](Cursor& c) { return Step(c); });
    return stage;
  }

  StepInfo Step(Cursor& cursor) const {
    StepInfo step;
    const uint32_t kind = cursor.Take<uint32_t>();
    if (kind < 1 || kind > 12) Damaged("a step is of unknown kind");
    step.kind = static_cast<StepKind>(kind);
    const uint32_t tensor = cursor.Take<uint32_t>();
    step.tensor = tensor == 0xffffffffu ? -1 : TensorIndex(tensor);
    step.channel = Size(cursor);
    step.parameters = cursor.List<float>(4, [](Cursor& c) { return c.Take<float>(); });
    step.arrays = Arrays(cursor);
    return step;
  }

  const uint8_t* const data_;
  const size_t data_bytes_;
  Plan plan_;
};

struct Header {
  uint64_t plan_offset, plan_bytes, data_offset, data_bytes;
};

Header ReadHeader(const uint8_t* file, size_t size) {
  if (size < sizeof(kMagic) || std::memcmp(file, kMagic, sizeof(kMagic)) != 0) {
    throw PlanError("not a packed model: caffe pack makes one of a prototxt and a caffemodel");
  }
  if (size < kHeaderBytes) Damaged("it is cut short");
  Cursor cursor(file + sizeof(kMagic), kHeaderBytes - sizeof(kMagic));
  const uint32_t version = cursor.Take<uint32_t>();
  const uint32_t header_bytes = cursor.Take<uint32_t>();
  const uint64_t file_bytes = cursor.Take<uint64_t>();
  Header header;
  header.plan_offset = cursor.Take<uint64_t>();
  header.plan_bytes = cursor.Take<uint64_t>();
  header.data_offset = cursor.Take<uint64_t>();
  header.data_bytes = cursor.Take<uint64_t>();
  const uint32_t body_crc = cursor.Take<uint32_t>();
  const uint32_t header_crc = cursor.Take<uint32_t>();
  // Before the checksum: other versions may have theirs elsewhere.
  if (version != kVersion) {
    throw PlanError("the packed model is of version " + std::to_string(version) +
                    ", and this program reads version " + std::to_string(kVersion) +
                    ": make it anew with this version's caffe pack, or take a newer program");
  }
  if (header_crc != Crc32::Of(file, kHeaderBytes - 4)) Damaged("its header's checksum does not match");
  if (file_bytes != size) {
    Damaged("it has " + std::to_string(size) + " bytes of " + std::to_string(file_bytes));
  }
  if (body_crc != Crc32::Of(file + kHeaderBytes, size - kHeaderBytes)) Damaged("its checksum does not match");
  if (header_bytes != kHeaderBytes || header.plan_offset != kHeaderBytes ||
      header.plan_bytes > size - kHeaderBytes || header.data_offset > size || header.data_offset % 64 != 0 ||
      header.data_offset < kHeaderBytes + header.plan_bytes ||
      header.data_bytes != size - header.data_offset) {
    Damaged("its parts do not fit together");
  }
  return header;
}

// Gives the arrays of affine steps a value for each channel, as all that computes with them expects.
void SpreadAffine(Plan* plan) {
  for (StageInfo& stage : plan->stages) {
    if (stage.kind == StageKind::kCaffeLayer) continue;
    const size_t channels = ResultShape(*plan, stage).channels;
    for (StepInfo& step : stage.steps) {
      if (step.kind != StepKind::kAffine) continue;
      for (ArrayView& array : step.arrays) {
        if (array.count == channels) continue;
        plan->spread.push_back(std::make_shared<const std::vector<float>>(channels, array.as<float>()[0]));
        array = {ArrayType::kFloat, channels, reinterpret_cast<const uint8_t*>(plan->spread.back()->data())};
      }
    }
  }
}

}  // namespace

std::string StageMessage(const StageInfo& stage, const std::string& what) {
  return "stage " + stage.name + ": " + what;
}

Plan ParsePlan(const uint8_t* file, size_t size) {
  const Header header = ReadHeader(file, size);
  Cursor cursor(file + header.plan_offset, header.plan_bytes);
  return Reader(file + header.data_offset, header.data_bytes).Read(cursor);
}

Plan ReadPlan(const uint8_t* file, size_t size) {
  Plan plan = ParsePlan(file, size);
  CheckPlan(plan, size);
  SpreadAffine(&plan);
  return plan;
}

}  // namespace lowbit
}  // namespace caffe
