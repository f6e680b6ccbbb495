// Makes the seeds of the corpus from logs and databases that the program itself writes: make_fuzz_corpus FOLDER
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "buffer/frame_scanner.h"
#include "buffer/ring_log.h"
#include "buffer/segment_rewriter.h"
#include "buffer/state_store.h"
#include "daemon/rules_state.h"
#include "drivers/mqtt_listener/session_journal_format.h"
#include "rules/saved_state.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/message_seeds.h"
#include "tests/fuzz/segment_image.h"
#include "tests/support/in_memory_file_system.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::fuzz {
namespace {

using buffer::RingLog;

void save(const std::string& path, const std::vector<std::uint8_t>& input) {
  testing::write_file(path, std::string(input.begin(), input.end()));
}

class SegmentSeeds {
 public:
  explicit SegmentSeeds(std::string folder) : folder_(std::move(folder)) {
    options_.directory = "log";
    options_.segment_bytes_max = kImageBytes;
    options_.size_max_bytes = {kImageBytes * 8, kImageBytes * 8, kImageBytes * 8};
    open();
  }

  // A log with every kind of value, several sections and epochs, and queue marks.
  void write() {
    for (int i = 0; i < 4; ++i) append_readings(i);
    open();  // not a clean stop: a new epoch
    append_readings(9);
    append_documents();
    for (const Stream stream : {Stream::readings, Stream::alarms, Stream::events}) take(stream);
  }

 private:
  void open() {
    log_.reset();
    tags_ = std::make_unique<TagRegistry>();
    auto opened = RingLog::open(disk_, clock_, *tags_, options_, known_);
    check(opened.has_value(), "a log in memory opens");
    log_ = std::move(*opened);
    known_ = log_->state();
  }
  FrameTimes now() {
    clock_.advance(std::chrono::milliseconds(250));
    return {clock_.wall_now(), clock_.boot_now(), clock_.quality()};
  }
  void sync() {
    while (auto job = log_->next_job(clock_.boot_now(), true)) {
      job->run();
      log_->finish(std::move(job));
    }
  }
  void append_readings(int round) {
    const std::vector<Value> values{
        std::monostate{}, true,    false, std::int64_t{-5},  std::uint64_t{70},
        21.5 + round,     1.0 / 3, 0.1F,  std::string("on"), std::numeric_limits<double>::infinity()};
    std::vector<Reading> readings;
    for (std::size_t i = 0; i < values.size() * 3; ++i) {
      Reading reading;
      reading.tag = tags_->intern("hall/sensor-" + std::to_string((i + static_cast<std::size_t>(round)) % 7));
      reading.time = clock_.wall_now() + std::chrono::milliseconds(i);
      reading.value = values[i % values.size()];
      readings.push_back(std::move(reading));
    }
    const std::vector<QueueMark> marks{{7, static_cast<std::uint64_t>(round) + 1}};
    check(log_->append(readings, now(), marks).has_value(), "appending works");
    sync();
  }
  void append_documents() {
    for (const Stream stream : {Stream::alarms, Stream::events}) {
      const std::vector<std::string> documents{
          R"({"event":"gap","stream":"readings","epoch":1,"first":3,"last":9,"count":7,"reason":"overflow"})",
          R"({"alarm":"high","tag":"hall/sensor-1","state":"raised"})"};
      check(log_->append(stream, documents, now()).has_value(), "appending works");
    }
    sync();
  }
  // The first segment of the stream, as it is and sealed.
  void take(Stream stream) {
    SegmentImage image;
    image.stream = stream;
    image.file = disk_.content(std::string("log/") + to_string(stream) + "/" + buffer::segment_name(1));
    image.file.resize(kImageBytes);
    save(folder_ + "/" + to_string(stream), pack_image(image, false));

    const auto header = buffer::read_segment_header(buffer::ByteSpan(image.file).first(buffer::kBlockBytes)).header;
    buffer::SegmentContent content;
    for (std::size_t at = buffer::kBlockBytes; at + buffer::kBlockBytes < kImageBytes; at += buffer::kFrameAlignment) {
      const auto frame = buffer::read_frame_header(image.file.data() + at, header.identity.seed());
      if (frame) content.add(*frame, at);
    }
    buffer::write_segment_footer(header.identity, content, image.file.data() + kImageBytes - buffer::kBlockBytes);
    save(folder_ + "/" + to_string(stream) + "-sealed", pack_image(image, true));
    rewrite(image, {header.identity, "log/sealed", "log/dense", kImageBytes, {content.first, content.end}, {}});
  }
  void rewrite(SegmentImage image, buffer::RewriteRequest request) {
    disk_.set_content(request.path, image.file);
    buffer::SegmentRewriter rewriter(disk_, *tags_, request);
    while (!rewriter.run_slice()) {
    }
    check(rewriter.outcome() == buffer::RewriteOutcome::written, "a sealed segment can be rewritten");
    image.file = disk_.content(request.dense_path);
    image.file.resize(kImageBytes);
    save(folder_ + "/" + to_string(image.stream) + "-dense", pack_image(image, false));
  }

