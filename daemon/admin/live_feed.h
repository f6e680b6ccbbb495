#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/index_set.h"
#include "core/reading.h"
#include "core/tag.h"
#include "daemon/admin/admin_server.h"
#include "daemon/admin/live_client.h"
#include "daemon/event_loop.h"
#include "daemon/pipeline_watcher.h"

namespace tidegate::daemon {

/// What LiveFeed tells of.
struct LiveSources {
  std::function<std::string()> status;                    // one JSON object
  std::function<const std::vector<Reading>&()> latest;    // by tag id, see Normaliser
  std::function<void(PipelineWatcher* watcher)> watch{};  // null: nobody
};

/// /api/v1/live: server-sent events `status`, `reading`, `alarm` and `missed` for a bounded number of clients. It
/// watches the pipeline and has a timer only while somebody listens. Core thread; loop, registry and sources outlive
/// it.
class LiveFeed final : public PipelineWatcher {
 public:
  LiveFeed(EventLoop& loop, const TagRegistry& tags, LiveSources sources);
  ~LiveFeed() override;

  /// `tag`: only readings of tags that this glob matches.
  void answer(const AdminRequest& request, const AdminRespond& respond);
  /// Ends all clients and takes no new ones.
  void end();
  /// What the timer does.
  void look();

  void on_readings(const RecordBatch& batch) override;
  void on_alarm(const rules::AlarmTransition& transition) override;

  static constexpr std::size_t kClientsMax = 16;
  static constexpr Duration kLookEvery = std::chrono::milliseconds(250);
  static constexpr std::uint64_t kLooksOfStatus = 4;      // a second
  static constexpr std::uint64_t kLooksOfHeartbeat = 60;  // 15 s

 private:
  void forget_gone();
  void arm();
  void rest();

  const TagRegistry& tags_;
  const LiveSources sources_;
  const std::unique_ptr<Timer> timer_;
  std::vector<std::weak_ptr<LiveClient>> clients_;  // the connections own them
  IndexSet changed_;                                // since the last look
  std::uint64_t looks_ = 0;
  bool is_watching_ = false;
  bool has_ended_ = false;
};

}  // namespace tidegate::daemon
