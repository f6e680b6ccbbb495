#include "buffer/gap_record.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "core/parse_whole.h"

namespace tidegate::buffer {
namespace {

constexpr std::string_view kGapBegins = R"({"event":"gap",)";

// Only for documents that this file wrote: their fields are flat.
std::string_view field(std::string_view document, std::string_view name) {
  const std::string key = fmt::format("\"{}\":", name);
  const auto at = document.find(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = document.substr(at + key.size());
  return rest.substr(0, rest.find_first_of(",}"));
}

std::uint64_t number(std::string_view digits) { return parse_whole<std::uint64_t>(digits).value_or(0); }

WallTime time(std::string_view digits) {
  std::int64_t milliseconds = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), milliseconds);
  constexpr std::int64_t kMax = INT64_MAX / 1'000'000;
  return WallTime(std::chrono::milliseconds(std::clamp(milliseconds, -kMax, kMax)));
}

std::int64_t milliseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

std::vector<SequenceRange> without(SequenceRange range, std::span<const SequenceRange> holes) {
  std::vector<SequenceRange> left;
  for (const SequenceRange& hole : holes) {
    if (hole.end <= range.first) continue;
    if (hole.first >= range.end) break;
    if (hole.first > range.first) left.push_back({range.first, hole.first});
    range.first = std::min(hole.end, range.end);
  }
  if (!range.empty()) left.push_back(range);
  return left;
}

std::vector<std::string> gap_documents(Stream stream, const Loss& loss, const EpochTable& epochs, std::uint64_t end) {
  std::vector<std::string> documents;
  for (std::uint64_t first = loss.range.first; first < loss.range.end;) {
    const std::uint64_t last = std::min(epochs.last_of(first, std::max(end, loss.range.end)), loss.range.end - 1);
    const std::string fields =
        fmt::format(R"("stream":"{}","epoch":{},"first":{},"last":{},"count":{},"reason":"{}")", to_string(stream),
                    epochs.epoch_of(first), first, last, last - first + 1, loss.reason);
    documents.push_back(fmt::format(R"({}{},"time_from":{},"time_to":{}}})", kGapBegins, fields,
                                    milliseconds(loss.from), milliseconds(loss.to)));
    first = last + 1;
  }
  return documents;
}

std::optional<RecordedGap> parse_gap(std::string_view document) {
  if (!document.starts_with(kGapBegins)) return std::nullopt;
  std::string_view name = field(document, "stream");
  if (name.size() < 2) return std::nullopt;
  name = name.substr(1, name.size() - 2);
  const auto stream = parse_stream(name);
  const std::uint64_t first = number(field(document, "first"));
  const std::uint64_t last = number(field(document, "last"));
  if (!stream || first == 0 || last < first || last == UINT64_MAX) return std::nullopt;
  std::string_view reason = field(document, "reason");
  if (reason.size() >= 2) reason = reason.substr(1, reason.size() - 2);
  const bool is_of_one_uplink = !field(document, "uplink").empty();
  if (reason == "skipped" || is_of_one_uplink) return std::nullopt;
  return RecordedGap{*stream,
                     static_cast<std::uint32_t>(number(field(document, "epoch"))),
                     {first, last + 1},
                     std::string(reason),
                     time(field(document, "time_from")),
                     time(field(document, "time_to"))};
}

}  // namespace tidegate::buffer
