#include "buffer/state_store.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "buffer/sqlite.h"
#include "core/descriptor.h"

namespace tidegate::buffer {
namespace {

constexpr std::uint64_t kSchemaVersion = 1;
constexpr int kDamagedNamesTried = 1000;
constexpr int kOpensTried = 8;

// Small pages, because each save writes the pages it touches, once a second for years: with those of 4 KiB that was
// more than the readings themselves. Of a database that exists the page size stays what it is. A short write-ahead log,
// because a file that grows costs the file system a commit of its journal with each sync: it grows for half a minute.
constexpr const char* kPragmas =
    "PRAGMA page_size = 512;"
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA cache_size = -128;"
    "PRAGMA mmap_size = 0;"
    "PRAGMA journal_size_limit = 1048576;"
    "PRAGMA wal_autocheckpoint = 64;"
    "PRAGMA temp_store = MEMORY;";

constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY CHECK (id = 1), log_id BLOB, epoch INTEGER, clean INTEGER);"
    "CREATE TABLE IF NOT EXISTS durable (stream INTEGER PRIMARY KEY, epoch INTEGER, sequence INTEGER);"
    "CREATE TABLE IF NOT EXISTS epochs (stream INTEGER, epoch INTEGER, first INTEGER, last INTEGER,"
    " PRIMARY KEY (stream, epoch)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS cursors (uplink TEXT, stream INTEGER, acked_epoch INTEGER, acked INTEGER,"
    " passed_epoch INTEGER, passed INTEGER, delivered INTEGER, filtered INTEGER, dropped INTEGER,"
    " PRIMARY KEY (uplink, stream)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS rules (id INTEGER PRIMARY KEY CHECK (id = 1), state BLOB);"
    // Beside `cursors`, so that programs that do not know of it go on working with that table.
    "CREATE TABLE IF NOT EXISTS accounts (uplink TEXT, stream INTEGER, name TEXT, value INTEGER,"
    " PRIMARY KEY (uplink, stream, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS dropped (stream INTEGER, first INTEGER, epoch INTEGER, last INTEGER,"
    " time_from INTEGER, time_to INTEGER, PRIMARY KEY (stream, first)) WITHOUT ROWID;";

// The end of the newest epoch moves all the time, and stands in the segments: it is written when the next one begins.
bool is_newest(const EpochRange& range, const std::vector<EpochRange>& all) {
  return std::none_of(all.begin(), all.end(), [&](const EpochRange& other) {
    return other.stream == range.stream && other.epoch > range.epoch;
  });
}

bool same(const StoredCursor& a, const StoredCursor& b) {
  return a.uplink == b.uplink && a.stream == b.stream && a.acked_to == b.acked_to && a.passed_to == b.passed_to &&
         a.delivered == b.delivered && a.filtered == b.filtered && a.dropped == b.dropped && a.accounts == b.accounts;
}

std::optional<Stream> stream_of(std::uint64_t number) {
  if (number >= kStreamCount) return std::nullopt;
  return static_cast<Stream>(number);
}

std::uint64_t number_of(Stream stream) { return static_cast<std::uint64_t>(stream); }

struct Statements {
  SqliteStatement begin, commit, rollback;
  SqliteStatement put_log, put_durable, put_epoch, drop_epoch, put_cursor, put_account, put_rules, put_counter,
      drop_dropped, put_dropped;
};

Result<void> prepare_all(SqliteDatabase& database, Statements& statements) {
  const std::pair<SqliteStatement*, const char*> all[] = {
      {&statements.begin, "BEGIN IMMEDIATE"},
      {&statements.commit, "COMMIT"},
      {&statements.rollback, "ROLLBACK"},
      {&statements.put_log, "INSERT OR REPLACE INTO log VALUES (1, ?, ?, ?)"},
      {&statements.put_durable, "INSERT OR REPLACE INTO durable VALUES (?, ?, ?)"},
      {&statements.put_epoch, "INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?)"},
      {&statements.drop_epoch, "DELETE FROM epochs WHERE stream = ? AND epoch = ?"},
      {&statements.put_cursor, "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      {&statements.put_account, "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?)"},
      {&statements.put_rules, "INSERT OR REPLACE INTO rules VALUES (1, ?)"},
      {&statements.drop_dropped, "DELETE FROM dropped"},
      {&statements.put_dropped, "INSERT OR REPLACE INTO dropped VALUES (?, ?, ?, ?, ?, ?)"},
      {&statements.put_counter, "INSERT OR REPLACE INTO counters VALUES (?, ?)"},
  };
  for (const auto& [statement, sql] : all) {
    auto prepared = database.prepare(sql);
    if (!prepared) return tl::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  return {};
}

template <class OnRow>
Result<void> for_each_row(SqliteDatabase& database, const char* sql, OnRow on_row) {
  auto statement = database.prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  for (;;) {
    auto row = statement->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return {};
    on_row(*statement);
  }
}

class SqliteStateStore final : public StateStore {
 public:
  SqliteStateStore(SqliteDatabase database, Statements statements, std::optional<std::string> notice)
      : database_(std::move(database)), statements_(std::move(statements)), notice_(std::move(notice)) {}

  const std::optional<std::string>& notice() const override { return notice_; }
  Result<Checkpoint> load() override;
  Result<void> save(const Checkpoint& checkpoint) override;
  DeadLetterStore* dead_letters() override { return dead_letters_.get(); }
  Result<void> open_dead_letters();

 private:
  Result<void> load_log(LogState& log);
  Result<void> load_dropped(LogState& log);
  Result<void> load_cursors(Checkpoint& checkpoint);
  Result<void> put_changes(const Checkpoint& checkpoint);
  Result<void> put_log(const LogState& log);
  Result<void> put_epochs(const std::vector<EpochRange>& epochs);
  Result<void> put_dropped(const std::vector<DroppedRange>& dropped);
  Result<void> load_accounts(Checkpoint& checkpoint);
  Result<void> put_accounts(const StoredCursor& cursor);
  Result<void> put_cursors(const std::vector<StoredCursor>& cursors);
  Result<void> put_counters(const std::map<std::string, std::uint64_t>& counters);

  SqliteDatabase database_;  // outlives its statements
  Statements statements_;
  std::unique_ptr<DeadLetterStore> dead_letters_;
  std::optional<std::string> notice_;
  std::optional<Checkpoint> saved_;  // what the file holds; nothing: not known, every row is written
};

Result<void> SqliteStateStore::open_dead_letters() {
  auto opened = DeadLetterStore::open(database_);
  if (!opened) return tl::unexpected(opened.error());
  dead_letters_ = std::move(*opened);
  return {};
}

Result<Checkpoint> SqliteStateStore::load() {
  Checkpoint checkpoint;
  auto loaded = load_log(checkpoint.log);
  if (loaded) loaded = load_dropped(checkpoint.log);
  if (loaded) loaded = load_cursors(checkpoint);
  if (loaded) loaded = load_accounts(checkpoint);
  if (loaded) {
    loaded = for_each_row(database_, "SELECT state FROM rules",
                          [&](SqliteStatement& row) { checkpoint.rules = row.bytes(0); });
  }
  if (loaded) {
    loaded = for_each_row(database_, "SELECT name, value FROM counters",
                          [&](SqliteStatement& row) { checkpoint.counters[row.bytes(0)] = row.number(1); });
  }
  if (!loaded) return tl::unexpected(loaded.error());
  saved_ = checkpoint;
  return checkpoint;
}

Result<void> SqliteStateStore::load_log(LogState& log) {
  auto loaded = for_each_row(database_, "SELECT log_id, epoch, clean FROM log", [&](SqliteStatement& row) {
    const std::string id = row.bytes(0);
    if (id.size() == log.log_id.size()) std::memcpy(log.log_id.data(), id.data(), id.size());
    log.epoch = static_cast<std::uint32_t>(row.number(1));
    log.clean = row.number(2) != 0;
  });
  if (!loaded) return loaded;
  loaded = for_each_row(database_, "SELECT stream, epoch, sequence FROM durable", [&](SqliteStatement& row) {
    const auto stream = stream_of(row.number(0));
    if (stream)
      log.durable[static_cast<std::size_t>(*stream)] = {static_cast<std::uint32_t>(row.number(1)), row.number(2)};
  });
  if (!loaded) return loaded;
  return for_each_row(
      database_, "SELECT stream, epoch, first, last FROM epochs ORDER BY stream, epoch", [&](SqliteStatement& row) {
        const auto stream = stream_of(row.number(0));
        if (!stream) return;
        log.epochs.push_back({*stream, static_cast<std::uint32_t>(row.number(1)), row.number(2), row.number(3)});
      });
}

Result<void> SqliteStateStore::load_dropped(LogState& log) {
  return for_each_row(database_, "SELECT * FROM dropped ORDER BY stream, first", [&](SqliteStatement& row) {
    const auto stream = stream_of(row.number(0));
    if (!stream || row.number(1) == 0 || row.number(3) < row.number(1)) return;
    const auto time = [&](int column) { return WallTime(Duration(static_cast<std::int64_t>(row.number(column)))); };
    log.dropped.push_back(
        {*stream, static_cast<std::uint32_t>(row.number(2)), row.number(1), row.number(3), time(4), time(5)});
  });
}

Result<void> SqliteStateStore::load_cursors(Checkpoint& checkpoint) {
  return for_each_row(database_, "SELECT * FROM cursors ORDER BY uplink, stream", [&](SqliteStatement& row) {
    const auto stream = stream_of(row.number(1));
    if (!stream) return;
    StoredCursor cursor;
    cursor.uplink = row.bytes(0);
    cursor.stream = *stream;
    cursor.acked_to = {static_cast<std::uint32_t>(row.number(2)), row.number(3)};
    cursor.passed_to = {static_cast<std::uint32_t>(row.number(4)), row.number(5)};
    cursor.delivered = row.number(6);
    cursor.filtered = row.number(7);
    cursor.dropped = row.number(8);
    checkpoint.cursors.push_back(std::move(cursor));
  });
}

Result<void> SqliteStateStore::load_accounts(Checkpoint& checkpoint) {
  return for_each_row(database_, "SELECT uplink, stream, name, value FROM accounts", [&](SqliteStatement& row) {
    const auto stream = stream_of(row.number(1));
    const auto cursor = std::find_if(
        checkpoint.cursors.begin(), checkpoint.cursors.end(),
        [&, uplink = row.bytes(0)](const auto& one) { return one.uplink == uplink && stream == one.stream; });
    if (cursor != checkpoint.cursors.end()) cursor->accounts[row.bytes(2)] = row.number(3);
  });
}

Result<void> SqliteStateStore::save(const Checkpoint& checkpoint) {
  auto saved = statements_.begin.run();
  if (!saved) return saved;
  saved = put_changes(checkpoint);
  if (saved) saved = statements_.commit.run();
  if (!saved) {
    (void)statements_.rollback.run();
    return saved;
  }
  saved_ = checkpoint;
  return {};
}

Result<void> SqliteStateStore::put_changes(const Checkpoint& checkpoint) {
  auto put = put_log(checkpoint.log);
  if (put) put = put_epochs(checkpoint.log.epochs);
  if (put) put = put_dropped(checkpoint.log.dropped);
  if (put) put = put_cursors(checkpoint.cursors);
  if (put && (!saved_ || saved_->rules != checkpoint.rules)) {
    put = statements_.put_rules.bind_blob(checkpoint.rules).run();
  }
  if (put) put = put_counters(checkpoint.counters);
  return put;
}

Result<void> SqliteStateStore::put_log(const LogState& log) {
  if (!saved_ || saved_->log.log_id != log.log_id || saved_->log.epoch != log.epoch || saved_->log.clean != log.clean) {
    const std::string_view id(reinterpret_cast<const char*>(log.log_id.data()), log.log_id.size());
    auto put = statements_.put_log.bind_blob(id).bind(log.epoch).bind(log.clean ? 1U : 0U).run();
    if (!put) return put;
  }
  for (std::size_t i = 0; i < kStreamCount; ++i) {
    if (saved_ && saved_->log.durable[i] == log.durable[i]) continue;
    auto put = statements_.put_durable.bind(i).bind(log.durable[i].epoch).bind(log.durable[i].sequence).run();
    if (!put) return put;
  }
  return {};
}

Result<void> SqliteStateStore::put_epochs(const std::vector<EpochRange>& epochs) {
  static const std::vector<EpochRange> kNone;
  const auto& before = saved_ ? saved_->log.epochs : kNone;
  if (!saved_) {
    if (auto cleared = database_.execute("DELETE FROM epochs"); !cleared) return cleared;
  }
  for (const EpochRange& range : before) {
    const bool kept = std::any_of(epochs.begin(), epochs.end(), [&](const EpochRange& one) {
      return one.stream == range.stream && one.epoch == range.epoch;
    });
    if (kept) continue;
    if (auto put = statements_.drop_epoch.bind(number_of(range.stream)).bind(range.epoch).run(); !put) return put;
  }
  for (const EpochRange& range : epochs) {
    const bool open = is_newest(range, epochs);
    const bool known = std::any_of(before.begin(), before.end(), [&](const EpochRange& one) {
      return one.stream == range.stream && one.epoch == range.epoch && one.first == range.first &&
             (open || (one.last == range.last && !is_newest(one, before)));
    });
    if (known) continue;
    auto put =
        statements_.put_epoch.bind(number_of(range.stream)).bind(range.epoch).bind(range.first).bind(range.last).run();
    if (!put) return put;
  }
  return {};
}

Result<void> SqliteStateStore::put_dropped(const std::vector<DroppedRange>& dropped) {
  if (saved_ && saved_->log.dropped == dropped) return {};
  if (auto cleared = statements_.drop_dropped.run(); !cleared) return cleared;
  for (const DroppedRange& range : dropped) {
    const auto nanoseconds = [](WallTime time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); };
    auto& put = statements_.put_dropped.bind(number_of(range.stream)).bind(range.first).bind(range.epoch);
    auto done = put.bind(range.last).bind(nanoseconds(range.from)).bind(nanoseconds(range.to)).run();
    if (!done) return done;
  }
  return {};
}

// A cursor that is not in the checkpoint any more stays: its uplink may be configured again.
Result<void> SqliteStateStore::put_cursors(const std::vector<StoredCursor>& cursors) {
  for (const StoredCursor& cursor : cursors) {
    const bool known = saved_ && std::any_of(saved_->cursors.begin(), saved_->cursors.end(),
                                             [&](const StoredCursor& one) { return same(one, cursor); });
    if (known) continue;
    auto& put = statements_.put_cursor.bind(std::string_view(cursor.uplink)).bind(number_of(cursor.stream));
    put.bind(cursor.acked_to.epoch).bind(cursor.acked_to.sequence);
    put.bind(cursor.passed_to.epoch).bind(cursor.passed_to.sequence);
    auto done = put.bind(cursor.delivered).bind(cursor.filtered).bind(cursor.dropped).run();
    if (done) done = put_accounts(cursor);
    if (!done) return done;
  }
  return {};
}

Result<void> SqliteStateStore::put_accounts(const StoredCursor& cursor) {
  const std::vector<StoredCursor> none;
  const auto& before = saved_ ? saved_->cursors : none;
  const auto known = std::find_if(before.begin(), before.end(), [&](const StoredCursor& one) {
    return one.uplink == cursor.uplink && one.stream == cursor.stream;
  });
  for (const auto& [name, value] : cursor.accounts) {
    if (known != before.end()) {
      const auto same_value = known->accounts.find(name);
      if (same_value != known->accounts.end() && same_value->second == value) continue;
    }
    auto& put = statements_.put_account.bind(std::string_view(cursor.uplink)).bind(number_of(cursor.stream));
    auto done = put.bind(std::string_view(name)).bind(value).run();
    if (!done) return done;
  }
  return {};
}

Result<void> SqliteStateStore::put_counters(const std::map<std::string, std::uint64_t>& counters) {
  for (const auto& [name, value] : counters) {
    if (saved_) {
      const auto known = saved_->counters.find(name);
      if (known != saved_->counters.end() && known->second == value) continue;
    }
    auto put = statements_.put_counter.bind(std::string_view(name)).bind(value).run();
    if (!put) return put;
  }
  return {};
}

// `corrupt` when the file cannot be used as it is.
Result<std::unique_ptr<StateStore>> open_at(const std::string& path, std::optional<std::string> notice) {
  auto database = SqliteDatabase::open(path);
  if (!database) return tl::unexpected(database.error());
  if (auto set = database->execute(kPragmas); !set) return tl::unexpected(set.error());
  auto check = database->query_text("PRAGMA quick_check(1)");
  if (!check) return tl::unexpected(check.error());
  if (*check != "ok") return fail(ErrorCode::corrupt, path + ": " + *check);
  auto version = database->query_number("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  if (*version > kSchemaVersion) {
    return fail(ErrorCode::corrupt,
                fmt::format("{}: of version {}, this program reads up to {}", path, *version, kSchemaVersion));
  }
  if (auto made = database->execute(kSchema); !made) return tl::unexpected(made.error());
  if (*version != kSchemaVersion) {
    if (auto set = database->execute(fmt::format("PRAGMA user_version = {}", kSchemaVersion)); !set) {
      return tl::unexpected(set.error());
    }
  }
  Statements statements;
  // A file whose tables are not what we made is not ours to write into.
  if (auto prepared = prepare_all(*database, statements); !prepared) return tl::unexpected(prepared.error());
  auto store = std::make_unique<SqliteStateStore>(std::move(*database), std::move(statements), std::move(notice));
  if (auto loaded = store->load(); !loaded) return tl::unexpected(loaded.error());
  if (auto opened = store->open_dead_letters(); !opened) return tl::unexpected(opened.error());
  return store;
}

// SQLite maps the index of its write-ahead log, a file that it makes by a byte in each 4 KiB. Where blocks are smaller
// the rest of these are holes, and who writes into one on a full disk is ended by SIGBUS.
Result<void> find_room_for_index(const std::string& path) {
  constexpr unsigned long kPageOfIndex = 4096;
  constexpr off_t kIndexBytes = 64 * 1024;
  struct statvfs disk {};
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (::statvfs(folder.c_str(), &disk) != 0 || disk.f_bsize >= kPageOfIndex) return {};
  const Descriptor fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));  // a name could be in the way
  const int problem = fd.is_open() ? ::posix_fallocate(fd.get(), 0, kIndexBytes) : errno;
  if (problem != ENOSPC && problem != EDQUOT) return {};
  return fail(ErrorCode::full, describe_errno("find room for the index of " + path, problem));
}

