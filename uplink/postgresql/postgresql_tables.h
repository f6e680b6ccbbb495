#pragma once

#include <array>
#include <string>

#include "core/error.h"
#include "core/record.h"
#include "core/time.h"
#include "uplink/postgresql/postgresql_columns.h"
#include "uplink/postgresql/postgresql_connection.h"
#include "uplink/postgresql/postgresql_names.h"

namespace tidegate::uplink {

/// "CREATE TABLE IF NOT EXISTS ..."; `constraint` is empty or stands behind the columns.
std::string postgresql_create_table(const std::string& table, const PostgresqlColumns& columns,
                                    const std::string& constraint);

/// The triggers of each stream's table that may leave rows out: names in one line.
using PostgresqlTriggers = std::array<std::string, kStreamCount>;

/// Whether each table is there, one that keeps what is committed, with columns that lose nothing, and may be written
/// to; makes those that are missing where `makes_missing`.
Result<PostgresqlTriggers> prepare_postgresql_tables(PostgresqlConnection& connection, const PostgresqlTables& tables,
                                                     bool makes_missing, BootTime deadline);

/// What is wrong with a table that is there, in words; empty when nothing is. `found` are its columns: name, type, and
/// "t" where we may insert into it.
std::string judge_postgresql_columns(const std::string& table, const PostgresqlColumns& wanted,
                                     const PostgresqlConnection::Rows& found);

/// The same of how it is stored; `found` is of the row that the server has of it: kind, persistence, "t" where a part
/// of it is not logged, and "t" where a unique index is over gateway and uplink alone.
std::string judge_postgresql_storage(const std::string& table, bool is_cursors,
                                     const std::vector<PostgresqlConnection::Field>& found);

}  // namespace tidegate::uplink
