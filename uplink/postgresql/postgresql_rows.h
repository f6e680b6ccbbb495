#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "core/record.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// Writes the entries of batches as rows of COPY's text format, in the order of postgresql_columns(). Every value has a
/// column of its own kind, in which nothing of it is lost; what no column can hold (an integer beyond 63 bits, a text
/// with a NUL) leaves that column null, and the whole entry stands in `as_json`.
class PostgresqlRows {
 public:
  explicit PostgresqlRows(const std::string& gateway);

  /// Error `give_up_item` when the batch is none; `into` may then have some rows.
  Result<void> append(std::string& into, const OutgoingBatch& batch) const;

 private:
  const std::string gateway_;  // as a field, with the tab behind it
};

/// A field of COPY's text format.
void append_copy_text(std::string& out, std::string_view text);
/// "2025-10-09 08:53:20.000001+00", cut off to microseconds towards the past; for times of every year.
void append_timestamp(std::string& out, WallTime time);
/// Whether jsonb takes a JSON text: it has no U+0000 and no half of a surrogate pair.
bool fits_jsonb(std::string_view json);

}  // namespace tidegate::uplink
