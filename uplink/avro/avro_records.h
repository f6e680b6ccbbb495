#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "uplink/avro/avro_schemas.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// Makes of a batch a message a record in the wire format of Confluent's schema registry: a zero byte, the id of the
/// stream's schema in four bytes, the highest first, and the record in Avro's binary encoding. One thread.
class AvroRecords {
 public:
  AvroRecords(std::string gateway, AvroSchemaIds ids);
  ~AvroRecords();

  /// `tag` is empty where the record has none.
  using Visit = std::function<bool(std::string_view tag, std::string_view message)>;

  /// Visits the messages in the order of the records, until `visit` returns false; both texts are gone when it returns.
  /// Error `give_up_item` when the batch is none.
  Result<void> for_each(const OutgoingBatch& batch, const Visit& visit);

 private:
  struct Workspace;

  const std::string gateway_;
  const AvroSchemaIds ids_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace tidegate::uplink
