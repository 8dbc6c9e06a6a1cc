#include "message_mutator.hpp"

#include <climits>
#include <cmath>
#include <cstdint>

#include "caffe/layer_factory.hpp"

namespace caffe {
namespace fuzz {

using google::protobuf::Reflection;

MessageMutator::MessageMutator(Message* message, unsigned seed) : message_(message), random_(seed) {}

void MessageMutator::Mutate() {
  for (int changes = Draw(1, 4); changes > 0; --changes) {
    messages_.clear();
    texts_.clear();
    Collect(message_);
    Change(messages_[Draw(0, static_cast<int>(messages_.size()) - 1)]);
  }
}

void MessageMutator::Collect(Message* message) {
  messages_.push_back(message);
  const Reflection* reflection = message->GetReflection();
  std::vector<const Field*> fields;
  reflection->ListFields(*message, &fields);
  for (const Field* field : fields) {
    const int count = field->is_repeated() ? reflection->FieldSize(*message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == Field::CPPTYPE_MESSAGE) {
        Collect(field->is_repeated() ? reflection->MutableRepeatedMessage(message, field, i)
                                     : reflection->MutableMessage(message, field));
      } else if (field->cpp_type() == Field::CPPTYPE_STRING) {
        texts_.push_back(field->is_repeated() ? reflection->GetRepeatedString(*message, field, i)
                                              : reflection->GetString(*message, field));
      }
    }
  }
}

const google::protobuf::FieldDescriptor* MessageMutator::AnyField(const Message& message) {
  std::vector<const Field*> set;
  message.GetReflection()->ListFields(message, &set);
  if (!set.empty() && Chance(65)) return set[Draw(0, static_cast<int>(set.size()) - 1)];
  const int count = message.GetDescriptor()->field_count();
  return count == 0 ? nullptr : message.GetDescriptor()->field(Draw(0, count - 1));
}

void MessageMutator::Change(Message* message) {
  const Field* field = AnyField(*message);
  if (field == nullptr) return;
  if (field->is_repeated()) {
    ChangeRepeated(message, field);
  } else if (Chance(15)) {
    message->GetReflection()->ClearField(message, field);
  } else {
    Set(message, field, -1);
  }
}

void MessageMutator::ChangeRepeated(Message* message, const Field* field) {
  constexpr int kMostElements = 64;
  const Reflection* reflection = message->GetReflection();
  const int count = reflection->FieldSize(*message, field);
  const int way = Draw(0, 5);
  if (count > 0 && way == 0) {
    reflection->RemoveLast(message, field);
  } else if (count > 0 && way == 1) {
    reflection->SwapElements(message, field, Draw(0, count - 1), Draw(0, count - 1));
  } else if (count > 0 && way <= 3) {
    Set(message, field, Draw(0, count - 1));
  } else if (count < kMostElements) {
    switch (field->cpp_type()) {
      case Field::CPPTYPE_INT32:
        reflection->AddInt32(message, field, 1);
        break;
      case Field::CPPTYPE_UINT32:
        reflection->AddUInt32(message, field, 1);
        break;
      case Field::CPPTYPE_INT64:
        reflection->AddInt64(message, field, 1);
        break;
      case Field::CPPTYPE_UINT64:
        reflection->AddUInt64(message, field, 1);
        break;
      case Field::CPPTYPE_FLOAT:
        reflection->AddFloat(message, field, 1);
        break;
      case Field::CPPTYPE_DOUBLE:
        reflection->AddDouble(message, field, 1);
        break;
      case Field::CPPTYPE_BOOL:
        reflection->AddBool(message, field, true);
        break;
      case Field::CPPTYPE_ENUM:
        reflection->AddEnum(message, field, field->enum_type()->value(0));
        break;
      case Field::CPPTYPE_STRING:
        reflection->AddString(message, field, "");
        break;
      case Field::CPPTYPE_MESSAGE: {
        Message* added = reflection->AddMessage(message, field);
        if (count > 0) added->CopyFrom(reflection->GetRepeatedMessage(*message, field, Draw(0, count - 1)));
        return;
      }
    }
    Set(message, field, count);
  }
}

void MessageMutator::Set(Message* message, const Field* field, int index) {
  const Reflection* reflection = message->GetReflection();
  const auto set = [&](auto get, auto get_of, auto put, auto put_of, auto draw) {
    if (index < 0) {
      (reflection->*put)(message, field, draw((reflection->*get)(*message, field)));
    } else {
      (reflection->*put_of)(message, field, index, draw((reflection->*get_of)(*message, field, index)));
    }
  };
  const auto integer = [this](auto before) { return static_cast<decltype(before)>(DrawInteger(before)); };
  const auto real = [this](auto before) { return static_cast<decltype(before)>(DrawReal(before)); };
  switch (field->cpp_type()) {
    case Field::CPPTYPE_INT32:
      return set(&Reflection::GetInt32, &Reflection::GetRepeatedInt32, &Reflection::SetInt32,
                 &Reflection::SetRepeatedInt32, integer);
    case Field::CPPTYPE_UINT32:
      return set(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32, &Reflection::SetUInt32,
                 &Reflection::SetRepeatedUInt32, integer);
    case Field::CPPTYPE_INT64:
      return set(&Reflection::GetInt64, &Reflection::GetRepeatedInt64, &Reflection::SetInt64,
                 &Reflection::SetRepeatedInt64, integer);
    case Field::CPPTYPE_UINT64:
      return set(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64, &Reflection::SetUInt64,
                 &Reflection::SetRepeatedUInt64, integer);
    case Field::CPPTYPE_FLOAT:
      return set(&Reflection::GetFloat, &Reflection::GetRepeatedFloat, &Reflection::SetFloat,
                 &Reflection::SetRepeatedFloat, real);
    case Field::CPPTYPE_DOUBLE:
      return set(&Reflection::GetDouble, &Reflection::GetRepeatedDouble, &Reflection::SetDouble,
                 &Reflection::SetRepeatedDouble, real);
    case Field::CPPTYPE_BOOL:
      return set(&Reflection::GetBool, &Reflection::GetRepeatedBool, &Reflection::SetBool,
                 &Reflection::SetRepeatedBool, [](bool before) { return !before; });
    case Field::CPPTYPE_ENUM: {
      const auto* value = field->enum_type()->value(Draw(0, field->enum_type()->value_count() - 1));
      return index < 0 ? reflection->SetEnum(message, field, value)
                       : reflection->SetRepeatedEnum(message, field, index, value);
    }
    case Field::CPPTYPE_STRING: {
      const std::string before = index < 0 ? reflection->GetString(*message, field)
                                           : reflection->GetRepeatedString(*message, field, index);
      const std::string text = DrawText(field, before);
      return index < 0 ? reflection->SetString(message, field, text)
                       : reflection->SetRepeatedString(message, field, index, text);
    }
    case Field::CPPTYPE_MESSAGE:
      return Change(index < 0 ? reflection->MutableMessage(message, field)
                              : reflection->MutableRepeatedMessage(message, field, index));
  }
}

int64_t MessageMutator::DrawInteger(int64_t before) {
  static const int64_t kNumbers[] = {0,         1,         2,       3,       4,        7,         8,
                                     15,        16,        255,     256,     1 << 15,  1 << 16,   1 << 20,
                                     1 << 24,   1 << 30,   INT_MAX, INT_MIN, UINT_MAX, 1ll << 32, 1ll << 33,
                                     INT64_MAX, INT64_MIN, -1,      -2,      -16};
  switch (Draw(0, 3)) {
    case 0:
      return kNumbers[Draw(0, sizeof(kNumbers) / sizeof(*kNumbers) - 1)];
    case 1:
      return static_cast<int64_t>(static_cast<uint64_t>(before) + static_cast<uint64_t>(Draw(-2, 2)));
    default:
      return Draw(0, 9);
  }
}

double MessageMutator::DrawReal(double before) {
  static const double kReals[] = {0, -0., 1, -1, .5, 1e-45, 1e38, -1e38, 1e300, INFINITY, -INFINITY, NAN};
  if (Chance(50)) return kReals[Draw(0, sizeof(kReals) / sizeof(*kReals) - 1)];
  return before + Draw(-4, 4) / 4.;
}

std::string MessageMutator::DrawText(const Field* field, const std::string& before) {
  static const std::vector<std::string> types = LayerRegistry<float>::LayerTypeList();
  if (field->name() == "type" && Chance(70)) return types[Draw(0, static_cast<int>(types.size()) - 1)];
  if (!texts_.empty() && Chance(60)) return texts_[Draw(0, static_cast<int>(texts_.size()) - 1)];
  std::string text = before;
  if (field->type() == Field::TYPE_BYTES || Chance(50)) {
    const size_t place = static_cast<size_t>(Draw(0, static_cast<int>(text.size())));
    switch (Draw(0, 2)) {
      case 0:
        text.insert(place, 1,
                    static_cast<char>(field->type() == Field::TYPE_BYTES ? Draw(0, 255) : Draw(' ', '~')));
        break;
      case 1:
        text.erase(place, static_cast<size_t>(Draw(1, 8)));
        break;
      default:
        if (place < text.size()) text[place] = static_cast<char>(Draw(' ', '~'));
    }
    return text;
  }
  return Chance(50) ? "" : "x";
}

}  // namespace fuzz
}  // namespace caffe
