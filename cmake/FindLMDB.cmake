# Finds LMDB and makes the target LMDB::LMDB.
find_path(LMDB_INCLUDE_DIR NAMES lmdb.h HINTS ENV LMDB_HOME PATH_SUFFIXES include)
find_library(LMDB_LIBRARY NAMES lmdb HINTS ENV LMDB_HOME PATH_SUFFIXES lib)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  LMDB REQUIRED_VARS LMDB_LIBRARY LMDB_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install liblmdb-dev (Debian, Ubuntu) or set LMDB_HOME")

if(LMDB_FOUND AND NOT TARGET LMDB::LMDB)
  add_library(LMDB::LMDB UNKNOWN IMPORTED)
  set_target_properties(LMDB::LMDB PROPERTIES
    IMPORTED_LOCATION "${LMDB_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${LMDB_INCLUDE_DIR}")
endif()
mark_as_advanced(LMDB_INCLUDE_DIR LMDB_LIBRARY)
