#include "buffer/dead_letter_store.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tidegate::buffer {
namespace {

// An id is never given out again, so that who has listed them drops no other one.
constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS dead_letters (id INTEGER PRIMARY KEY AUTOINCREMENT, uplink TEXT NOT NULL,"
    " stream INTEGER NOT NULL, epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, time INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL, record TEXT NOT NULL,"
    " UNIQUE (uplink, stream, epoch, sequence));";
// Before there was a limit of bytes they were not counted.
constexpr const char* kHasBytes = "SELECT count(*) FROM pragma_table_info('dead_letters') WHERE name = 'bytes'";
constexpr const char* kAddBytes =
    "BEGIN IMMEDIATE; ALTER TABLE dead_letters ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"
    " UPDATE dead_letters SET bytes = length(CAST(record AS BLOB)) + length(CAST(reason AS BLOB)); COMMIT;";

std::int64_t to_milliseconds(WallTime time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

DeadLetter read_letter(const SqliteStatement& row) {
  DeadLetter letter;
  letter.id = row.number(0);
  letter.uplink = row.bytes(1);
  letter.stream = static_cast<Stream>(std::min<std::uint64_t>(row.number(2), kStreamCount - 1));
  letter.at = {static_cast<std::uint32_t>(row.number(3)), row.number(4)};
  letter.time = WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(row.number(5))));
  letter.reason = row.bytes(6);
  letter.record = row.bytes(7);
  return letter;
}

}  // namespace

Result<std::unique_ptr<DeadLetterStore>> DeadLetterStore::open(SqliteDatabase& database) {
  if (auto made = database.execute(kSchema); !made) return tl::unexpected(made.error());
  const auto has_bytes = database.query_number(kHasBytes);
  if (!has_bytes) return tl::unexpected(has_bytes.error());
  if (*has_bytes == 0) {
    if (auto added = database.execute(kAddBytes); !added) return tl::unexpected(added.error());
  }
  std::unique_ptr<DeadLetterStore> store(new DeadLetterStore(database));
  if (auto prepared = store->prepare_all(); !prepared) return tl::unexpected(prepared.error());
  if (auto counted = store->count(); !counted) return tl::unexpected(counted.error());
  return store;
}

