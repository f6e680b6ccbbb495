#pragma once

#include "core/descriptor.h"
#include "core/time.h"

namespace tidegate::drivers {

/// Any thread raises it, once and for good; waits on its descriptor end then.
class Interrupt {
 public:
  Interrupt();
  void raise();
  bool is_raised() const;
  int fd() const { return event_.get(); }

 private:
  Descriptor event_;
};

enum class WaitResult { ready, timed_out, interrupted };

/// Waits until `fd` has one of `events` (POLLIN, POLLOUT), an error or a hang-up, at most `timeout`.
WaitResult wait_for(int fd, short events, const Interrupt& interrupt, Duration timeout);

}  // namespace tidegate::drivers
