#ifndef CAFFE_FUZZ_MESSAGE_MUTATOR_HPP_
#define CAFFE_FUZZ_MESSAGE_MUTATOR_HPP_

#include <google/protobuf/message.h>

#include <random>
#include <string>
#include <vector>

namespace caffe {
namespace fuzz {

/// Changes a message by its fields: what comes out is well-formed, and often makes sense.
class MessageMutator {
 public:
  MessageMutator(google::protobuf::Message* message, unsigned seed);

  /// Makes one to four changes.
  void Mutate();

 private:
  typedef google::protobuf::FieldDescriptor Field;
  typedef google::protobuf::Message Message;

  int Draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(random_); }
  bool Chance(int percent) { return Draw(1, 100) <= percent; }

  /// Finds the messages in the message, and the texts of its fields.
  void Collect(Message* message);
  void Change(Message* message);
  /// A field of the message; more often one that is set.
  const Field* AnyField(const Message& message);
  /// Adds an element, takes one away, exchanges two, or changes one.
  void ChangeRepeated(Message* message, const Field* field);
  /// Sets the field, or the element where `index` is not negative.
  void Set(Message* message, const Field* field, int index);

  int64_t DrawInteger(int64_t before);
  double DrawReal(double before);
  std::string DrawText(const Field* field, const std::string& before);

  Message* message_;
  std::mt19937 random_;
  std::vector<Message*> messages_;
  std::vector<std::string> texts_;
};

}  // namespace fuzz
}  // namespace caffe

#endif  // CAFFE_FUZZ_MESSAGE_MUTATOR_HPP_
