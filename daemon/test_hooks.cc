#include "daemon/test_hooks.h"

#include <cstdlib>

namespace tidegate::daemon {

TestHooks TestHooks::from_environment() {
  TestHooks hooks;
#ifdef TIDEGATE_TEST_HOOKS
  if (const char* path = std::getenv("TIDEGATE_TEST_HOLD_CORE"); path != nullptr) hooks.hold_file = path;
  hooks.plain_queue = std::getenv("TIDEGATE_TEST_PLAIN_QUEUE") != nullptr;
#endif
  return hooks;
}

}  // namespace tidegate::daemon
