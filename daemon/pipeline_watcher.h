#pragma once

#include "core/record.h"
#include "rules/alarm.h"

namespace tidegate::daemon {

/// Is told of what the log has taken in, and of each transition of an alarm, while it watches. Core thread.
class PipelineWatcher {
 public:
  virtual ~PipelineWatcher() = default;
  virtual void on_readings(const RecordBatch& batch) = 0;
  virtual void on_alarm(const rules::AlarmTransition& transition) = 0;
};

}  // namespace tidegate::daemon
