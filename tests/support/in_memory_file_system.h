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
/// Content is durable by the sector of 512 bytes once its file was synced, names once their directory was. A power cut
/// takes away what is not: all of it by lose_unsynced(), by a seed what a disk may take by power_cut().
///
/// A failed sync drops what was dirty, as Linux does: the content can still be read, the next sync would return 0, and
/// a power cut takes it. So a process that syncs or reserves the file again is wrong: that fails, and misuses() tells.
/// A write is not: the thread that writes may not know yet what another thread's sync has met.
class InMemoryFileSystem final : public FileSystem {
 public:
  enum class Operation : std::uint8_t { open, read, write, sync, reserve, rename, exchange, remove, sync_directory };
  static constexpr std::size_t kSectorBytes = 512;

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> exchange(const std::string& one, const std::string& other) override;
  Result<void> remove(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> make_directory(const std::string& path) override;
  Result<void> sync_directory(const std::string& path) override;

  /// Fails `times` operations of that kind after letting `skip` pass, on paths that contain `part`.
  void fail(Operation operation, std::size_t skip, std::size_t times, ErrorCode code, std::string part = "");
  void fail_never();
  /// No file grows beyond so many bytes: what would make it fails with ErrorCode::full.
  void limit_files(std::size_t bytes);
  /// Operations of that kind so far, failed ones too.
  std::size_t count(Operation operation) const;

  /// Fails `times` operations of any kind after letting `skip` pass; they are counted together.
  void fail_any(std::size_t skip, std::size_t times, ErrorCode code);
  /// The machine stops after `skip` operations: all later ones fail, up to the power cut.
  void halt_after(std::size_t skip);
  /// Operations of all kinds so far, failed ones too.
  std::size_t operations() const;
  /// Writes to and syncs of files whose sync had failed, by one process.
  std::vector<std::string> misuses() const;
  /// The next process knows nothing of failed syncs.
  void begin_process();

  /// A power cut as a disk may do it, the same for the same seed. Of each file no, all, the first or any of the sectors
  /// that were not synced are written, one of them perhaps in part; its size is the old one, the new one, or between.
  /// Of the changes of names in each directory the first so many are kept.
  void power_cut(std::uint64_t seed);
  /// A power cut: every file has the content of its last sync, and the names of the last directory syncs.
  void lose_unsynced();

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
    std::set<std::size_t> dirty;  // sectors
    bool failed = false;          // a sync of it, in this process
  };
  /// A change of names that is not durable. `node` of a create only, `to` of a rename or an exchange.
  struct NameChange {
    std::string from;
    std::string to;
    std::shared_ptr<Node> node;
    bool exchanges = false;
  };
  struct Failure {
    std::size_t skip = 0;
    std::size_t times = 0;
    ErrorCode code = ErrorCode::retry;
    std::string part;
  };
  class OpenFile;

  Result<void> step(Operation operation, const std::string& path);
  Result<void> check_use(const Node& node, const std::string& path);
  void keep_name(const NameChange& change);
  static void cut_node(Node& node, std::mt19937_64& random);

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Node>> files_;
  std::map<std::string, std::shared_ptr<Node>> durable_names_;
  std::vector<NameChange> name_changes_;  // in their order
  std::set<std::string> directories_{"."};
  std::size_t file_bytes_max_ = SIZE_MAX;
  std::optional<Failure> failure_of_any_;
  bool halts_ = false;
  std::size_t operations_ = 0;
  std::vector<std::string> misuses_;
  std::map<Operation, Failure> failures_;
  std::map<Operation, std::size_t> counts_;
};

}  // namespace tidegate::testing
