// Fifty sensors that publish to the listener while the process is killed and the machine loses its power, on a disk
// that keeps any part of what was not synced. The listener has no sockets; log, pipeline, journal and sessions are the
// real ones. Each seed is several lives.
//   TIDEGATE_SEED=N build/release/bin/daemon_test --gtest_filter='ListenerPowerCut*'   repeats the seed N alone
//   TIDEGATE_LISTENER_SEEDS=N                                                          runs so many
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "buffer/ring_log.h"
#include "daemon/pipeline.h"
#include "tests/daemon/model_sensor.h"
#include "tests/support/in_memory_file_system.h"
#include "tests/support/manual_clock.h"
#include "tests/support/seed.h"

namespace tidegate::daemon {
namespace {

constexpr std::uint64_t kSeeds = tidegate::testing::of_many(400, 20);
constexpr int kSensors = 50;
constexpr int kStepsMax = 120;

using drivers::ListenerCore;
using drivers::SessionJournal;
using testing::ModelSensor;

/// What stands between pipeline and listener: MqttListener without its sockets.
class PassiveListener final : public drivers::Driver {
 public:
  PassiveListener(std::unique_ptr<ListenerCore> core, std::unique_ptr<SessionJournal> journal)
      : journal_(std::move(journal)), core_(std::move(core)) {
    core_->use_journal(*journal_);
  }
  const std::string& name() const override { return name_; }
  Result<void> start() override { return {}; }
  void stop() override {}
  bool collect(drivers::Intake& into) override { return core_->collect(into); }
  void settled() override { core_->settled(); }
  bool waits_for_durable() const override { return true; }
  void durable(std::uint64_t count) override { core_->durable(count); }
  void sync_own() override { journal_->sync(); }
  drivers::DriverStatus status() const override { return {}; }
  ListenerCore& core() { return *core_; }

 private:
  const std::string name_ = "direct";
  std::unique_ptr<SessionJournal> journal_;  // outlives the core
  std::unique_ptr<ListenerCore> core_;
};

class ListenerPowerCutTest : public ::testing::Test {
 protected:
  void begin(std::uint64_t seed) {
    random_.seed(seed);
    disk_.wipe();
    ASSERT_TRUE(disk_.make_directory("data"));
    known_ = {};
    next_number_ = 0;
    repeats_ = 0;
    sensors_.clear();
    for (int i = 0; i < kSensors; ++i) sensors_.emplace_back("s" + std::to_string(i), i % 2 == 0);
    start();
  }

  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }

  void start() {
    disk_.begin_process();
    tags_ = std::make_unique<TagRegistry>();
    buffer::RingLogOptions log_options;
    log_options.directory = "data/log";
    log_options.segment_bytes_max = std::uint64_t{64} * 1024;
    log_options.size_max_bytes.fill(std::uint64_t{64} << 20);
    auto log = buffer::RingLog::open(disk_, clock_, *tags_, log_options, known_);
    ASSERT_TRUE(log) << log.error().message;
    log_ = std::move(*log);
    known_ = log_->state();
    make_listener();
    for (ModelSensor& sensor : sensors_) sensor.connect(listener_->core(), options_.limits, clock_.boot_now());
  }

  void make_listener() {
    drivers::MqttDriverOptions messages;
    messages.name = options_.name = "direct";
    auto& subscribe = messages.subscribe.emplace_back();
    subscribe.topic = "{device}/{tag}";
    subscribe.payload = drivers::PayloadFormat::text;
    auto journal = SessionJournal::open(disk_, "data/sessions", "direct", log_->queue_marks());
    ASSERT_TRUE(journal) << journal.error().message;
    auto decoder = drivers::MessageDecoder::make(messages, *tags_);
    ASSERT_TRUE(decoder) << decoder.error().message;
    auto listener = std::make_unique<PassiveListener>(
        std::make_unique<ListenerCore>(options_, std::move(*decoder), nullptr, clock_, [] {}), std::move(*journal));
    listener_ = listener.get();
    pipeline_ = std::make_unique<Pipeline>(*log_, *tags_, clock_, BootId{1});
    pipeline_->add_driver(std::move(listener), 0);
  }

  void end_process() {
    for (ModelSensor& sensor : sensors_) sensor.lose_connection(listener_ == nullptr ? nullptr : &listener_->core());
    job_.reset();
    pipeline_.reset();
    listener_ = nullptr;
    log_.reset();
  }

  void step() {
    clock_.advance(std::chrono::milliseconds(below(100)));
    ModelSensor& sensor = sensors_[below(kSensors)];
    switch (below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        for (std::uint64_t i = below(12); i > 0; --i)
          sensor.publish(next_number_++, 1 + static_cast<int>(below(2)), clock_.boot_now());
        break;
      case 4:
      case 5:
        pipeline_->turn();
        break;
      case 6:
        begin_job();
        break;
      case 7:
        run_job();
        break;
      case 8:
        finish_job();
        break;
      case 9:
        for (ModelSensor& each : sensors_) each.hear(listener_->core().safe(), clock_.boot_now());
        break;
      case 10:
        sensor.lose_connection(&listener_->core());
        sensor.connect(listener_->core(), options_.limits, clock_.boot_now());
        break;
      default:
        listener_->core().tick(clock_.boot_now());
        if (below(4) == 0) known_ = log_->state();
    }
  }

