#ifndef CAFFE_LOWBIT_FUNCTION_REF_HPP_
#define CAFFE_LOWBIT_FUNCTION_REF_HPP_

#include <memory>
#include <type_traits>

namespace caffe {
namespace lowbit {

template <typename Signature>
class FunctionRef;

/// Refers to a function object that its caller keeps alive; std::function would allocate memory for a copy.
template <typename Result, typename... Arguments>
class FunctionRef<Result(Arguments...)> {
 public:
  template <typename Function,
            typename = std::enable_if_t<!std::is_same_v<std::decay_t<Function>, FunctionRef>>>
  FunctionRef(const Function& function)  // NOLINT(runtime/explicit)
      : function_(std::addressof(function)), call_([](const void* object, Arguments... arguments) -> Result {
          return (*static_cast<const Function*>(object))(arguments...);
        }) {}

  Result operator()(Arguments... arguments) const { return call_(function_, arguments...); }

 private:
  const void* function_;
  Result (*call_)(const void*, Arguments...);
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FUNCTION_REF_HPP_
