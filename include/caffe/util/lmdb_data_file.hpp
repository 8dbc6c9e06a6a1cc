#ifndef CAFFE_UTIL_LMDB_DATA_FILE_HPP_
#define CAFFE_UTIL_LMDB_DATA_FILE_HPP_

#include <string>

#include "caffe/common.hpp"

namespace caffe {
namespace db {

/**
 * @brief Checks that a folder holds an LMDB that can be mapped: that data.mdb starts with LMDB's two meta
 * pages, and has all pages the newer one counts.
 *
 * LMDB itself maps whatever is there, and reading past the end of a file that was cut short kills the
 * process.
 *
 * @throws Error naming the path, what is wrong and what to do.
 */
void CheckLMDBDataFile(const string& folder);

}  // namespace db
}  // namespace caffe

#endif  // CAFFE_UTIL_LMDB_DATA_FILE_HPP_
