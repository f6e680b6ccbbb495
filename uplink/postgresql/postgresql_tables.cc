#include "uplink/postgresql/postgresql_tables.h"

#include <algorithm>

#include "uplink/postgresql/postgresql_names.h"

namespace tidegate::uplink {
namespace {

constexpr const char* kCursorKey = "PRIMARY KEY (gateway, uplink)";

std::string columns_query(const std::string& table) {
  return "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), "
         "pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT') FROM pg_catalog.pg_attribute a "
         "WHERE a.attrelid = pg_catalog.to_regclass(" +
         postgresql_literal(table) + ") AND a.attnum > 0 AND NOT a.attisdropped";
}

Result<void> prepare(PostgresqlConnection& connection, const std::string& table, const PostgresqlColumns& columns,
                     const std::string& creation, BootTime deadline) {
  auto found = connection.query(columns_query(table), deadline);
  if (found && found->empty() && !creation.empty()) {
    const auto made = connection.query(creation, deadline);
    if (!made) return fail(made.error().code, "table " + table + " cannot be made: " + made.error().message);
    found = connection.query(columns_query(table), deadline);
  }
  if (!found) return fail(found.error().code, "table " + table + ": " + found.error().message);
  if (found->empty()) {
    return fail(ErrorCode::invalid,
                "there is no table " + table + ": make it as docs/postgresql.md has it, or set create_tables = true");
  }
  const std::string wrong = judge_postgresql_columns(table, columns, *found);
  if (!wrong.empty()) return fail(ErrorCode::invalid, wrong);
  return {};
}

void add(std::string& list, const std::string& entry) { list += (list.empty() ? "" : ", ") + entry; }

}  // namespace

std::string postgresql_create_table(const std::string& table, const PostgresqlColumns& columns,
                                    const std::string& constraint) {
  std::string list;
  for (const PostgresqlColumn& column : columns) add(list, column.name + " " + column.types.front());
  if (!constraint.empty()) add(list, constraint);
  return "CREATE TABLE IF NOT EXISTS " + table + " (" + list + ")";
}

Result<void> prepare_postgresql_tables(PostgresqlConnection& connection, const PostgresqlTables& tables,
                                       bool makes_missing, BootTime deadline) {
  const auto creation = [&](const std::string& table, const PostgresqlColumns& columns, const char* constraint) {
    return makes_missing ? postgresql_create_table(table, columns, constraint) : "";
  };
  for (const Stream stream : kAllStreams) {
    const std::string& table = tables.of(stream);
    if (table.empty()) continue;
    const auto& columns = postgresql_columns(stream);
    if (auto done = prepare(connection, table, columns, creation(table, columns, ""), deadline); !done) return done;
  }
  const auto& columns = postgresql_cursor_columns();
  return prepare(connection, tables.cursors, columns, creation(tables.cursors, columns, kCursorKey), deadline);
}

std::string judge_postgresql_columns(const std::string& table, const PostgresqlColumns& wanted,
                                     const PostgresqlConnection::Rows& found) {
  std::string missing;
  std::string wrong;
  bool may_insert = true;
  for (const PostgresqlColumn& column : wanted) {
    const auto at = std::find_if(found.begin(), found.end(), [&](const auto& row) { return row[0] == column.name; });
    if (at == found.end()) {
      add(missing, column.name + " " + column.types.front());
      continue;
    }
    const std::string type = (*at)[1].value_or("");
    if (std::find(column.types.begin(), column.types.end(), type) == column.types.end()) {
      add(wrong, column.name + " is " + type + " and must be " + column.types.front());
    }
    may_insert = may_insert && (*at)[2] == "t";
  }
  if (!missing.empty()) return "table " + table + " lacks columns, add them: " + missing;
  if (!wrong.empty()) return "table " + table + " has columns that would not keep what comes: " + wrong;
  if (!may_insert) return "this user may not insert into the table " + table + ": GRANT INSERT ON it to the user";
  return "";
}

}  // namespace tidegate::uplink
