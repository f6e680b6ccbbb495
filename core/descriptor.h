#pragma once

#include <utility>

namespace tidegate {

/// For what a library has opened: no other program inherits it.
void close_on_exec(int fd);

/// Owns one file descriptor, or none. Closing it leaves errno alone, so that an error can still be described behind it.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  /// Closes the one that it has, and owns this one.
  void reset(int fd = -1);

 private:
  int fd_;
};

}  // namespace tidegate
