#pragma once

#include <vector>

#include "core/clock.h"
#include "core/record.h"
#include "core/tag.h"
#include "daemon/pipeline.h"
#include "rules/options.h"

namespace tidegate::daemon {

/// Has the pipeline judge by these rules from `end`, the end of the readings, on. Unchanged rules keep their state. A
/// changed rule begins anew with its alarms still raised; those of a rule that is gone are cleared, because nothing
/// else ever would. Core thread.
void change_rules(const std::vector<rules::RuleOptions>& rules, Pipeline& pipeline, TagRegistry& tags,
                  const Clock& clock, Position end);

}  // namespace tidegate::daemon
