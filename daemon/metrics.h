#pragma once

#include <string>

namespace tidegate::daemon {

class Gateway;

/// All metrics in Prometheus' text format 0.0.4. Core thread.
std::string render_metrics(const Gateway& gateway);

}  // namespace tidegate::daemon
