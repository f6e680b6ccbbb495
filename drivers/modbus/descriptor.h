#pragma once

#include <utility>

#include "core/time.h"

namespace tidegate::drivers {

/// Owns one file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  void reset(int fd = -1);

 private:
  int fd_;
};

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
