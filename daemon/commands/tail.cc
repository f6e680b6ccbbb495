#include <poll.h>
#include <simdjson.h>

#include <iostream>
#include <optional>
#include <string>

#include "buffer/inspect.h"
#include "core/clock.h"
#include "core/file_system.h"
#include "daemon/admin_server.h"
#include "daemon/commands/ask.h"
#include "daemon/offset.h"
#include "daemon/record_json.h"

namespace tidegate::daemon {
namespace {

constexpr int kFollowPauseMilliseconds = 200;

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_' || c == ':' || c == '/') {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 0xfU];
    }
  }
  return encoded;
}

// Prints the records of one answer that are not before `since`; tells where the next one begins.
Result<void> print_answer(const std::string& answer, std::optional<WallTime> since, std::string& next, bool& end) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::array records;
  std::string_view next_text;
  if (parser.parse(answer).get(root) != simdjson::SUCCESS || root["records"].get(records) != simdjson::SUCCESS ||
      root["next"].get(next_text) != simdjson::SUCCESS || root["end"].get(end) != simdjson::SUCCESS) {
    return fail(ErrorCode::corrupt, "the daemon's answer is not what this version understands");
  }
  next = std::string(next_text);
  for (const auto record : records) {
    std::int64_t milliseconds = 0;
    const bool timed = record["time"].get(milliseconds) == simdjson::SUCCESS;
    if (since && timed && WallTime(std::chrono::milliseconds(milliseconds)) < *since) continue;
    std::cout << simdjson::minify(record) << '\n';
  }
  std::cout.flush();
  return {};
}

int tail_daemon(const TailOptions& options, const Offset& from) {
  const auto address = find_daemon(options.daemon);
  if (!address) return report_failure(address.error().message);
  std::string next = options.follow && options.from.empty() ? "end" : "";
  if (from.position) next = format_position(*from.position);
  if (from.sequence) next = std::to_string(*from.sequence);
  while (true) {
    std::string target = "/api/v1/records?stream=" + options.stream + "&from=" + next;
    if (!options.tag.empty()) target += "&tag=" + percent_encode(options.tag);
    const auto answer = admin_get(*address, target);
    if (!answer) return report_failure(answer.error().message);
    bool end = false;
    if (const auto printed = print_answer(*answer, from.time, next, end); !printed) {
      return report_failure(printed.error().message);
    }
    if (!std::cout) return kExitDone;  // the reader of our pipe is gone
    if (end && !options.follow) return kExitDone;
    if (end) ::poll(nullptr, 0, kFollowPauseMilliseconds);
  }
}

bool is_before(const RecordBatch& batch, std::size_t index, WallTime since) {
  const WallTime time = batch.stream == Stream::readings ? batch.readings[index].time : batch.times.wall;
  return time < since;
}

int tail_files(const std::string& data_dir, Stream stream, const Offset& from, const std::string& tag) {
  PosixFileSystem files;
  TagRegistry tags;
  RecordJson json(tags);
  std::string line;
  const Position begin = from.position.value_or(Position{});
  const auto visit = [&](const RecordBatch& batch) {
    line.clear();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (from.sequence && batch.first + i < *from.sequence) continue;
      if (from.position && Position{batch.epoch, batch.first + i} < *from.position) continue;
      if (from.time && is_before(batch, i, *from.time)) continue;
      if (!json.matches(batch, i, tag)) continue;
      json.append(line, batch, i);
      line += '\n';
    }
    std::cout << line;
    return static_cast<bool>(std::cout);
  };
  const auto read = buffer::read_log(files, data_dir + "/log", tags, stream, begin, visit);
  if (!read) return report_failure(read.error().message);
  return kExitDone;
}

}  // namespace

int tail_records(const TailOptions& options) {
  const auto stream = parse_stream(options.stream);
  if (!stream) {
    report_failure("stream \"" + options.stream + "\": allowed are readings, alarms, events");
    return kExitUsage;
  }
  Offset from;
  if (!options.from.empty()) {
    const auto parsed = parse_offset(options.from);
    if (!parsed) {
      report_failure(parsed.error().message);
      return kExitUsage;
    }
    from = *parsed;
  }
  if (options.data_dir.empty()) return tail_daemon(options, from);
  if (options.follow) {
    report_failure("--follow asks the running daemon and does not go with --data-dir");
    return kExitUsage;
  }
  return tail_files(options.data_dir, *stream, from, options.tag);
}

int cat_log(const std::string& data_dir, const std::string& stream, const std::string& from) {
  TailOptions options;
  options.data_dir = data_dir;
  options.from = from;
  if (!stream.empty()) {
    options.stream = stream;
    return tail_records(options);
  }
  int worst = kExitDone;
  for (const Stream each : kAllStreams) {
    options.stream = to_string(each);
    if (const int code = tail_records(options); code != kExitDone) worst = code;
  }
  return worst;
}

}  // namespace tidegate::daemon
