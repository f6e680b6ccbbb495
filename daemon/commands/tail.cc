#include <poll.h>
#include <simdjson.h>

#include <iostream>
#include <string>

#include "buffer/inspect.h"
#include "core/file_system.h"
#include "daemon/admin_client.h"
#include "daemon/commands/ask.h"
#include "daemon/commands/read_range.h"
#include "daemon/percent_encode.h"
#include "daemon/record_json.h"

namespace tidegate::daemon {
namespace {

constexpr int kFollowPauseMilliseconds = 200;

// Prints the records of one answer; tells where the next one begins.
Result<void> print_answer(const std::string& answer, std::string& next, bool& end) {
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
    std::cout << simdjson::minify(record) << '\n';
  }
  std::cout.flush();
  return {};
}

int tail_daemon(const TailOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  std::string next = options.from.empty() ? (options.follow ? "end" : "oldest") : options.from;
  while (true) {
    std::string target = "/api/v1/records?stream=" + options.stream + "&from=" + percent_encode(next);
    if (!options.tag.empty()) target += "&tag=" + percent_encode(options.tag);
    const auto answer = admin_get(*door, target);
    if (!answer) return report_failure(answer.error().message);
    bool end = false;
    if (const auto printed = print_answer(*answer, next, end); !printed) return report_failure(printed.error().message);
    if (!std::cout) return kExitDone;  // the reader of our pipe is gone
    if (end && !options.follow) return kExitDone;
    if (end) ::poll(nullptr, 0, kFollowPauseMilliseconds);
  }
}

int tail_files(const std::string& data_dir, const buffer::ReadRange& range, const std::string& tag) {
  PosixFileSystem files;
  TagRegistry tags;
  RecordJson json(tags);
  std::string lines;
  const auto visit = [&](const RecordBatch& batch) {
    lines.clear();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (!json.matches(batch, i, tag)) continue;
      json.append(lines, batch, i);
      lines += '\n';
    }
    std::cout << lines;
    return static_cast<bool>(std::cout);
  };
  const auto read = buffer::read_log(files, data_dir + "/log", tags, range, visit);
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
  const auto range = parse_read_range(*stream, options.from, options.to);
  if (!range) {
    report_failure(range.error().message);
    return kExitUsage;
  }
  if (options.data_dir.empty()) return tail_daemon(options);
  if (options.follow) {
    report_failure("--follow asks the running daemon and does not go with --data-dir");
    return kExitUsage;
  }
  return tail_files(options.data_dir, *range, options.tag);
}

int cat_log(const std::string& data_dir, const std::string& stream, const std::string& from, const std::string& to) {
  TailOptions options;
  options.data_dir = data_dir;
  options.from = from;
  options.to = to;
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