Result<void> DeadLetterStore::prepare_all() {
  const std::pair<SqliteStatement*, const char*> all[] = {
      {&put_,
       "INSERT INTO dead_letters (uplink, stream, epoch, sequence, time, bytes, reason, record)"
       " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
       " ON CONFLICT (uplink, stream, epoch, sequence) DO UPDATE SET time = excluded.time, bytes = excluded.bytes,"
       " reason = excluded.reason, record = excluded.record"},
      {&has_, "SELECT 1 FROM dead_letters WHERE uplink = ? AND stream = ? AND epoch = ? AND sequence = ?"},
      {&find_,
       "SELECT id, uplink, stream, epoch, sequence, time, reason, record FROM dead_letters"
       " WHERE id = ? AND uplink = ?"},
      {&list_,
       "SELECT id, uplink, stream, epoch, sequence, time, reason, record FROM dead_letters"
       " WHERE id > ?1 AND (?2 = '' OR uplink = ?2) ORDER BY id LIMIT ?3"},
      {&drop_, "DELETE FROM dead_letters WHERE uplink = ? AND id = ? RETURNING bytes"},
      {&drop_all_, "DELETE FROM dead_letters WHERE uplink = ?"},
      {&newest_, "SELECT id, reason FROM dead_letters WHERE uplink = ? ORDER BY id DESC LIMIT 1"},
      {&place_, "SELECT id, bytes FROM dead_letters WHERE uplink = ? AND stream = ? AND epoch = ? AND sequence = ?"},
  };
  for (const auto& [statement, sql] : all) {
    auto prepared = database_.prepare(sql);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  return {};
}

Result<void> DeadLetterStore::count() {
  // SQLite takes the reason from the row that has the greatest id.
  auto all =
      database_.prepare("SELECT uplink, count(*), max(id), reason, sum(bytes) FROM dead_letters GROUP BY uplink");
  if (!all) return tl::unexpected(all.error());
  for (;;) {
    const auto row = all->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return {};
    tallies_[all->bytes(0)] = {{all->number(1), all->number(4), all->bytes(3)}, all->number(2)};
  }
}

Result<void> DeadLetterStore::put(const DeadLetter& letter) {
  const auto find = [&]() -> SqliteStatement& {
    auto& place = place_.bind(std::string_view(letter.uplink)).bind(static_cast<std::uint64_t>(letter.stream));
    return place.bind(letter.at.epoch).bind(letter.at.sequence);
  };
  const auto was_there = find().step();
  if (!was_there) return tl::unexpected(was_there.error());
  const std::uint64_t bytes_before = *was_there ? place_.number(1) : 0;
  place_.end();
  auto& put = put_.bind(std::string_view(letter.uplink)).bind(static_cast<std::uint64_t>(letter.stream));
  put.bind(letter.at.epoch).bind(letter.at.sequence).bind(static_cast<std::uint64_t>(to_milliseconds(letter.time)));
  put.bind(bytes_of(letter)).bind(std::string_view(letter.reason)).bind(std::string_view(letter.record));
  if (auto done = put.run(); !done) return done;

  const auto is_there = find().step();
  if (!is_there) return tl::unexpected(is_there.error());
  const std::uint64_t id = *is_there ? place_.number(0) : 0;
  place_.end();
  Tally& tally = tallies_[letter.uplink];
  if (!*was_there) ++tally.of.count;
  tally.of.bytes += bytes_of(letter) - bytes_before;
  if (id < tally.newest) return {};
  tally.newest = id;
  tally.of.last_reason = letter.reason;
  return {};
}

Result<bool> DeadLetterStore::has(const std::string& uplink, Stream stream, Position at) {
  auto& has = has_.bind(std::string_view(uplink)).bind(static_cast<std::uint64_t>(stream));
  const auto row = has.bind(at.epoch).bind(at.sequence).step();
  has.end();
  return row;
}

Result<std::optional<DeadLetter>> DeadLetterStore::find(const std::string& uplink, std::uint64_t id) {
  const auto row = find_.bind(id).bind(std::string_view(uplink)).step();
  if (!row) return tl::unexpected(row.error());
  std::optional<DeadLetter> letter;
  if (*row) letter = read_letter(find_);
  find_.end();
  return letter;
}

Result<DeadLetterPage> DeadLetterStore::list(const std::string& uplink, std::uint64_t after, std::size_t limit) {
  DeadLetterPage page;
  auto& list = list_.bind(after).bind(std::string_view(uplink)).bind(std::uint64_t{limit} + 1);
  for (std::uint64_t bytes = 0;;) {
    const auto row = list.step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return page;
    page.is_last = page.letters.size() < limit && bytes < kPageBytes;
    if (!page.is_last) break;
    page.letters.push_back(read_letter(list));
    bytes += bytes_of(page.letters.back());
  }
  list.end();
  return page;
}

Result<std::uint64_t> DeadLetterStore::drop(const std::string& uplink, const std::vector<std::uint64_t>& ids) {
  if (auto begun = database_.execute("BEGIN IMMEDIATE"); !begun) return tl::unexpected(begun.error());
  auto dropped = drop_each(uplink, ids);
  if (dropped) {
    if (auto kept = database_.execute("COMMIT"); !kept) dropped = tl::unexpected(kept.error());
  }
  if (!dropped) {
    (void)database_.execute("ROLLBACK");
    return tl::unexpected(dropped.error());
  }
  if (dropped->count == 0) return 0;
  Tally& tally = tallies_[uplink];
  tally.of.count -= dropped->count;
  tally.of.bytes -= dropped->bytes;
  if (auto found = find_newest(uplink); !found) return tl::unexpected(found.error());
  return dropped->count;
}

Result<DeadLetterCount> DeadLetterStore::drop_each(const std::string& uplink, const std::vector<std::uint64_t>& ids) {
  DeadLetterCount dropped;
  for (const std::uint64_t id : ids) {
    const auto row = drop_.bind(std::string_view(uplink)).bind(id).step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) continue;
    ++dropped.count;
    dropped.bytes += drop_.number(0);
    if (auto ended = drop_.step(); !ended) return tl::unexpected(ended.error());
  }
  return dropped;
}

Result<void> DeadLetterStore::find_newest(const std::string& uplink) {
  const auto row = newest_.bind(std::string_view(uplink)).step();
  if (!row) return tl::unexpected(row.error());
  if (*row) tallies_[uplink].newest = newest_.number(0);
  if (*row) tallies_[uplink].of.last_reason = newest_.bytes(1);
  newest_.end();
  if (!*row) tallies_.erase(uplink);
  return {};
}

Result<std::uint64_t> DeadLetterStore::drop_all(const std::string& uplink) {
  if (auto done = drop_all_.bind(std::string_view(uplink)).run(); !done) return tl::unexpected(done.error());
  tallies_.erase(uplink);
  return database_.changes();
}

std::map<std::string, DeadLetterCount> DeadLetterStore::counts() const {
  std::map<std::string, DeadLetterCount> counts;
  for (const auto& [uplink, tally] : tallies_) counts[uplink] = tally.of;
  return counts;
}

}  // namespace tidegate::buffer
