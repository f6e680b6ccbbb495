#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace tidegate {

/// One open file. Calls on different offsets may come from different threads. Closes without syncing.
/// Every call is complete or an error: short transfers and EINTR are dealt with inside.
class File {
 public:
  virtual ~File() = default;
  /// Reads up to `into.size()` bytes; fewer only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const = 0;
  virtual Result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) = 0;
  /// fdatasync; removed or cut is an error. After one unsynced content is lost to us: never sync this file again.
  virtual Result<void> sync() = 0;
  /// Writes zeros to [size, bytes), so that, once synced, later overwrites need neither space nor metadata.
  virtual Result<void> reserve(std::uint64_t bytes) = 0;
  /// Begins to bring the content to the disk, and waits for what an earlier call began, so that a sync() behind several
  /// has little to do. An error that it reports is not reported to sync() again: only for a file whose content is worth
  /// nothing yet, and which is given up then. Where that is not possible, it is all left to sync().
  virtual Result<void> begin_write_back() { return {}; }
  virtual Result<std::uint64_t> size() const = 0;
};

enum class OpenMode : std::uint8_t { read, write, create };  // write: must exist; create: must not exist

/// A directory tree, as far as the log needs one. Paths are absolute or relative to the working directory; symbolic
/// links are not followed in the last part. Errors: `full` for ENOSPC and EDQUOT, `retry` for the rest of the
/// errno values that may pass, `invalid` for what will not (ENOENT, EACCES, ELOOP ...).
/// Implementations: PosixFileSystem here, InMemoryFileSystem in tests/support. Any thread.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  /// Each of the two names gets the other's file, at once. Error when the file system cannot do that.
  virtual Result<void> exchange(const std::string& one, const std::string& other) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  /// Names of regular files in the directory, unsorted.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  /// Makes the directory (mode 0700) if it does not exist; its parent must.
  virtual Result<void> make_directory(const std::string& path) = 0;
  /// fsync of the directory: makes creates, renames, exchanges and removes in it durable.
  virtual Result<void> sync_directory(const std::string& path) = 0;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> exchange(const std::string& one, const std::string& other) override;
  Result<void> remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> make_directory(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override;
};

}  // namespace tidegate
