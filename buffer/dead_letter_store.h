#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/sqlite.h"
#include "core/error.h"
#include "core/record.h"
#include "core/time.h"

namespace tidegate::buffer {

/// A record that the target of an uplink refuses for good. Known by uplink, stream and place.
struct DeadLetter {
  std::uint64_t id = 0;  // given by the store, rising
  std::string uplink;
  Stream stream = Stream::readings;
  Position at;
  WallTime time{};     // when it was given up, in whole milliseconds
  std::string reason;  // what the target said
  std::string record;  // JSON, as an entry of a batch
  bool operator==(const DeadLetter&) const = default;
};

/// What an uplink has of them.
struct DeadLetterCount {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;  // of records and reasons
  std::string last_reason;
  bool operator==(const DeadLetterCount&) const = default;
};

/// What an uplink may have of them.
struct DeadLetterLimits {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};

/// Some of them, and whether there are none behind these.
struct DeadLetterPage {
  std::vector<DeadLetter> letters;
  bool is_last = true;
};

/// What a letter of that size takes of the limit.
inline std::uint64_t bytes_of(const DeadLetter& letter) { return letter.record.size() + letter.reason.size(); }

/// The table of dead letters in the state database. What a function changes is durable when it returns. Used by the
/// thread that uses the state store, which outlives it.
class DeadLetterStore {
 public:
  /// Makes the table where there is none. Error `corrupt` when it is not as we make it.
  static Result<std::unique_ptr<DeadLetterStore>> open(SqliteDatabase& database);

  /// One of the same uplink, stream and place takes the place of the one before, under its id.
  Result<void> put(const DeadLetter& letter);
  /// Whether there is one of this uplink, stream and place.
  Result<bool> has(const std::string& uplink, Stream stream, Position at);
  Result<std::optional<DeadLetter>> find(const std::string& uplink, std::uint64_t id);
  /// Some of an uplink, of all with "", whose id is greater than `after`; by id. No more than `limit`, and none behind
  /// kPageBytes.
  Result<DeadLetterPage> list(const std::string& uplink, std::uint64_t after, std::size_t limit);
  static constexpr std::uint64_t kPageBytes = 1024 * 1024;
  /// Removes those of the uplink with these ids, or all of them. How many there were.
  Result<std::uint64_t> drop(const std::string& uplink, const std::vector<std::uint64_t>& ids);
  Result<std::uint64_t> drop_all(const std::string& uplink);
  /// By uplink. Kept in memory, however many there are.
  std::map<std::string, DeadLetterCount> counts() const;

 private:
  explicit DeadLetterStore(SqliteDatabase& database) : database_(database) {}
  struct Tally {
    DeadLetterCount of;
    std::uint64_t newest = 0;  // the id of which the last reason is
  };
  Result<void> prepare_all();
  Result<void> count();
  Result<void> find_newest(const std::string& uplink);
  Result<DeadLetterCount> drop_each(const std::string& uplink, const std::vector<std::uint64_t>& ids);

  SqliteDatabase& database_;
  SqliteStatement put_;
  SqliteStatement has_;
  SqliteStatement find_;
  SqliteStatement list_;
  SqliteStatement drop_;
  SqliteStatement drop_all_;
  SqliteStatement newest_;
  SqliteStatement place_;
  std::map<std::string, Tally> tallies_;  // by uplink
};

}  // namespace tidegate::buffer
