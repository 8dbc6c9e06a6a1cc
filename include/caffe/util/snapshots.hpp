#ifndef CAFFE_UTIL_SNAPSHOTS_HPP_
#define CAFFE_UTIL_SNAPSHOTS_HPP_

/// @file
/// The files of a training: PREFIX_iter_N.caffemodel and .solverstate, each with .h5 appended for HDF5.

#include <cstdint>
#include <string>

#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/hdf5.hpp"

namespace caffe {

/// CRC-32 of a file's bytes. @throws Error naming the file.
uint32_t ChecksumOfFile(const string& file);

/// Writes a .solverstate, with its checksum, whole or not at all. @throws Error naming the file.
void WriteSolverState(const SolverState& state, const string& file);
/// Reads a .solverstate. @throws Error where it is damaged.
void ReadSolverState(const string& file, SolverState* state);

#ifdef USE_HDF5
/// The part of an HDF5 state that is not its history.
void SaveSolverStateHead(hid_t file, const SolverState& state);
SolverState LoadSolverStateHead(hid_t file);
#endif

/// The weights that belong to a state, where they are now: snapshots get moved. Of several files of the name
/// it is the one with the checksum that the state tells.
/// @throws Error where there is none.
string FindWeights(const SolverState& state, const string& state_file);

/**
 * @brief The file of the newest snapshot PREFIX_iter_N that is whole: the state and the weights that belong
 * to it.
 *
 * It is the one that was saved last, in whichever iteration. Files that are damaged, states whose weights are
 * missing or others, and weights that are no finite numbers are passed over, with a warning that names them.
 *
 * @return the .solverstate, or "" where there is none, which the log says.
 * @throws Error where the prefix is empty.
 */
string NewestSnapshot(const string& prefix);

/// Deletes the files PREFIX_iter_N.solverstate and .caffemodel, with `ending` ("" or ".h5") appended; the
/// state first, so that there is never one without weights. What cannot be deleted stays, with a warning.
void RemoveSnapshot(const string& prefix, int iter, const string& ending);

}  // namespace caffe

#endif  // CAFFE_UTIL_SNAPSHOTS_HPP_
