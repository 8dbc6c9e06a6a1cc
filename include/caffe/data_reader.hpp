#ifndef CAFFE_DATA_READER_HPP_
#define CAFFE_DATA_READER_HPP_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/internal_thread.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/blocking_queue.hpp"
#include "caffe/util/db.hpp"

namespace caffe {

/**
 * @brief Reads the records of a database ahead, in one thread for all solvers of the process.
 *
 * Each solver makes a reader of its own; readers with the same layer name and data_param.source share a
 * thread, which deals the records out to them in turn, so that no two solvers of a training get the same
 * record. In the TRAIN phase the thread waits for Caffe::solver_count() readers before it starts. After the
 * last record comes the first again.
 *
 *     Datum* datum = reader.full().pop();
 *     ... use it ...
 *     reader.free().push(datum);
 *
 * What goes wrong in the thread is thrown by full().pop(), once the records read before are taken.
 */
class DataReader {
 public:
  explicit DataReader(const LayerParameter& param);
  /// The datums go with the reader.
  ~DataReader();

  /// Datums to be filled again.
  BlockingQueue<Datum*>& free() const { return queue_pair_->free_; }
  /// Datums read: data_param.prefetch * batch_size of them at most.
  BlockingQueue<Datum*>& full() const { return queue_pair_->full_; }

 protected:
  /// The datums of one reader, which owns them.
  class QueuePair {
   public:
    explicit QueuePair(int size);

    BlockingQueue<Datum*> free_;
    BlockingQueue<Datum*> full_;

   private:
    vector<Datum> datums_;

    DISABLE_COPY_AND_ASSIGN(QueuePair);
  };

  /// The thread of a database.
  class Body : public InternalThread {
   public:
    explicit Body(const LayerParameter& param);
    ~Body() override;

   protected:
    void InternalThreadEntry() override;
    void InternalThreadFailed(std::exception_ptr error) override;
    /// Fills the pair's next free datum with the record that the cursor is at, and moves on.
    void read_one(db::Cursor* cursor, QueuePair* qp);

    const LayerParameter param_;
    BlockingQueue<shared_ptr<QueuePair>> new_queue_pairs_;

   private:
    vector<shared_ptr<QueuePair>> served_;

    friend class DataReader;
    DISABLE_COPY_AND_ASSIGN(Body);
  };

  /// Readers with one key share a body.
  static string source_key(const LayerParameter& param) {
    return param.name() + ":" + param.data_param().source();
  }

  const shared_ptr<QueuePair> queue_pair_;
  shared_ptr<Body> body_;

  static map<const string, std::weak_ptr<DataReader::Body>> bodies_;

  DISABLE_COPY_AND_ASSIGN(DataReader);
};

}  // namespace caffe

#endif  // CAFFE_DATA_READER_HPP_
