#include <poll.h>
#include <simdjson.h>

#include <cstdint>
#include <deque>
#include <iostream>
#include <string>
#include <utility>

#include "buffer/inspect.h"
#include "core/file_system.h"
#include "core/parse_whole.h"
#include "daemon/admin/admin_client.h"
#include "daemon/admin/percent_encode.h"
#include "daemon/commands/ask.h"
#include "daemon/commands/read_range.h"
#include "daemon/record_json.h"

namespace tidegate::daemon {
namespace {

constexpr int kFollowPauseMilliseconds = 200;

/// Prints lines as they come; where only the last ones are wanted, those, when it is told that there are no more for
/// now.
class Lines {
 public:
  explicit Lines(std::uint64_t last) : last_(last) {}

  void add(std::string line) {
    if (last_ == 0) {
      std::cout << line << '\n';
      return;
    }
    if (kept_.size() == last_) {
      kept_.pop_front();
      note_left_out();
    }
    kept_.push_back(std::move(line));
  }
  void note_left_out() { has_left_out_ = true; }
  /// What comes from here on is printed as it comes.
  void at_end() {
    for (const std::string& line : kept_) std::cout << line << '\n';
    kept_.clear();
    std::cout.flush();
    if (has_left_out_) std::cerr << "the last " << last_ << "; --from oldest prints all that are there\n";
    has_left_out_ = false;
    last_ = 0;
  }

 private:
  std::uint64_t last_;
  std::deque<std::string> kept_;
  bool has_left_out_ = false;
};

// Adds the records of one answer; tells where the next one begins.
Result<void> take_answer(const std::string& answer, Lines& lines, std::string& next, bool& end) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::array records;
  std::string_view next_text;
  if (parser.parse(answer).get(root) != simdjson::SUCCESS || root["records"].get(records) != simdjson::SUCCESS ||
      root["next"].get(next_text) != simdjson::SUCCESS || root["end"].get(end) != simdjson::SUCCESS) {
    return fail(ErrorCode::corrupt, not_understood(answer));
  }
  next = std::string(next_text);
  for (const auto record : records) lines.add(simdjson::minify(record));
  std::cout.flush();
  return {};
}

// So many before the end, by their sequences, of which some may be gone; with a filter only going through all tells.
Result<std::string> begin_of_last(const AdminDoor& door, const TailOptions& options, Lines& lines) {
  if (!options.tag.empty()) return std::string("oldest");
  const auto answer = admin_get(door, "/api/v1/records?from=end&stream=" + options.stream);
  if (!answer) return tl::unexpected(answer.error());
  std::string next;
  bool end = false;
  if (auto taken = take_answer(*answer, lines, next, end); !taken) return tl::unexpected(taken.error());
  const auto sequence = parse_whole<std::uint64_t>(std::string_view(next).substr(next.find(':') + 1));
  if (!sequence) return fail(ErrorCode::corrupt, not_understood(*answer));
  if (*sequence <= options.last + 1) return std::string("oldest");
  lines.note_left_out();
  return std::to_string(*sequence - options.last);
}

int tail_daemon(const TailOptions& options) {
  const auto door = find_daemon(options.daemon);
  if (!door) return report_failure(door.error().message);
  Lines lines(options.last);
  std::string next = options.from.empty() ? (options.follow ? "end" : "oldest") : options.from;
  if (options.last > 0) {
    auto begin = begin_of_last(*door, options, lines);
    if (!begin) return report_failure(begin.error().message);
    next = std::move(*begin);
  }
  while (true) {
    std::string target = "/api/v1/records?stream=" + options.stream + "&from=" + percent_encode(next);
    if (!options.tag.empty()) target += "&tag=" + percent_encode(options.tag);
    const auto answer = admin_get(*door, target);
    if (!answer) return report_failure(answer.error().message);
    bool end = false;
    if (const auto taken = take_answer(*answer, lines, next, end); !taken) {
      return report_failure(taken.error().message);
    }
    if (end) lines.at_end();
    if (!std::cout) return kExitDone;  // the reader of our pipe is gone
    if (end && !options.follow) return kExitDone;
    if (end) ::poll(nullptr, 0, kFollowPauseMilliseconds);
  }
}

int tail_files(const TailOptions& options, const buffer::ReadRange& range) {
  PosixFileSystem files;
  TagRegistry tags;
  RecordJson json(tags);
  Lines lines(options.last);
  const auto visit = [&](const RecordBatch& batch) {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (!json.matches(batch, i, options.tag)) continue;
      std::string line;
      json.append(line, batch, i);
      lines.add(std::move(line));
    }
    return static_cast<bool>(std::cout);
  };
  const auto read = buffer::read_log(files, options.data_dir + "/log", tags, range, visit);
  lines.at_end();
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
  return tail_files(options, *range);
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
