#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/dead_letter_store.h"
#include "buffer/ring_log.h"
#include "core/descriptor.h"
#include "core/error.h"
#include "core/record.h"

namespace tidegate::buffer {

/// An uplink's place in a stream with its accounts.
struct StoredCursor {
  std::string uplink;
  Stream stream = Stream::readings;
  Position acked_to;
  Position passed_to;
  std::uint64_t delivered = 0;
  std::uint64_t filtered = 0;
  std::uint64_t dropped = 0;
  std::map<std::string, std::uint64_t> accounts{};  // all else that is counted, by name
};

/// All that is saved in one transaction, so that state and the offset it belongs to are of the same moment.
struct Checkpoint {
  LogState log;
  std::vector<StoredCursor> cursors;
  std::string rules;                              // RuleEngine::save(); empty: none
  std::map<std::string, std::uint64_t> counters;  // "accepted/DRIVER" ..., kept over restarts
};

/// The state database: one SQLite file in WAL mode. Used by one thread at a time (open on the core thread, then the
/// storage thread).
class StateStore {
 public:
  /// Opens or makes `path`. A damaged file is renamed to "<path>.damaged-N" and begun anew; `notice` then says so.
  static Result<std::unique_ptr<StateStore>> open(const std::string& path);
  virtual ~StateStore() = default;
  virtual const std::optional<std::string>& notice() const = 0;
  /// Empty parts where nothing was saved.
  virtual Result<Checkpoint> load() = 0;
  /// One durable transaction (synchronous = FULL).
  virtual Result<void> save(const Checkpoint& checkpoint) = 0;
  /// In the same file, with transactions of their own. Not null, and lives as long.
  virtual DeadLetterStore* dead_letters() = 0;
};

/// The data directory: makes it (0700) when its parent exists, refuses one that belongs to another user, is not
/// writable, or is in use by another running process (lock file; the message names its process id).
class DataDirectory {
 public:
  static Result<DataDirectory> open(const std::string& path);
  const std::string& path() const { return path_; }

 private:
  DataDirectory(std::string path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  Descriptor lock_;
};

}  // namespace tidegate::buffer