  // As LogKeeper does it: what the driver keeps is synced before the job runs, and both while the core goes on.
  void begin_job() {
    if (!job_) job_ = log_->next_job(clock_.boot_now(), below(2) == 0);
    ran_ = false;
  }
  void run_job() {
    if (!job_ || ran_) return;
    listener_->sync_own();
    if (below(3) == 0) pipeline_->turn();
    job_->run();
    ran_ = true;
  }
  void finish_job() {
    run_job();
    if (!job_) return;
    log_->finish(std::move(job_));
    pipeline_->report_durable();
  }

  void kill_and_start() {
    end_process();
    start();
  }
  void cut_and_start() {
    if (below(2) == 0) begin_job();
    if (job_ && below(2) == 0) run_job();
    end_process();
    for (ModelSensor& sensor : sensors_) sensor.note_power_cut();
    disk_.power_cut(random_());
    start();
  }

  /// Everything that is under way comes to its end.
  void settle() {
    for (int round = 0; round < 1000; ++round) {
      while (pipeline_->turn()) continue;
      for (int i = 0; i < 20; ++i) {
        begin_job();
        finish_job();
      }
      bool is_idle = true;
      for (ModelSensor& sensor : sensors_) {
        sensor.hear(listener_->core().safe(), clock_.boot_now());
        is_idle = is_idle && sensor.is_idle();
      }
      if (is_idle) return;
      clock_.advance(std::chrono::milliseconds(300));
    }
    FAIL() << "sensors wait for acknowledgements for ever";
  }

  std::map<std::uint64_t, std::vector<std::string>> stored() {
    std::map<std::uint64_t, std::vector<std::string>> found;  // tags by number
    const auto reader = log_->disk_reader(Stream::readings);
    for (Position from{};;) {
      const auto outcome = reader->read(from);
      EXPECT_TRUE(outcome) << outcome.error().message;
      if (!outcome || outcome->status == buffer::ReadStatus::at_end) return found;
      from = outcome->next;
      if (!outcome->batch) continue;
      for (const Reading& reading : outcome->batch->readings) {
        found[std::stoull(std::get<std::string>(reading.value))].push_back(tags_->tag(reading.tag).path);
      }
    }
  }

  void check() {
    const auto found = stored();
    for (const ModelSensor& sensor : sensors_) {
      for (const auto& [number, sent] : sensor.sent()) {
        const auto at = found.find(number);
        const std::size_t times = at == found.end() ? 0 : at->second.size();
        const std::string which =
            sensor.name() + ", message " + std::to_string(number) + " of QoS " + std::to_string(sent.qos);
        ASSERT_TRUE(times > 0 || !sent.acknowledged) << which << " was acknowledged and is not in the log";
        for (std::size_t i = 0; i < times; ++i) ASSERT_EQ(at->second[i], sensor.name() + "/x") << which;
        if (sent.qos != 2 || times < 2) continue;
        ASSERT_TRUE(sent.open_at_power_cut) << which << " is in the log " << times << " times";
        ++repeats_;
      }
    }
  }

  void live(std::uint64_t seed) {
    begin(seed);
    for (std::uint64_t lives = 1 + below(5); lives > 0 && !HasFatalFailure(); --lives) {
      for (std::uint64_t steps = below(kStepsMax); steps > 0; --steps) step();
      below(2) == 0 ? kill_and_start() : cut_and_start();
      if (below(4) == 0) check();
    }
    if (HasFatalFailure()) return;
    settle();
    check();
    end_process();
  }

  testing::InMemoryFileSystem disk_;
  testing::ManualClock clock_;
  std::mt19937_64 random_;
  buffer::LogState known_;
  drivers::MqttListenerOptions options_;
  std::unique_ptr<TagRegistry> tags_;
  std::unique_ptr<buffer::RingLog> log_;
  std::unique_ptr<Pipeline> pipeline_;
  PassiveListener* listener_ = nullptr;  // of the pipeline
  std::unique_ptr<buffer::LogJob> job_;
  bool ran_ = false;
  std::vector<ModelSensor> sensors_;
  std::uint64_t next_number_ = 0;
  std::uint64_t repeats_ = 0;  // of messages of QoS 2 that were open when the power went
};

TEST_F(ListenerPowerCutTest, KeepsWhatItAcknowledged) {
  const char* const only = std::getenv("TIDEGATE_SEED");
  const std::uint64_t first = testing::from_environment("TIDEGATE_SEED", 1);
  const std::uint64_t count = only != nullptr ? 1 : testing::from_environment("TIDEGATE_LISTENER_SEEDS", kSeeds);
  std::uint64_t repeats = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("TIDEGATE_SEED=" + std::to_string(seed));
    live(seed);
    if (HasFailure()) return end_process();
    repeats += repeats_;
  }
  RecordProperty("repeats_after_power_cuts", std::to_string(repeats));
}

}  // namespace
}  // namespace tidegate::daemon
