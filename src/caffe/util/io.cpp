#include "caffe/util/io.hpp"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <climits>
#include <string>
#include <vector>

#include "caffe/util/atomic_file.hpp"
#include "caffe/util/input_file.hpp"
#include "caffe/util/nearest_names.hpp"
#include "caffe/util/shared_field_numbers.hpp"
#include "caffe/util/succeeds.hpp"
#include "caffe/util/wire_misfit.hpp"

namespace caffe {

namespace pb = google::protobuf;

namespace {

constexpr int kBlockBytes = 1 << 20;

[[noreturn]] void Throw(const string& message, const string& filename) {
  throw Error(message, "", "", filename);
}

/// What a file that is not the wanted one seems to be, from its first bytes; empty where unknown.
string SeemsToBe(const string& head) {
  const auto starts = [&head](const string& text) { return head.compare(0, text.size(), text) == 0; };
  if (starts("\x89HDF\r\n\x1a\n")) return "an HDF5 file; the name of an HDF5 snapshot ends in .h5";
  if (starts("version https://git-lfs")) return "a Git LFS pointer, in place of the file; run 'git lfs pull'";
  if (starts("<!DOCTYPE") || starts("<!doctype") || starts("<html"))
    return "a web page; download the file again";
  if (starts("\x1f\x8b") || starts("PK\x03\x04") ||
      starts("\xfd"
             "7zXZ"))
    return "compressed; unpack it first";
  if (head.find('\0') != string::npos) return "a binary file";
  const bool text = !head.empty() && std::all_of(head.begin(), head.end(), [](unsigned char c) {
    return c >= ' ' || c == '\n' || c == '\r' || c == '\t';
  });
  return text ? "a text file" : "";
}

string Sentence(const string& seems_to_be) {
  return seems_to_be.empty() ? "" : "; it seems to be " + seems_to_be;
}

void CheckRequiredFields(const Message& proto, const string& filename) {
  if (proto.IsInitialized()) return;
  Throw("required fields are missing: " + proto.InitializationErrorString(), filename);
}

// ---------------------------------------------------------------------------------------------------- text

/// Names of all values of the enum fields called `field`, in whichever message.
std::vector<string> EnumValues(const pb::FileDescriptor* file, const string& field) {
  std::vector<string> values;
  for (int i = 0; i < file->message_type_count(); ++i) {
    const pb::FieldDescriptor* candidate = file->message_type(i)->FindFieldByName(field);
    if (!candidate || candidate->cpp_type() != pb::FieldDescriptor::CPPTYPE_ENUM) continue;
    for (int j = 0; j < candidate->enum_type()->value_count(); ++j) {
      const string& value = candidate->enum_type()->value(j)->name();
      if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
    }
  }
  return values;
}

std::vector<string> FieldNames(const pb::Descriptor* message) {
  std::vector<string> names;
  for (int i = 0; i < message->field_count(); ++i) names.push_back(message->field(i)->name());
  return names;
}

/// Where in `text` the parser's line and column are; it counts both from 0, and a tab up to the next multiple
/// of 8.
size_t OffsetOf(const string& text, int line, int column) {
  size_t offset = 0;
  for (; line > 0; --line) offset = text.find('\n', offset) + 1;
  for (int at = 0; at < column && offset < text.size(); ++offset) at += text[offset] == '\t' ? 8 - at % 8 : 1;
  return offset;
}

/// "LINE:COLUMN", both from 1.
string Position(const string& text, size_t offset) {
  const auto end = text.begin() + std::min(offset, text.size());
  const auto line_start = std::find(std::make_reverse_iterator(end), text.rend(), '\n').base();
  return std::to_string(std::count(text.begin(), end, '\n') + 1) + ":" + std::to_string(end - line_start + 1);
}

/// Makes of the parser's first complaint what the user needs: the place, and for unknown names what to do.
class FirstError : public pb::io::ErrorCollector {
 public:
  explicit FirstError(const string& text) : text_(text) {}

  void AddError(int line, pb::io::ColumnNumber column, const string& complaint) override {
    if (!message_.empty()) return;
    size_t offset = OffsetOf(text_, line, column);
    string explained = complaint;
    string first, second;
    if (TwoNames(complaint, "Message type \"", "\" has no field named \"", &first, &second)) {
      explained = ExplainField(first, second);
      offset = StartOf(second, offset);
    } else if (TwoNames(complaint, "Unknown enumeration value of \"", "\" for field \"", &first, &second)) {
      const std::vector<string> known = EnumValues(NetParameter::descriptor()->file(), second);
      explained = "'" + first + "' is not a value of " + second + DidYouMean(first, known);
      offset = StartOf(first, offset);
    }
    message_ = Position(text_, offset) + ": " + explained;
  }

  /// "LINE:COLUMN: what is wrong".
  const string& message() const { return message_; }

 private:
  /// Takes the parser's BEFORE first BETWEEN second "... apart. (A name may be too long for std::regex.)
  static bool TwoNames(const string& complaint, const string& before, const string& between, string* first,
                       string* second) {
    const size_t middle = complaint.find(between);
    if (complaint.compare(0, before.size(), before) != 0 || middle == string::npos) return false;
    *first = complaint.substr(before.size(), middle - before.size());
    *second = complaint.substr(middle + between.size());
    second->resize(std::min(second->size(), second->find('"')));
    return true;
  }

