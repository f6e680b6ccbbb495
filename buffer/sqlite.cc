#include "buffer/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>

namespace tidegate::buffer {
namespace {

ErrorCode code_of(int result, int error_number) {
  if (error_number == ENOSPC || error_number == EDQUOT) return ErrorCode::full;
  // What cannot be read is as good as damaged, unless it can the next time.
  if (result == SQLITE_IOERR_READ || result == SQLITE_IOERR_SHORT_READ) return ErrorCode::corrupt;
  switch (result & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::full;
    case SQLITE_ERROR:  // of our own statements: the tables are not what we made
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return ErrorCode::corrupt;
    default:
      return ErrorCode::retry;
  }
}

// errno is that of the last system call that failed, whatever the error at hand is about.
bool is_about_the_system(int code) {
  const int kind = code & 0xff;
  return kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN || kind == SQLITE_FULL;
}

tl::unexpected<Error> fail_sqlite(sqlite3* database, const std::string& action) {
  const int code = database == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(database);
  const char* text = database == nullptr ? "out of memory" : sqlite3_errmsg(database);
  const int error_number = database != nullptr && is_about_the_system(code) ? sqlite3_system_errno(database) : 0;
  return fail(code_of(code, error_number), action + ": " + text + " (SQLite " + std::to_string(code) + ")");
}

std::string path_of(sqlite3* database) {
  const char* const path = database == nullptr ? nullptr : sqlite3_db_filename(database, "main");
  return path == nullptr || *path == '\0' ? "state database" : path;
}

// SQLite would make the file readable for everybody; its WAL takes over the mode of the file.
void make_private(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (fd >= 0) ::close(fd);
}

}  // namespace

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void SqliteDatabase::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

SqliteStatement& SqliteStatement::bind(std::uint64_t value) {
  sqlite3_bind_int64(statement_.get(), ++bound_, static_cast<sqlite3_int64>(value));
  return *this;
}

SqliteStatement& SqliteStatement::bind(std::string_view value) {
  sqlite3_bind_text64(statement_.get(), ++bound_, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

SqliteStatement& SqliteStatement::bind_blob(std::string_view value) {
  sqlite3_bind_blob64(statement_.get(), ++bound_, value.data(), value.size(), SQLITE_TRANSIENT);
  return *this;
}

Result<void> SqliteStatement::run() {
  auto row = step();
  if (!row) return tl::unexpected(row.error());
  if (*row) sqlite3_reset(statement_.get());
  return {};
}

void SqliteStatement::end() { sqlite3_reset(statement_.get()); }

Result<bool> SqliteStatement::step() {
  bound_ = 0;
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    return false;
  }
  auto error = fail_sqlite(sqlite3_db_handle(statement_.get()), path_of(sqlite3_db_handle(statement_.get())));
  sqlite3_reset(statement_.get());
  return error;
}

std::uint64_t SqliteStatement::number(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
}

std::string SqliteStatement::bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

Result<SqliteDatabase> SqliteDatabase::open(const std::string& path) {
  make_private(path);
  SqliteDatabase opened;
  sqlite3* database = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
  const int result = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
  opened.database_.reset(database);
  if (result != SQLITE_OK) return fail_sqlite(database, "open " + path);
  sqlite3_extended_result_codes(database, 1);
  sqlite3_busy_timeout(database, 1000);
  return opened;
}

Result<void> SqliteDatabase::execute(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return fail_sqlite(database_.get(), path_of(database_.get()));
}

Result<SqliteStatement> SqliteDatabase::prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(database_.get(), sql.c_str(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return fail_sqlite(database_.get(), path_of(database_.get()));
  return SqliteStatement(statement);
}

std::uint64_t SqliteDatabase::changes() const { return static_cast<std::uint64_t>(sqlite3_changes(database_.get())); }

Result<std::uint64_t> SqliteDatabase::query_number(const std::string& sql) {
  auto statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  auto row = statement->step();
  if (!row) return tl::unexpected(row.error());
  return *row ? statement->number(0) : 0;
}

Result<std::string> SqliteDatabase::query_text(const std::string& sql) {
  auto statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  auto row = statement->step();
  if (!row) return tl::unexpected(row.error());
  return *row ? statement->bytes(0) : std::string();
}

}  // namespace tidegate::buffer
