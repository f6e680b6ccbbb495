#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer/ring_log.h"
#include "core/clock.h"
#include "core/tag.h"
#include "daemon/config/config.h"
#include "daemon/part_swap.h"
#include "daemon/pipeline.h"
#include "daemon/reload_plan.h"
#include "daemon/service_manager.h"
#include "daemon/uplink_runner.h"

namespace tidegate::daemon {

/// What came of reading the configuration again.
struct ReloadAnswer {
  enum class Result : std::uint8_t {
    read,    // a preview: this is what a reload would do
    done,    // all of the plan that needs no restart is done
    wrong,   // the files are wrong, or do not go together with what waits for a restart: nothing was changed
    failed,  // something could not be started: `failure` says what, and what goes on instead
  };
  Result result = Result::read;
  std::string config_file;
  std::vector<Problem> problems;  // of the files; warnings, where they are right
  ReloadPlan plan;
  std::string failure;
};

/// Reads the configuration again and takes over what can be taken over while the gateway runs: all or nothing, and
/// without a touch to what has not changed. Core thread, which waits for the files.
class Reloader {
 public:
  struct Parts {
    Config* running = nullptr;  // taken forward by reloads
    Pipeline* pipeline = nullptr;
    PartSwap* swap = nullptr;
    const std::vector<std::unique_ptr<UplinkRunner>>* uplinks = nullptr;
    buffer::RingLog* log = nullptr;
    TagRegistry* tags = nullptr;
    const Clock* clock = nullptr;
    const ServiceManager* service = nullptr;
    std::function<void(const Config& wanted)> before_start;  // of what is new
    std::function<void()> after_turn;
  };
  using Done = std::function<void(const ReloadAnswer&)>;

  explicit Reloader(Parts parts) : parts_(std::move(parts)) {}

  /// What a reload would do now; changes nothing.
  ReloadAnswer preview() const;
  /// Does it, and says what came of it in the log, by an event, and to `done`, seconds later where something ends. Who
  /// asks while one is under way gets the answer of another one behind it.
  void reload(Done done);
  /// Does nothing more, whatever is under way.
  void stop();

  /// What the newest reload whose files were right has found that only a restart takes over, as ReloadPlan::waiting()
  /// says it.
  const std::vector<std::string>& waiting() const { return waiting_; }

 private:
  ReloadAnswer read(std::optional<Config>& wanted) const;
  void begin();
  void on_swapped(const PartSwap::Outcome& outcome);
  void take_over();
  void take_users();
  void read_files_anew();
  void drop_missing(const std::vector<MissingPart>& missing);
  void record_failure(const std::string& reason);
  void report_wrong();
  void report_failure(const PartSwap::Outcome& outcome);
  void report_done();
  void finish();

  const Parts parts_;
  std::vector<Done> asked_;         // for the one under way
  std::vector<Done> asked_behind_;  // for the next one
  std::optional<Config> wanted_;    // of the one under way
  ReloadAnswer answer_;
  std::vector<std::string> waiting_;
  bool is_stopped_ = false;
};

}  // namespace tidegate::daemon
