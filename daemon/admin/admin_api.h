#pragma once

#include <memory>
#include <string>

#include "daemon/admin/admin_server.h"
#include "daemon/admin/live_feed.h"

namespace tidegate::daemon {

class AdminRefusals;
class Gateway;

/// What the admin address answers: the status page, /healthz, /readyz, /metrics, /api/v1/status,
/// /api/v1/readings/latest, /api/v1/alarms, /api/v1/records, /api/v1/live, all of which only read; alarms_api.h,
/// reload_api.h, replay_api.h and dead_letters_api.h answer the rest. What it is given outlives it.
class AdminApi {
 public:
  AdminApi(Gateway& gateway, const AdminRefusals& refusals);
  void answer(const AdminRequest& request, const AdminRespond& respond);
  /// Ends answers that go on.
  void end() { live_.end(); }

 private:
  /// stream, from (see offset.h; default: the oldest), limit, tag (glob): {"records":[...],"next":"E:S","end":bool}.
  void answer_records(const AdminRequest& request, const AdminRespond& respond);

  Gateway& gateway_;
  const AdminRefusals& refusals_;
  LiveFeed live_;
};

}  // namespace tidegate::daemon
