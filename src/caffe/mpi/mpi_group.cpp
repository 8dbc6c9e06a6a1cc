// All of libcaffe_mpi, which JoinMpi loads.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "caffe/util/process_group.hpp"

namespace caffe {

namespace {

/// Larger arrays are cut up: the first piece is on its way back while the last one is not sent yet, and
/// counts of MPI are ints.
constexpr size_t kPieceBytes = size_t{16} << 20;

void Check(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(status, text, &length);
  throw Error(string("MPI failed in ") + call + ": " + text);
}

#define MPI_CHECK(call) Check(call, #call)

/// Rests between looking whether something has come: hardly at first, longer when it takes long, as when the
/// root tests. MPI's own waits would keep a processor busy that others compute on.
class Patience {
 public:
  void Rest() {
    ++rests_;
    if (rests_ < 500) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(rests_ < 20000 ? 50 : 1000));
    }
  }

 private:
  int rests_ = 0;
};

void Wait(MPI_Request* request) {
  Patience patience;
  for (int done = 0;; patience.Rest()) {
    MPI_CHECK(MPI_Test(request, &done, MPI_STATUS_IGNORE));
    if (done) return;
  }
}

MPI_Datatype TypeOf(const float*) { return MPI_FLOAT; }
MPI_Datatype TypeOf(const double*) { return MPI_DOUBLE; }

