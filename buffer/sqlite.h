#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tidegate::buffer {

/// One prepared statement. Values are bound and read by column, from 0; integers travel as their 64 bits.
class SqliteStatement {
 public:
  SqliteStatement() = default;
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}

  SqliteStatement& bind(std::uint64_t value);
  SqliteStatement& bind(std::string_view value);
  SqliteStatement& bind_blob(std::string_view value);
  /// Runs a statement that gives no rows, and makes it ready for the next use.
  Result<void> run();
  /// True while there is a row; makes the statement ready for the next use at the end.
  Result<bool> step();
  /// Makes it ready for the next use before it gave all of its rows.
  void end();
  std::uint64_t number(int column) const;
  std::string bytes(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bound_ = 0;
};

/// The only place that speaks to SQLite. Errors: `full` for no room, `corrupt` for a file that is damaged or none of
/// SQLite's, `retry` for the rest. One thread at a time.
class SqliteDatabase {
 public:
  static Result<SqliteDatabase> open(const std::string& path);

  Result<void> execute(const std::string& sql);
  Result<SqliteStatement> prepare(const std::string& sql);
  /// The one number that a query gives.
  Result<std::uint64_t> query_number(const std::string& sql);
  Result<std::string> query_text(const std::string& sql);
  /// Rows that the last statement which changes any has changed.
  std::uint64_t changes() const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace tidegate::buffer
