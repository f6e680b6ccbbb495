#include "tests/uplink/parsed_batch.h"

#include <simdjson.h>

namespace tidegate::uplink::testing {
namespace {

namespace dom = simdjson::dom;

template <class T>
void read(const dom::element& object, const char* name, T& into, std::string& problem) {
  std::uint64_t number = 0;
  if (object[name].get(number) != simdjson::SUCCESS && problem.empty()) problem = std::string("no number ") + name;
  into = static_cast<T>(number);
}

std::string read_text(const dom::element& object, const char* name) {
  std::string_view text;
  return object[name].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

void read_entry(const dom::element& element, ParsedBatch& batch) {
  ParsedEntry entry;
  read(element, "seq", entry.sequence, batch.problem);
  entry.tag = read_text(element, "tag");
  if (element["value"].get(entry.value) != simdjson::SUCCESS) entry.value = -1;
  const bool rises = batch.entries.empty() || entry.sequence > batch.entries.back().sequence;
  if (!rises && batch.problem.empty()) batch.problem = "seq does not rise";
  if ((entry.sequence < batch.from || entry.sequence > batch.to) && batch.problem.empty())
    batch.problem = "seq outside";
  batch.entries.push_back(std::move(entry));
}

void read_head(const dom::element& root, ParsedBatch& batch) {
  std::uint64_t version = 0;
  read(root, "v", version, batch.problem);
  if (version != 1) batch.problem = "version is not 1";
  batch.gateway = read_text(root, "gateway");
  batch.lane = read_text(root, "lane");
  read(root, "epoch", batch.epoch, batch.problem);
  read(root, "from", batch.from, batch.problem);
  read(root, "to", batch.to, batch.problem);
  read(root, "count", batch.count, batch.problem);
  read(root, "sent", batch.sent, batch.problem);
  if (root["historical"].get(batch.historical) != simdjson::SUCCESS) batch.problem = "no historical";
  const bool is_known = batch.lane == "live" || (batch.lane == "backlog" && batch.historical);
  if (!is_known) batch.problem = "lane " + batch.lane;
  if (root["replay"].get(batch.replay) == simdjson::SUCCESS && !batch.replay) batch.problem = "replay is not true";
  batch.beside = read_text(root, "beside");
  dom::element skipped;
  if (root["skipped"].get(skipped) == simdjson::SUCCESS) {
    batch.skipped.emplace();
    read(skipped, "epoch", batch.skipped->epoch, batch.problem);
    read(skipped, "from", batch.skipped->from, batch.problem);
    read(skipped, "to", batch.skipped->to, batch.problem);
  }
  dom::element prev;
  if (root["prev"].get(prev) != simdjson::SUCCESS) return;
  batch.prev.emplace();
  read(prev, "epoch", batch.prev->epoch, batch.problem);
  read(prev, "to", batch.prev->to, batch.problem);
}

}  // namespace

ParsedBatch parse_batch(const std::string& payload) {
  static dom::parser parser;
  ParsedBatch batch;
  dom::element root;
  if (const auto error = parser.parse(payload).get(root)) {
    batch.problem = std::string("no JSON: ") + simdjson::error_message(error);
    return batch;
  }
  read_head(root, batch);
  const std::string stream = read_text(root, "stream");
  const auto known = parse_stream(stream);
  if (!known) batch.problem = "stream " + stream;
  batch.stream = known.value_or(Stream::readings);
  dom::array entries;
  if (root[stream].get(entries) != simdjson::SUCCESS) batch.problem = "no array " + stream;
  for (const dom::element element : entries) read_entry(element, batch);
  if (batch.entries.size() != batch.count && batch.problem.empty()) batch.problem = "count is wrong";
  if (batch.from > batch.to && batch.problem.empty()) batch.problem = "from is behind to";
  batch.entries_text = payload.substr(payload.find("\":[") + 2);
  return batch;
}

}  // namespace tidegate::uplink::testing
