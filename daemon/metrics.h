#pragma once

#include <string>

namespace tidegate::daemon {

class AdminRefusals;
class Gateway;

/// All metrics in Prometheus' text format 0.0.4. Core thread.
std::string render_metrics(const Gateway& gateway, const AdminRefusals& refusals);

}  // namespace tidegate::daemon
