#ifndef CAFFE_DATA_LAYER_HPP_
#define CAFFE_DATA_LAYER_HPP_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layers/base_data_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/db.hpp"

namespace caffe {

/**
 * @brief Reads Datum records from an LMDB or LevelDB, from the first key to the last and from the start
 * again.
 *
 * Tops: data (batch_size x channels x height x width), and labels (batch_size) where there is a second top.
 * In the TRAIN phase solver r of n takes the records r, r + n, r + 2n, ... The images of a batch must have
 * one size after the transformation; another batch may have another.
 */
template <typename Dtype>
class DataLayer : public BasePrefetchingDataLayer<Dtype> {
 public:
  explicit DataLayer(const LayerParameter& param);
  ~DataLayer() override;
  void DataLayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "Data"; }
  int ExactNumBottomBlobs() const override { return 0; }
  int MinTopBlobs() const override { return 1; }
  int MaxTopBlobs() const override { return 2; }

 protected:
  /// Moves to the next record, or from the last to the first.
  void Next();
  /// Whether the record is another solver's.
  bool Skip();
  void load_batch(Batch<Dtype>* batch) override;
  bool SeekRecord(uint64_t record) override;

  shared_ptr<db::DB> db_;
  shared_ptr<db::Cursor> cursor_;
  /// Records passed since the place where rand_skip ends.
  uint64_t offset_ = 0;

 private:
  struct Record {
    uint64_t number;
    string key;
    string value;
  };

  Record ReadRecord();
  /// Calls use(datum) with the record's datum; errors name the record and the database.
  template <typename Use>
  void WithDatum(const Record& record, Use use) const;

  vector<Record> records_;
};

}  // namespace caffe

#endif  // CAFFE_DATA_LAYER_HPP_
