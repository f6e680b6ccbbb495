#pragma once

#include <string>

namespace tidegate::daemon {

/// What tests make a daemon do that otherwise happens by rare chance. Only in a program built with TIDEGATE_TEST_HOOKS,
/// which packages leave out: there the environment has no say in it.
struct TestHooks {
  std::string hold_file;     // TIDEGATE_TEST_HOLD_CORE: while this file exists, nothing is collected from drivers
  bool plain_queue = false;  // TIDEGATE_TEST_PLAIN_QUEUE: as if queues lay in plain memory, the next process finds none

  static TestHooks from_environment();
};

}  // namespace tidegate::daemon
