#include "uplink/postgresql/postgresql_tables.h"

#include <algorithm>
#include <utility>

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

// A part: a partition, a chunk of a hypertable, a table that inherits.
std::string storage_query(const std::string& table) {
  return "WITH RECURSIVE parts AS (SELECT oid, relpersistence FROM pg_catalog.pg_class WHERE oid = "
         "pg_catalog.to_regclass(" +
         postgresql_literal(table) +
         ") UNION ALL SELECT c.oid, c.relpersistence FROM parts JOIN pg_catalog.pg_inherits i ON i.inhparent = "
         "parts.oid JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid) "
         "SELECT c.relkind, c.relpersistence, EXISTS (SELECT FROM parts WHERE relpersistence <> 'p'), "
         "EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND "
         "i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 2 AND (SELECT count(*) FROM "
         "pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND a.attname IN "
         "('gateway', "
         "'uplink')) = 2), "
         "(SELECT string_agg(t.tgname, ', ' ORDER BY t.tgname) FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid "
         "AND "
         "NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 7 = 7) "  // BEFORE INSERT, FOR EACH ROW
         "FROM pg_catalog.pg_class c WHERE c.oid = (SELECT oid FROM parts LIMIT 1)";
}

using Rows = PostgresqlConnection::Rows;

Result<Rows> find_columns(PostgresqlConnection& connection, const std::string& table, const std::string& creation,
                          BootTime deadline) {
  auto found = connection.query(columns_query(table), deadline);
  if (found && found->empty() && !creation.empty()) {
    const auto made = connection.query(creation, deadline);
    if (!made) return fail(made.error().code, "table " + table + " cannot be made: " + made.error().message);
    found = connection.query(columns_query(table), deadline);
  }
  if (!found) return fail(found.error().code, "table " + table + ": " + found.error().message);
  if (!found->empty()) return found;
  return fail(ErrorCode::invalid,
              "there is no table " + table + ": make it as docs/postgresql.md has it, or set create_tables = true");
}

// Returns its triggers.
Result<std::string> prepare(PostgresqlConnection& connection, const std::string& table,
                            const PostgresqlColumns& columns, const std::string& creation, BootTime deadline) {
  const auto found = find_columns(connection, table, creation, deadline);
  if (!found) return tl::unexpected(found.error());
  std::string wrong = judge_postgresql_columns(table, columns, *found);
  if (!wrong.empty()) return fail(ErrorCode::invalid, wrong);
  const auto stored = connection.query(storage_query(table), deadline);
  if (!stored) return fail(stored.error().code, "table " + table + ": " + stored.error().message);
  if (stored->empty()) return fail(ErrorCode::retry, "table " + table + " has gone while it was looked at");
  wrong = judge_postgresql_storage(table, &columns == &postgresql_cursor_columns(), stored->front());
  if (!wrong.empty()) return fail(ErrorCode::invalid, wrong);
  return stored->front().back().value_or("");
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

Result<PostgresqlTriggers> prepare_postgresql_tables(PostgresqlConnection& connection, const PostgresqlTables& tables,
                                                     bool makes_missing, BootTime deadline) {
  const auto prepared = [&](const std::string& table, const PostgresqlColumns& columns, const char* constraint) {
    const std::string creation = makes_missing ? postgresql_create_table(table, columns, constraint) : "";
    return prepare(connection, table, columns, creation, deadline);
  };
  PostgresqlTriggers triggers;
  for (const Stream stream : kAllStreams) {
    if (tables.of(stream).empty()) continue;
    auto found = prepared(tables.of(stream), postgresql_columns(stream), "");
    if (!found) return tl::unexpected(found.error());
    triggers[static_cast<std::size_t>(stream)] = std::move(*found);
  }
  const auto cursors = prepared(tables.cursors, postgresql_cursor_columns(), kCursorKey);
  if (!cursors) return tl::unexpected(cursors.error());
  return triggers;
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

std::string judge_postgresql_storage(const std::string& table, bool is_cursors,
                                     const std::vector<PostgresqlConnection::Field>& found) {
  const auto has = [&](std::size_t index, const char* value) { return found[index] == value; };
  if (!has(0, "r") && !has(0, "p")) return "table " + table + " is a view or a foreign table and must be a table";
  if (has(1, "u") || has(1, "t")) {
    return "table " + table + " is " + (has(1, "u") ? "UNLOGGED" : "TEMPORARY") +
           ", so it would be empty after a crash of the server: ALTER TABLE " + table + " SET LOGGED, or make another";
  }
  if (has(2, "t")) return "table " + table + " has a partition that is UNLOGGED: set all of them LOGGED";
  if (is_cursors && !has(3, "t")) {
    return "table " + table + " has no unique index over gateway and uplink, add it: ALTER TABLE " + table +
           " ADD UNIQUE (gateway, uplink)";
  }
  return "";
}

}  // namespace tidegate::uplink
