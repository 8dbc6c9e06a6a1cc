#ifndef CAFFE_UTIL_LOG_FILE_HPP_
#define CAFFE_UTIL_LOG_FILE_HPP_

#include <string>

namespace caffe {
namespace logging {

/**
 * @brief From now on the log goes to a new file in `folder` too; that before, if any, is closed.
 *
 * The file has the name that glog gives it, PROGRAM.HOST.USER.log.INFO.DATE-TIME.PID, and the link
 * PROGRAM.INFO in the folder leads to the newest.
 *
 * @return the file's path.
 * @throws Error with the path and the system's reason where it cannot be made.
 */
std::string OpenLogFile(const std::string& folder, const std::string& program);

void CloseLogFile();

/// Adds a line to the file, where there is one.
void CopyToLogFile(const std::string& line);

}  // namespace logging
}  // namespace caffe

#endif  // CAFFE_UTIL_LOG_FILE_HPP_
