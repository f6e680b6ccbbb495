#pragma once

#include <string>

#include "core/error.h"
#include "core/record.h"
#include "core/time.h"
#include "uplink/append_file.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// Writes the entries of batches as lines of text, a line an entry.
class RecordLines {
 public:
  virtual ~RecordLines() = default;

  /// Returns when the batch was sent. Error `give_up_item` when its payload is none; `into` may then have some lines.
  virtual Result<WallTime> append(std::string& into, const OutgoingBatch& batch) const = 0;
  /// Of a file that has lines of the stream.
  virtual LineForm form(Stream stream) const = 0;
};

}  // namespace tidegate::uplink
