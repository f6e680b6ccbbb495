#include "daemon/config/keys.h"
#include "daemon/config/rows.h"
#include "daemon/config/scope.h"

namespace tidegate::daemon {
namespace {

using namespace std::chrono_literals;
using drivers::SimulatorOptions;

// More of them than this are not written out; rules are then not checked against them.
constexpr std::uint32_t kListedTagsMax = 10000;

void finish_simulator(SimulatorOptions& simulator, const Scope& scope) {
  if (!scope.has("name") || !scope.is_sound("name")) return;
  if (std::uint64_t{simulator.devices} * simulator.tags > kListedTagsMax) {
    scope.state().has_open_tags = true;
    return;
  }
  for (std::uint32_t device = 1; device <= simulator.devices; ++device) {
    for (std::uint32_t tag = 1; tag <= simulator.tags; ++tag) {
      scope.claim_tag(simulator.name + "-" + std::to_string(device) + "/tag-" + std::to_string(tag), simulator.name,
                      "name");
    }
  }
}

}  // namespace

Section simulator_keys() {
  using namespace rows;
  using Owner = SimulatorOptions;
  Section section = list<Config>("simulator", &Config::simulators,
                                 "Readings without devices: sine waves with noise, the same in every run.");
  section.keys = {
      driver_name_key<Owner>(),
      integer<Owner>("devices", &Owner::devices, 1, 1000)
          .by_default(1)
          .says("How many devices; they are named `NAME-1` and so on."),
      integer<Owner>("tags", &Owner::tags, 1, 1000)
          .by_default(1)
          .says("How many tags each device has; they are named `tag-1` and so on."),
      duration<Owner>("interval", &Owner::interval, 1ms, 24h).by_default("1s").says("How often each tag is read."),
  };
  section.finish = finish<Owner>(finish_simulator);
  return section;
}

Section driver_keys() {
  using namespace rows;
  Section section = table<Config>(
      "driver", [](Config & config) -> auto& { return config; }, "Where readings come from.");
  section.sections = {mqtt_driver_keys(), mqtt_listener_keys(), modbus_driver_keys(), simulator_keys()};
  for (Section& kind : section.sections) {
    kind.finish = [inner = kind.finish](void* self, const Scope& scope) {
      scope.claim_name("driver");
      inner(self, scope);
    };
  }
  return section;
}

}  // namespace tidegate::daemon
