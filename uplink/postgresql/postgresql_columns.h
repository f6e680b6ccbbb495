#pragma once

#include <string>
#include <vector>

#include "core/record.h"

namespace tidegate::uplink {

/// A column that we fill in, and the types that keep all of what comes into it; the first is the one of a table that we
/// make.
struct PostgresqlColumn {
  std::string name;
  std::vector<std::string> types;  // as format_type() writes them
};
using PostgresqlColumns = std::vector<PostgresqlColumn>;

/// The columns of a stream's table, in the order in which rows are copied into it.
const PostgresqlColumns& postgresql_columns(Stream stream);
/// Members of an entry that have a text column of their own; they stand behind `time_ns`.
const std::vector<std::string>& postgresql_text_members(Stream stream);
/// The columns of the table of cursors.
const PostgresqlColumns& postgresql_cursor_columns();

}  // namespace tidegate::uplink
