#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/file_system.h"

namespace tidegate::buffer {

/// A file that only takes up room: what the ring has not grown to yet. When others have filled the file system, it
/// gives back what the ring needs. Allocated without being written (fallocate), so it wears nothing out. Any thread.
class SpaceReserve {
 public:
  explicit SpaceReserve(std::string path) : path_(std::move(path)) {}

  /// Makes it hold `bytes`, or as much as leaves the file system a twentieth of its size (256 MiB at most) for others.
  /// Returns what it holds now. An error where the file cannot be made, or the file system cannot reserve.
  Result<std::uint64_t> set(std::uint64_t bytes);
  /// Gives back so many bytes, or all there are; false when there was nothing.
  bool give(std::uint64_t bytes);

 private:
  Result<std::uint64_t> grow(int fd, std::uint64_t from, std::uint64_t to) const;

  const std::string path_;
  std::mutex mutex_;
};

/// Does it, and again with `bytes` from the reserve, as long as it fails because the disk is full and there are some.
template <class Operation>
auto with_room(SpaceReserve& reserve, std::uint64_t bytes, Operation operation) {
  constexpr int kTries = 4;  // another process may be quicker
  auto done = operation();
  for (int i = 0; i < kTries && !done && done.error().code == ErrorCode::full && reserve.give(bytes); ++i) {
    done = operation();
  }
  return done;
}

/// A file system in whose reserve there is room when there is none elsewhere: what fails because the disk is full is
/// done again with room from the reserve. Both outlive it and its files.
class ReservingFileSystem final : public FileSystem {
 public:
  ReservingFileSystem(FileSystem& files, SpaceReserve& reserve) : files_(files), reserve_(reserve) {}

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> exchange(const std::string& one, const std::string& other) override;
  Result<void> remove(const std::string& path) override { return files_.remove(path); }
  Result<std::vector<std::string>> list(const std::string& directory) override { return files_.list(directory); }
  Result<void> make_directory(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override { return files_.sync_directory(path); }

 private:
  FileSystem& files_;
  SpaceReserve& reserve_;
};

}  // namespace tidegate::buffer
