#pragma once

#include <memory>
#include <string>

#include "daemon/admin_server.h"

namespace tidegate::daemon {

class Gateway;

/// What the admin address answers: /healthz, /readyz, /metrics, /api/v1/status, /api/v1/readings/latest,
/// /api/v1/alarms, /api/v1/records, all of which only read; replay_api.h and dead_letters_api.h answer the rest. The
/// gateway outlives it.
class AdminApi {
 public:
  explicit AdminApi(Gateway& gateway) : gateway_(gateway) {}
  void answer(const AdminRequest& request, const AdminRespond& respond);

 private:
  /// stream, from (see offset.h; default: the oldest), limit, tag (glob): {"records":[...],"next":"E:S","end":bool}.
  void answer_records(const AdminRequest& request, const AdminRespond& respond);

  Gateway& gateway_;
};

}  // namespace tidegate::daemon
