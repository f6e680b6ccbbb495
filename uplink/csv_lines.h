#pragma once

#include <memory>
#include <string>

#include "core/error.h"
#include "uplink/record_lines.h"

namespace tidegate::uplink {

/// Writes the entries of batches as CSV by RFC 4180 (docs/batch-format.md): a line an entry, the columns by the stream.
/// Texts are always quoted, numbers and booleans never, and a column says which kind a value is of. What has no column
/// goes as JSON into the last one of alarms and events. One thread.
class CsvLines final : public RecordLines {
 public:
  /// `spreadsheet_safe`: an apostrophe goes before each text that a spreadsheet would take for a formula.
  CsvLines(std::string gateway, bool spreadsheet_safe);
  ~CsvLines() override;

  Result<WallTime> append(std::string& into, const OutgoingBatch& batch) const override;
  LineForm form(Stream stream) const override;

 private:
  struct Parser;

  static std::string beginning(Stream stream);

  const std::string gateway_;
  const bool spreadsheet_safe_;
  const std::unique_ptr<Parser> parser_;
};

}  // namespace tidegate::uplink
