#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/spare_room.h"
#include "uplink/forwarder.h"
#include "uplink/ndjson_lines.h"

namespace tidegate::uplink {

/// Makes of a batch a text a record, as a line of NDJSON without its end, each with its key: {tag} and {gateway} are
/// filled in, and a record of no tag has the gateway's id in its place. One thread.
class KeyedRecords {
 public:
  KeyedRecords(std::string gateway, std::string key_template);

  /// Visits the records in their order. Error `give_up_item` when the batch is none.
  Result<void> for_each(const OutgoingBatch& batch,
                        const std::function<void(const std::string& key, std::string_view record)>& visit);

 private:
  const std::string gateway_;
  const std::string key_template_;
  const NdjsonLines renderer_;
  ReusedText lines_;  // of a batch
};

}  // namespace tidegate::uplink
