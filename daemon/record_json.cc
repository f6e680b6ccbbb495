#include "daemon/record_json.h"

#include "core/text.h"
#include "uplink/json_text.h"

namespace tidegate::daemon {

void RecordJson::append(std::string& out, const RecordBatch& batch, std::size_t index) {
  entry_.clear();
  const std::uint64_t sequence = batch.first + index;
  if (batch.stream == Stream::readings) {
    encoder_.append_reading(entry_, sequence, batch.readings[index], batch.times);
  } else {
    encoder_.append_document(entry_, sequence, batch.documents[index]);
  }
  // A gap tells of an epoch of its own.
  const bool has_epoch = batch.stream == Stream::events && uplink::has_member(entry_, "epoch");
  out += has_epoch ? "{\"log_epoch\":" : "{\"epoch\":";
  append_number(out, std::uint64_t{batch.epoch});
  out += ',';
  out += std::string_view(entry_).substr(entry_.find('{') + 1);
}

bool RecordJson::matches(const RecordBatch& batch, std::size_t index, std::string_view tag_glob) const {
  if (tag_glob.empty()) return true;
  if (batch.stream == Stream::readings) return glob_matches(tag_glob, tags_.tag(batch.readings[index].tag).path);
  const auto tag = uplink::find_text_member(batch.documents[index], "tag");
  return tag && glob_matches(tag_glob, *tag);
}

}  // namespace tidegate::daemon
