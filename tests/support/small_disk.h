#pragma once

#include <cstdint>
#include <string>

namespace tidegate::testing {

/// A file system of a fixed size in memory (tmpfs), mounted at a directory; the rest of it can be filled up and freed
/// again. Needs the right to mount.
class SmallDisk {
 public:
  SmallDisk(std::string directory, std::uint64_t bytes);
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk();

  /// Why there is none; empty when it is mounted.
  const std::string& problem() const { return problem_; }
  /// Leaves no byte free. Throws std::runtime_error when that does not work.
  void fill_up();
  void free_again();

 private:
  std::string filler() const { return directory_ + "/filler"; }

  const std::string directory_;
  std::string problem_;
};

}  // namespace tidegate::testing