  std::string folder_;
  testing::InMemoryFileSystem disk_;
  testing::ManualClock clock_;
  buffer::RingLogOptions options_;
  buffer::LogState known_;
  std::unique_ptr<TagRegistry> tags_;
  std::unique_ptr<RingLog> log_;
};

std::string rules_text() {
  rules::SavedState state;
  state.position = {3, 1234};
  rules::SavedAlarm alarm;
  alarm.tag = "hall/sensor-1";
  alarm.last_transition = {3, 1200};
  alarm.baseline = rules::Ewma::State{};
  state.rules.push_back({"hot", "threshold high 80", {alarm}});
  return rules::encode_state(state);
}

// Kind, length and content of each note: two clients, a message taken, released, taken again, a client forgotten.
void write_journal_seed(const std::string& folder) {
  std::string notes(1, '\5');
  const auto note = [&](drivers::NoteKind kind, std::initializer_list<std::pair<std::uint64_t, int>> numbers,
                        const std::string& text) {
    std::string content;
    for (const auto& [number, bytes] : numbers) drivers::append_le(content, number, bytes);
    content += text;
    notes += {static_cast<char>(kind), static_cast<char>(content.size())};
    notes += content;
  };
  note(drivers::NoteKind::session, {{1, 4}, {3600, 4}}, "pump");
  note(drivers::NoteKind::session, {{2, 4}, {60, 4}}, "fan");
  note(drivers::NoteKind::taken, {{1, 4}, {9, 2}, {150, 8}, {7, 8}}, "");
  note(drivers::NoteKind::taken, {{2, 4}, {9, 2}, {250, 8}, {7, 8}}, "");
  note(drivers::NoteKind::released, {{1, 4}, {9, 2}}, "");
  note(drivers::NoteKind::taken, {{1, 4}, {9, 2}, {151, 8}, {7, 8}}, "");
  note(drivers::NoteKind::forgotten, {{2, 4}}, "");
  testing::write_file(folder + "/journal", notes);
}

void write_state_seeds(const std::string& folder) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory / "state.db";
  const std::string rules = rules_text();
  buffer::Checkpoint checkpoint;
  checkpoint.log.epoch = 3;
  checkpoint.log.epochs = {{Stream::readings, 3, 1, 1234}};
  checkpoint.cursors = {{"cloud", Stream::readings, {3, 1200}, {3, 1200}, 1199, 0, 0}};
  checkpoint.rules = daemon::pack_rules({rules, {3, 1234}, {3, 7}});
  checkpoint.counters = {{"accepted/plant", 1234}};
  {
    auto store = buffer::StateStore::open(path);
    check(store && (*store)->save(checkpoint), "a fresh database can be saved to");
    testing::write_file(folder + "/wal", std::string(1, '\1') + testing::read_file(path + "-wal"));
  }
  testing::write_file(folder + "/database", std::string(1, '\0') + testing::read_file(path));
  testing::write_file(folder + "/rules", '\2' + rules.substr(rules.find("\"position\"")));
  testing::write_file(folder + "/packed", '\3' + checkpoint.rules);
  testing::write_file(
      folder + "/gap",
      "\4"
      R"({"event":"gap","stream":"readings","epoch":1,"first":3,"last":9,"count":7,"reason":"overflow"})");
  write_journal_seed(folder);
}

}  // namespace
}  // namespace tidegate::fuzz

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: make_fuzz_corpus FOLDER\n");
    return 64;
  }
  const std::string folder = arguments[1];
  for (const char* name : {"/mqtt", "/payload", "/segment", "/sparkplug", "/state"}) {
    std::filesystem::create_directories(folder + name);
  }
  tidegate::fuzz::SegmentSeeds(folder + "/segment").write();
  tidegate::fuzz::write_state_seeds(folder + "/state");
  tidegate::fuzz::write_message_seeds(folder);
}
