#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/file_system.h"

namespace tidegate::testing {

/// A disk in memory that knows what was synced, and fails when it is told to. Any thread.
///
/// Content that was not synced, and names whose directory was not, are what a power cut can take away: all of it by
/// lose_unsynced(), any part of it, sector by sector, by power_cut().
class InMemoryFileSystem final : public FileSystem {
 public:
  enum class Operation : std::uint8_t { open, read, write, sync, reserve, rename, remove, sync_directory };

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> make_directory(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override;

  /// Fails `times` operations of that kind after letting `skip` pass, on paths that contain `part`.
  void fail(Operation operation, std::size_t skip, std::size_t times, ErrorCode code, std::string part = "");
  void fail_never();
  /// Operations of that kind so far, failed ones too.
  std::size_t count(Operation operation) const;

  /// A power cut: every file has the content of its last sync, and the names of the last directory syncs.
  void lose_unsynced();

  /// A power cut as disks and journals have them, drawn from `random`. Of each file any unsynced sectors of 512 bytes
  /// are there or not: none, all, the first ones, every one by a throw, one of them torn in the middle; a file that had
  /// grown has any length in between. Of each directory, the first so many changes since its last sync are there.
  void power_cut(std::mt19937_64& random);

  /// Everything is gone, failures and counts too.
  void wipe();

  std::vector<std::string> paths() const;
  std::vector<std::byte> content(const std::string& path) const;
  void set_content(const std::string& path, std::vector<std::byte> content);
  void flip_bit(const std::string& path, std::uint64_t bit);

 private:
  struct Node {
    std::vector<std::byte> content;
    std::vector<std::byte> synced;
  };
  /// A name that came (with its file) or went, since the last sync of its directory.
  struct Change {
    std::string path;
    std::shared_ptr<Node> node;  // null: removed
  };
  struct Failure {
    std::size_t skip = 0;
    std::size_t times = 0;
    ErrorCode code = ErrorCode::retry;
    std::string part;
  };
  class OpenFile;

  Result<void> step(Operation operation, const std::string& path);
  void apply(const Change& change);
  static void cut_content(Node& node, std::mt19937_64& random);

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Node>> files_;
  std::map<std::string, std::shared_ptr<Node>> durable_names_;
  // By directory, in order. A rename is one entry: its two halves come true together.
  std::map<std::string, std::vector<std::vector<Change>>> changes_;
  std::set<std::string> directories_{"."};
  std::map<Operation, Failure> failures_;
  std::map<Operation, std::size_t> counts_;
};

}  // namespace tidegate::testing
