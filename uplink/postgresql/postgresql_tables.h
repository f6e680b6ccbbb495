#pragma once

#include <string>

#include "core/error.h"
#include "core/time.h"
#include "uplink/postgresql/postgresql_columns.h"
#include "uplink/postgresql/postgresql_connection.h"
#include "uplink/postgresql/postgresql_names.h"

namespace tidegate::uplink {

/// "CREATE TABLE IF NOT EXISTS ..."; `constraint` is empty or stands behind the columns.
std::string postgresql_create_table(const std::string& table, const PostgresqlColumns& columns,
                                    const std::string& constraint);

/// Whether each table is there, with columns that keep what comes into them, and may be written to; makes those that
/// are missing where `makes_missing`.
Result<void> prepare_postgresql_tables(PostgresqlConnection& connection, const PostgresqlTables& tables,
                                       bool makes_missing, BootTime deadline);

/// What is wrong with a table that is there, in words; empty when nothing is. `found` are its columns: name, type, and
/// "t" where we may insert into it.
std::string judge_postgresql_columns(const std::string& table, const PostgresqlColumns& wanted,
                                     const PostgresqlConnection::Rows& found);

}  // namespace tidegate::uplink