class MpiGroup : public ProcessGroup {
 public:
  // MPI's calls are made by one thread at a time: by the caller's, or by averager_ while averages are made.
  MpiGroup() {
    int provided = MPI_THREAD_SINGLE;
    MPI_CHECK(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided));
    if (provided < MPI_THREAD_SERIALIZED) {
      throw Error("it does not let several threads call it (MPI_THREAD_SERIALIZED)");
    }
    MPI_CHECK(MPI_Comm_dup(MPI_COMM_WORLD, &all_));
    MPI_CHECK(MPI_Comm_set_errhandler(all_, MPI_ERRORS_RETURN));
    MPI_CHECK(MPI_Comm_rank(all_, &rank_));
    MPI_CHECK(MPI_Comm_size(all_, &size_));
    MPI_Comm local;
    MPI_CHECK(MPI_Comm_split_type(all_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local));
    MPI_CHECK(MPI_Comm_rank(local, &local_rank_));
    MPI_CHECK(MPI_Comm_size(local, &local_size_));
    MPI_CHECK(MPI_Comm_free(&local));
    char name[MPI_MAX_PROCESSOR_NAME] = "";
    int length = 0;
    MPI_CHECK(MPI_Get_processor_name(name, &length));
    host_.assign(name, length);
    averager_ = std::thread(&MpiGroup::RunAverages, this);
  }

  // Without Leave the launcher takes the end of this process for a failure, which it is.
  ~MpiGroup() override { StopAverager(); }

  void Broadcast(void* data, size_t bytes) override {
    for (size_t done = 0; done < bytes; done += kPieceBytes) {
      const int count = static_cast<int>(std::min(kPieceBytes, bytes - done));
      MPI_Request request;
      MPI_CHECK(MPI_Ibcast(static_cast<char*>(data) + done, count, MPI_BYTE, 0, all_, &request));
      Wait(&request);
    }
  }

  vector<string> Gather(const string& mine) override {
    const int size = static_cast<int>(mine.size());
    vector<int> sizes(size_), starts(size_);
    MPI_Request request;
    MPI_CHECK(MPI_Iallgather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, all_, &request));
    Wait(&request);
    for (int i = 1; i < size_; ++i) starts[i] = starts[i - 1] + sizes[i - 1];
    string together(starts.back() + sizes.back(), '\0');
    MPI_CHECK(MPI_Iallgatherv(mine.data(), size, MPI_BYTE, &together[0], sizes.data(), starts.data(),
                              MPI_BYTE, all_, &request));
    Wait(&request);
    vector<string> parts;
    for (int i = 0; i < size_; ++i) parts.push_back(together.substr(starts[i], sizes[i]));
    return parts;
  }

  int Max(int mine) override {
    int largest = mine;
    MPI_Request request;
    MPI_CHECK(MPI_Iallreduce(&mine, &largest, 1, MPI_INT, MPI_MAX, all_, &request));
    Wait(&request);
    return largest;
  }

  void StartAverage(float* values, size_t count) override { Add(values, count); }
  void StartAverage(double* values, size_t count) override { Add(values, count); }

  void FinishAverages() override {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return unfinished_ == 0 || error_; });
    if (error_) std::rethrow_exception(error_);
  }

  void Leave() override {
    StopAverager();
    MPI_CHECK(MPI_Comm_free(&all_));
    MPI_CHECK(MPI_Finalize());
  }

  [[noreturn]] void Abort(int status) override {
    MPI_Abort(MPI_COMM_WORLD, status);
    std::_Exit(status);
  }

 private:
  struct Piece {
    MPI_Datatype type;
    void* values;
    int count;
  };

  template <typename Dtype>
  void Add(Dtype* values, size_t count) {
    const size_t most = kPieceBytes / sizeof(Dtype);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (size_t begin = 0; begin < count; begin += most) {
        waiting_.push_back({TypeOf(values), values + begin, static_cast<int>(std::min(most, count - begin))});
        ++unfinished_;
      }
    }
    changed_.notify_all();
  }

  template <typename Dtype>
  void Scale(const Piece& piece) const {
    auto* values = static_cast<Dtype*>(piece.values);
    const Dtype factor = Dtype(1) / static_cast<Dtype>(size_);
    for (int i = 0; i < piece.count; ++i) values[i] *= factor;
  }

  /// The thread that makes averages.
  void RunAverages() {
    try {
      while (AwaitPieces()) MakeAverages();
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      error_ = std::current_exception();
      changed_.notify_all();
    }
  }

  /// @return false when there will be no more.
  bool AwaitPieces() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    return !stop_;
  }

  /// Until nothing is waiting or on its way.
  void MakeAverages() {
    std::deque<Piece> sent;
    std::deque<MPI_Request> requests;
    Patience patience;
    while (true) {
      std::deque<Piece> pieces;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (stop_ || (sent.empty() && waiting_.empty())) return;
        pieces.swap(waiting_);
      }
      for (const Piece& piece : pieces) {
        // The results are the same bits everywhere: MPI insists (MPI 4.0, section 6.9.6).
        MPI_Request request;
        MPI_CHECK(
            MPI_Iallreduce(MPI_IN_PLACE, piece.values, piece.count, piece.type, MPI_SUM, all_, &request));
        requests.push_back(request);
        sent.push_back(piece);
      }
      int done = 0;
      MPI_CHECK(MPI_Test(&requests.front(), &done, MPI_STATUS_IGNORE));
      if (!done) {
        patience.Rest();
        continue;
      }
      patience = Patience();
      if (sent.front().type == MPI_FLOAT) {
        Scale<float>(sent.front());
      } else {
        Scale<double>(sent.front());
      }
      sent.pop_front();
      requests.pop_front();
      const std::lock_guard<std::mutex> lock(mutex_);
      if (--unfinished_ == 0) changed_.notify_all();
    }
  }

  void StopAverager() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (averager_.joinable()) averager_.join();
  }

  MPI_Comm all_ = MPI_COMM_NULL;
  std::thread averager_;
  /// Guards what follows.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> waiting_;
  /// Pieces waiting or on their way.
  size_t unfinished_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
};

}  // namespace

}  // namespace caffe

/// Null, with what was wrong in `error`, where MPI cannot be started.
extern "C" caffe::ProcessGroup* caffe_join_mpi(std::string* error) {
  try {
    return new caffe::MpiGroup;
  } catch (const std::exception& reason) {
    *error = reason.what();
    return nullptr;
  }
}
