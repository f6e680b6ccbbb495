#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/tag.h"
#include "daemon/checkpointer.h"
#include "daemon/config_parts.h"
#include "daemon/event_loop.h"
#include "daemon/log_keeper.h"
#include "daemon/part_maker.h"
#include "daemon/pipeline.h"
#include "daemon/reload_plan.h"
#include "daemon/replay.h"
#include "daemon/worker.h"

namespace tidegate::daemon {

/// A driver or an uplink that is not there any more.
struct MissingPart {
  std::string section;
  std::string name;
};

/// Exchanges drivers and uplinks of a running gateway. Those that end do so in order, while the rest goes on: uplinks
/// get `grace` for what is on its way, drivers are emptied into the log, and leave when what they owe their sources is
/// acknowledged. Only then, in one step on the core thread, are they destroyed and the new ones made and started. Where
/// one of those cannot be, all new ones go again and the old settings come back. Core thread; one exchange at a time.
class PartSwap {
 public:
  struct Parts {
    Pipeline* pipeline = nullptr;
    std::vector<std::unique_ptr<UplinkRunner>>* uplinks = nullptr;
    PartMaker* maker = nullptr;
    TagRegistry* tags = nullptr;
    TagWriter* tag_writer = nullptr;
    LogKeeper* keeper = nullptr;
    Checkpointer* checkpointer = nullptr;
    const Replay* replay = nullptr;
    EventLoop* loop = nullptr;
    const Clock* clock = nullptr;
  };
  struct Outcome {
    std::string failure;                        // why nothing came of it, with file and line; empty: it is done
    std::vector<std::string> disturbed{};       // then, by title: what had ended already, and was started again
    std::vector<MissingPart> missing{};         // of these, what could not even be started with its old settings
    std::map<std::string, std::string> left{};  // see left_behind()
  };
  using Done = std::function<void(const Outcome&)>;

  PartSwap(Parts parts, Duration grace);
  ~PartSwap();
  PartSwap(const PartSwap&) = delete;
  PartSwap& operator=(const PartSwap&) = delete;

  /// The configurations outlive the exchange. `done` is called on the loop, or at once where there is nothing to do.
  void run(const ReloadPlan& plan, const Config& running, const Config& wanted, Done done);
  /// Ends what is under way where it is, without a word to `done`: nothing is destroyed that was not yet.
  void cancel();

 private:
  Result<void> look_ahead() const;
  void end_uplinks();
  void end_drivers();
  bool are_drivers_through();
  bool has_to_wait() const;
  void save();
  void exchange();
  void destroy_leaving();
  Result<void> build(const Config& target, std::vector<MissingPart>* missing);
  Result<void> build_drivers(const Config& target, std::vector<MissingPart>* missing);
  Result<void> build_uplinks(const Config& target, std::vector<MissingPart>* missing);
  void remove_driver(const std::string& name);
  void remove_uplink(const std::string& name);
  void finish(const Outcome& outcome);

  const Parts parts_;
  const Duration grace_;
  std::unique_ptr<Timer> timer_;
  std::vector<std::unique_ptr<Worker>> stoppers_;  // one waits for each uplink that ends
  const ReloadPlan* plan_ = nullptr;
  const Config* running_ = nullptr;
  const Config* wanted_ = nullptr;
  Done done_;
  std::vector<std::string> leaving_drivers_;
  std::vector<std::string> leaving_uplinks_;
  std::size_t uplinks_ending_ = 0;
  BootTime told_at_{};  // when it was last said that this takes long
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tidegate::daemon
