#ifndef CAFFE_TEST_LOG_CAPTURE_HPP_
#define CAFFE_TEST_LOG_CAPTURE_HPP_

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/// Collects what is logged while it lives, by any thread, and keeps it off the screen. What it has collected
/// is to be read when no other thread logs.
class LogCapture {
 public:
  LogCapture() : min_severity_(logging::MinSeverity()) {
    logging::SetMinSeverity(logging::INFO);
    logging::SetSink([this](logging::Severity severity, const std::string&, const std::string& message) {
      const std::lock_guard<std::mutex> lock(mutex_);
      messages_.push_back(message);
      severities_.push_back(severity);
    });
  }
  ~LogCapture() {
    logging::SetSink(nullptr);
    logging::SetMinSeverity(min_severity_);
  }

  const vector<string>& messages() const { return messages_; }
  void Clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    messages_.clear();
    severities_.clear();
  }
  /// Number of messages that start with `start`.
  int Count(const string& start) const { return static_cast<int>(Starting(start).size()); }
  bool Has(const string& message) const {
    return std::find(messages_.begin(), messages_.end(), message) != messages_.end();
  }
  /// The messages that start with `start`, in their order.
  vector<string> Starting(const string& start) const {
    vector<string> found;
    for (const string& message : messages_) {
      if (message.compare(0, start.size(), start) == 0) found.push_back(message);
    }
    return found;
  }
  int Warnings() const {
    return static_cast<int>(std::count(severities_.begin(), severities_.end(), logging::WARNING));
  }

 private:
  int min_severity_;
  std::mutex mutex_;
  vector<string> messages_;
  vector<logging::Severity> severities_;
};

}  // namespace caffe

#endif  // CAFFE_TEST_LOG_CAPTURE_HPP_
