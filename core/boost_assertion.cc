// What a failed BOOST_ASSERT calls, as <boost/assert.hpp> wants it where BOOST_ENABLE_ASSERT_HANDLER is defined. With
// the handler of its own each assertion of a template would have the name of that in the program, up to 8 kB long.
#include <cstdlib>

#include "core/log.h"

namespace boost {

// Declared here, as core knows nothing of Boost.
[[noreturn]] void assertion_failed(const char* expression, const char* function, const char* file, long line);
[[noreturn]] void assertion_failed_msg(const char* expression, const char* message, const char* function,
                                       const char* file, long line);

void assertion_failed(const char* expression, const char* /*function*/, const char* file, long line) {
  tidegate::log_error("boost", "{}:{}: assertion failed: {}", file, line, expression);
  std::abort();
}

void assertion_failed_msg(const char* expression, const char* message, const char* function, const char* file,
                          long line) {
  tidegate::log_error("boost", "{}", message);
  assertion_failed(expression, function, file, line);
}

}  // namespace boost
