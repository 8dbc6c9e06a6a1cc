#include "caffe/util/copy_field.hpp"

#include <cstdint>
#include <limits>
#include <string>

#include "caffe/util/logging.hpp"

namespace caffe {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

/// One value of a field: the only one, or the one at an index.
class Source {
 public:
  Source(const Message& message, const FieldDescriptor* field, int index)
      : message_(message), reflection_(*message.GetReflection()), field_(field), index_(index) {}

#define CAFFE_SOURCE_GET(Type, Name)                                                       \
  Type Name() const {                                                                      \
    return field_->is_repeated() ? reflection_.GetRepeated##Name(message_, field_, index_) \
                                 : reflection_.Get##Name(message_, field_);                \
  }
  CAFFE_SOURCE_GET(int32_t, Int32)
  CAFFE_SOURCE_GET(uint32_t, UInt32)
  CAFFE_SOURCE_GET(float, Float)
  CAFFE_SOURCE_GET(bool, Bool)
  CAFFE_SOURCE_GET(int, EnumValue)
  CAFFE_SOURCE_GET(std::string, String)
  CAFFE_SOURCE_GET(const google::protobuf::Message&, Message)
#undef CAFFE_SOURCE_GET

  int64_t Integer() const {
    return field_->cpp_type() == FieldDescriptor::CPPTYPE_INT32 ? int64_t{Int32()} : int64_t{UInt32()};
  }

 private:
  const google::protobuf::Message& message_;
  const Reflection& reflection_;
  const FieldDescriptor* field_;
  int index_;
};

template <typename Integer>
Integer Checked(int64_t value, const FieldDescriptor* target) {
  if (value < std::numeric_limits<Integer>::min() || value > std::numeric_limits<Integer>::max()) {
    throw Error(std::to_string(value) + " is no value for " + target->full_name());
  }
  return static_cast<Integer>(value);
}

void Put(const Source& source, Message* message, const FieldDescriptor* field) {
  const Reflection& reflection = *message->GetReflection();
#define CAFFE_TARGET_PUT(Name, value)                                \
  field->is_repeated() ? reflection.Add##Name(message, field, value) \
                       : reflection.Set##Name(message, field, value)
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      CAFFE_TARGET_PUT(Int32, Checked<int32_t>(source.Integer(), field));
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
      CAFFE_TARGET_PUT(UInt32, Checked<uint32_t>(source.Integer(), field));
      return;
    case FieldDescriptor::CPPTYPE_FLOAT:
      CAFFE_TARGET_PUT(Float, source.Float());
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      CAFFE_TARGET_PUT(Bool, source.Bool());
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      CAFFE_TARGET_PUT(EnumValue, source.EnumValue());
      return;
    case FieldDescriptor::CPPTYPE_STRING:
      CAFFE_TARGET_PUT(String, source.String());
      return;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      (field->is_repeated() ? reflection.AddMessage(message, field)
                            : reflection.MutableMessage(message, field))
          ->MergeFrom(source.Message());
      return;
    default:
      LOG(FATAL) << "fields of type " << field->cpp_type_name() << " are not copied: " << field->full_name();
  }
#undef CAFFE_TARGET_PUT
}

}  // namespace

void CopyField(const Message& from, const FieldDescriptor* source, Message* to,
               const FieldDescriptor* target) {
  if (!source->is_repeated()) {
    Put(Source(from, source, 0), to, target);
    return;
  }
  const int count = from.GetReflection()->FieldSize(from, source);
  for (int i = 0; i < count; ++i) Put(Source(from, source, i), to, target);
}

}  // namespace caffe
