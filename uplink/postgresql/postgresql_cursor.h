#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/time.h"
#include "uplink/postgresql/postgresql_connection.h"
#include "uplink/target_cursor.h"

namespace tidegate::uplink {

/// The row of an uplink in the table of cursors. Each connection that has claimed it has a session and a generation of
/// its own; a statement of an earlier one that comes late, or of a process that another one has followed, finds no row.
/// One thread, that of the connection.
class PostgresqlCursor {
 public:
  PostgresqlCursor(std::string table, const std::string& gateway, const std::string& uplink, std::string instance);

  struct Claim {
    std::optional<TargetCursor> found;  // as it stood there
    std::string successor{};            // the instance of a process that has claimed the row since we had
  };
  /// Reads the row back and makes it ours, in one transaction; waits for one of an earlier session that is under way.
  /// Where there is none, `beginning` is written. Where another process has claimed it since we had, it stays as it is.
  Result<Claim> claim(PostgresqlConnection& connection, const TargetCursor& beginning, BootTime deadline);

  /// The statement that moves it. Touches one row while it is ours.
  std::string move_statement(const TargetCursor& to) const;

 private:
  Result<std::uint64_t> write(PostgresqlConnection& connection, const std::string& statement, BootTime deadline) const;

  const std::string table_;
  const std::string gateway_;  // literals
  const std::string uplink_;
  const std::string where_;
  const std::string instance_;
  std::uint64_t sessions_ = 0;
  std::uint64_t generation_ = 0;  // of our newest claim
};

}  // namespace tidegate::uplink