// Renames the file with its write-ahead log, which must never be applied to the next one.
Result<std::string> put_aside(const std::string& path) {
  std::error_code error;
  for (int i = 1; i < kDamagedNamesTried; ++i) {
    const std::string aside = fmt::format("{}.damaged-{}", path, i);
    if (std::filesystem::exists(std::filesystem::symlink_status(aside, error))) continue;
    std::filesystem::rename(path, aside, error);
    if (error) break;
    std::error_code ignored;
    std::filesystem::rename(path + "-wal", aside + "-wal", ignored);
    std::filesystem::remove(path + "-shm", ignored);
    return aside;
  }
  return fail(ErrorCode::invalid, fmt::format("{} is damaged and cannot be renamed: {}", path, error.message()));
}

// What is in the way of a database: damage, or something that is no file of its own.
bool is_unusable(const std::string& path, const Error& error) {
  if (error.code == ErrorCode::corrupt) return true;
  std::error_code ignored;
  const auto status = std::filesystem::symlink_status(path, ignored);
  return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
}

}  // namespace

Result<std::unique_ptr<StateStore>> StateStore::open(const std::string& path) {
  if (auto room = find_room_for_index(path); !room) return tl::unexpected(room.error());
  auto opened = open_at(path, std::nullopt);
  // A disk that fails to read once mostly reads the next time, and every cursor is in this file.
  for (int i = 1; i < kOpensTried && !opened && opened.error().code != ErrorCode::full; ++i) {
    opened = open_at(path, std::nullopt);
  }
  if (opened || !is_unusable(path, opened.error())) return opened;
  auto aside = put_aside(path);
  if (!aside) return tl::unexpected(aside.error());
  return open_at(path, fmt::format("the state database could not be used ({}): moved to {} and begun anew",
                                   opened.error().message, *aside));
}

}  // namespace tidegate::buffer
