#include "core/error.h"

#include <cerrno>
#include <system_error>

namespace tidegate {
namespace {

ErrorCode code_of(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // a limit on the size of files
      return ErrorCode::full;
    case ENOENT:
      return ErrorCode::not_found;
    case EEXIST:
    case ELOOP:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
      return ErrorCode::invalid;
    default:  // rights and a file system that became read-only too: somebody may give them back
      return ErrorCode::retry;
  }
}

}  // namespace

std::string describe_errno(const std::string& action, int error_number) {
  return action + ": " + std::generic_category().message(error_number);
}

tl::unexpected<Error> fail_errno(const std::string& action) {
  const int error_number = errno;
  return fail(code_of(error_number), describe_errno(action, error_number));
}

}  // namespace tidegate
