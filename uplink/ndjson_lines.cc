#include "uplink/ndjson_lines.h"

#include "core/text.h"
#include "uplink/json_text.h"

namespace tidegate::uplink {

namespace {

// What every line begins with.
constexpr std::string_view kLineBeginning = "{\"gateway\":";

}  // namespace

NdjsonLines::NdjsonLines(const std::string& gateway) : gateway_member_(kLineBeginning) {
  append_json_string(gateway_member_, gateway);
}

// An entry begins with {"seq": and a line is that with what the batch says of all its entries before it. Events can
// have members of the same names, a gap tells of another stream and epoch: then the line's own are called after the
// log.
Result<WallTime> NdjsonLines::append(std::string& into, const OutgoingBatch& batch) const {
  const auto beginning = [&](const char* stream_name, const char* epoch_name) {
    std::string text =
        gateway_member_ + ",\"" + stream_name + "\":\"" + to_string(batch.stream) + "\",\"" + epoch_name + "\":";
    append_number(text, std::uint64_t{batch.epoch});
    return text + ',';
  };
  const std::string usual = beginning("stream", "epoch");
  return for_each_entry(*batch.payload, batch.stream, [&](std::string_view entry) {
    const bool is_event = batch.stream == Stream::events;
    const char* const stream_name = is_event && has_member(entry, "stream") ? "log_stream" : "stream";
    const char* const epoch_name = is_event && has_member(entry, "epoch") ? "log_epoch" : "epoch";
    into += is_event ? beginning(stream_name, epoch_name) : usual;
    const std::size_t own_gateway = is_event ? entry.find(',' + gateway_member_.substr(1)) : std::string_view::npos;
    into += entry.substr(1, own_gateway == std::string_view::npos ? own_gateway : own_gateway - 1);
    if (own_gateway != std::string_view::npos) into += entry.substr(own_gateway + gateway_member_.size());
    into += '\n';
  });
}

LineForm NdjsonLines::form(Stream) const { return {std::string(kLineBeginning)}; }

}  // namespace tidegate::uplink
