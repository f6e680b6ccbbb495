#include "core/error.h"

#include <cerrno>
#include <system_error>

namespace tidegate {

std::string describe_errno(const std::string& action, int error_number) {
  return action + ": " + std::generic_category().message(error_number);
}

}  // namespace tidegate