  static string ExplainField(const string& type_name, const string& field) {
    const pb::Descriptor* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(type_name);
    const string guess = type == nullptr ? "" : DidYouMean(field, FieldNames(type));
    return type_name.substr(type_name.rfind('.') + 1) + " has no field '" + field + "'" + guess +
           "; if it is of another fork of Caffe, remove it, or the layer that needs it";
  }

  /// The parser complains about a name when it has gone past it.
  size_t StartOf(const string& name, size_t offset) const {
    const size_t start = text_.rfind(name, offset);
    return start == string::npos ? offset : start;
  }

  const string& text_;
  string message_;
};

void ReadText(const string& filename, Message* proto) {
  const string content = InputFile(filename).Read(SIZE_MAX);
  if (content.find('\0') != string::npos) {
    Throw("not a prototxt" + Sentence(SeemsToBe(content.substr(0, 512))), filename);
  }
  FirstError error(content);
  pb::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.AllowPartialMessage(true);
  if (!parser.ParseFromString(content, proto)) {
    // FILE:LINE:COLUMN, which editors and terminals can jump to.
    throw Error(filename + ":" + error.message(), "", "", filename);
  }
  CheckRequiredFields(*proto, filename);
}

// -------------------------------------------------------------------------------------------------- binary

[[noreturn]] void ThrowNotA(const Message& proto, const string& filename, int64_t size) {
  const string seems = SeemsToBe(InputFile(filename).Read(512));
  Throw("the file (" + std::to_string(size) + " bytes) is cut short, damaged, or not a " +
            proto.GetDescriptor()->name() + Sentence(seems),
        filename);
}

/// Whether a parsed message has unknown fields only: the bytes of something else, by chance well-formed.
bool HasOnlyUnknownFields(const Message& proto) {
  std::vector<const pb::FieldDescriptor*> fields;
  proto.GetReflection()->ListFields(proto, &fields);
  return fields.empty();
}

/// What a parsed message must be, and what its fields need. `size` is the file's, which the error names.
void FinishBinary(bool parsed, const string& filename, int64_t size, Message* proto) {
  if (!parsed || MisfitField(*proto) != nullptr || HasOnlyUnknownFields(*proto)) {
    ThrowNotA(*proto, filename, size);
  }
  if (NetParameter* net = dynamic_cast<NetParameter*>(proto)) {
    try {
      SeparateSharedFieldNumbers(net);
    } catch (const Error& error) {
      throw error.WithFile(filename);
    }
  }
  CheckRequiredFields(*proto, filename);
}

void ReadBinary(const string& filename, Message* proto) {
  const InputFile file(filename);
  if (file.size() > INT_MAX) {
    Throw("the file has " + std::to_string(file.size()) + " bytes; the format ends at 2 GiB - 1" +
              Sentence(SeemsToBe(file.Read(512))),
          filename);
  }
  pb::io::FileInputStream stream(file.descriptor(), kBlockBytes);
  const bool parsed = proto->ParsePartialFromZeroCopyStream(&stream);
  if (stream.GetErrno() != 0) file.Fail(stream.GetErrno());
  if (stream.ByteCount() == 0) Throw("the file is empty", filename);
  FinishBinary(parsed, filename, file.size(), proto);
}

void WriteBinary(const Message& proto, const string& filename) {
  CheckRequiredFields(proto, filename);
  const size_t size = proto.ByteSizeLong();
  if (size > INT_MAX) {
    Throw("a " + proto.GetDescriptor()->name() + " of " + std::to_string(size) +
              " bytes cannot be saved: the format ends at 2 GiB - 1. Save as HDF5 (snapshot_format: HDF5)",
          filename);
  }
  AtomicFile file(filename);
  {
    pb::io::FileOutputStream stream(file.descriptor(), kBlockBytes);
    if (!proto.SerializePartialToZeroCopyStream(&stream) || !stream.Flush()) file.Fail(stream.GetErrno());
  }
  file.Commit();
}

}  // namespace

bool ReadProtoFromTextFile(const char* filename, Message* proto) {
  return Succeeds([&] { ReadText(filename, proto); });
}

void ReadProtoFromTextFileOrDie(const char* filename, Message* proto) { ReadText(filename, proto); }

void WriteProtoToTextFile(const Message& proto, const char* filename) {
  CheckRequiredFields(proto, filename);
  AtomicFile file(filename);
  // Fields that only a binary file can hold would make the text unreadable.
  pb::TextFormat::Printer printer;
  printer.SetHideUnknownFields(true);
  {
    pb::io::FileOutputStream stream(file.descriptor());
    if (!printer.Print(proto, &stream) || !stream.Flush()) file.Fail(stream.GetErrno());
  }
  file.Commit();
}

bool ReadProtoFromBinaryFile(const char* filename, Message* proto) {
  return Succeeds([&] { ReadBinary(filename, proto); });
}

void ReadProtoFromBinaryFileOrDie(const char* filename, Message* proto) { ReadBinary(filename, proto); }

void ParseProtoFromBinary(const string& bytes, const string& filename, Message* proto) {
  FinishBinary(proto->ParsePartialFromString(bytes), filename, static_cast<int64_t>(bytes.size()), proto);
}

void WriteProtoToBinaryFile(const Message& proto, const char* filename) {
  const NetParameter* net = dynamic_cast<const NetParameter*>(&proto);
  if (net == nullptr || !UsesSharedFieldNumbers(*net)) {
    WriteBinary(proto, filename);
    return;
  }
  NetParameter joined(*net);
  JoinSharedFieldNumbers(&joined);
  WriteBinary(joined, filename);
}

}  // namespace caffe
