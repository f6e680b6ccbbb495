#include "uplink/json_text.h"

#include <simdjson.h>

#include <chrono>

namespace tidegate::uplink {
namespace {

namespace ondemand = simdjson::ondemand;

simdjson::error_code visit_entries(ondemand::object& batch, Stream stream, std::int64_t& sent,
                                   const std::function<void(std::string_view)>& visit) {
  if (const auto error = batch["sent"].get_int64().get(sent)) return error;
  ondemand::array entries;
  if (const auto error = batch[to_string(stream)].get_array().get(entries)) return error;
  for (auto element : entries) {
    ondemand::object entry;
    if (const auto error = element.get_object().get(entry)) return error;
    std::string_view text;
    if (const auto error = entry.raw_json().get(text)) return error;
    visit(text);
  }
  return simdjson::SUCCESS;
}

}  // namespace

struct TextMemberFinder::Workspace {
  std::string document;  // with the padding that the parser wants
  ondemand::parser parser;
};

TextMemberFinder::TextMemberFinder() : workspace_(std::make_unique<Workspace>()) {}
TextMemberFinder::~TextMemberFinder() = default;

std::optional<std::string_view> TextMemberFinder::find(std::string_view document, std::string_view name) {
  std::string& padded = workspace_->document;
  padded.assign(document).append(simdjson::SIMDJSON_PADDING, ' ');
  ondemand::document parsed;
  std::string_view text;
  const auto error = workspace_->parser.iterate(padded.data(), document.size(), padded.size()).get(parsed);
  if (error != simdjson::SUCCESS || parsed[name].get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
  return text;
}

std::optional<std::string> find_text_member(std::string_view document, std::string_view name) {
  TextMemberFinder finder;
  const auto found = finder.find(document, name);
  return found ? std::optional<std::string>(*found) : std::nullopt;
}

bool has_member(std::string_view document, std::string_view name) {
  const simdjson::padded_string padded(document);
  ondemand::parser parser;
  ondemand::document parsed;
  ondemand::value member;
  return parser.iterate(padded).get(parsed) == simdjson::SUCCESS && parsed[name].get(member) == simdjson::SUCCESS;
}

tl::unexpected<Error> no_batch(Stream stream, std::string_view why) {
  const std::string name = to_string(stream);
  return fail(ErrorCode::give_up_item, "payload of stream " + name + " is no batch: " + std::string(why) +
                                           "; it needs \"sent\" and an array of objects \"" + name + "\"");
}

Result<WallTime> for_each_entry(std::string_view payload, Stream stream,
                                const std::function<void(std::string_view)>& visit) {
  const simdjson::padded_string padded(payload);
  ondemand::parser parser;
  ondemand::document parsed;
  ondemand::object batch;
  std::int64_t sent = 0;
  auto error = parser.iterate(padded).get(parsed);
  if (!error) error = parsed.get_object().get(batch);
  if (!error) error = visit_entries(batch, stream, sent, visit);
  if (error) return no_batch(stream, simdjson::error_message(error));
  return WallTime(std::chrono::milliseconds(sent));
}

}  // namespace tidegate::uplink
