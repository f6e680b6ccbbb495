#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "buffer/state_store.h"
#include "core/record.h"
#include "daemon/config_parts.h"
#include "daemon/start_marks.h"
#include "daemon/tag_writer.h"
#include "daemon/uplink_runner.h"
#include "drivers/driver.h"

namespace tidegate::daemon {

/// Makes drivers and uplinks of their settings, and knows what those of the same name before them have come to: how
/// many readings were accepted, and where uplinks are. What it is given outlives it. Core thread.
class PartMaker {
 public:
  struct Parts {
    const StartMarks* marks = nullptr;
    /// There before the first uplink is made.
    std::function<TagWriter&()> tag_writer;
    /// What every driver is given, as things are now.
    std::function<drivers::DriverContext()> driver_context;
    UplinkEnvironment uplinks;
    /// Does it on the core thread, where the gateway does not stop meanwhile.
    std::function<void(std::function<void()> action)> post;
  };

  PartMaker(Parts parts, const buffer::Checkpoint& saved);

  Result<std::unique_ptr<drivers::Driver>> make(const DriverSettings& settings) const;
  /// At the place where the last one of this name was; without one it begins at the oldest record kept.
  std::unique_ptr<UplinkRunner> make(const UplinkSettings& settings);

  /// Readings that drivers of this name have brought so far.
  std::uint64_t accepted(const std::string& driver) const;
  /// To be called before it is destroyed.
  void remember(const std::string& driver, std::uint64_t accepted) { accepted_[driver] = accepted; }
  void remember(const UplinkRunner& uplink);

 private:
  std::unique_ptr<uplink::Transport> make_transport(const uplink::MqttUplinkOptions& options,
                                                    uplink::TransportHandlers handlers);
  std::unique_ptr<uplink::Transport> make_transport(const uplink::KafkaUplinkOptions& options,
                                                    uplink::TransportHandlers handlers);
  std::unique_ptr<uplink::Transport> make_transport(const uplink::PostgresqlUplinkOptions& options,
                                                    uplink::TransportHandlers handlers);
  std::unique_ptr<uplink::Transport> make_transport(const uplink::HttpUplinkOptions& options,
                                                    uplink::TransportHandlers handlers);
  std::unique_ptr<uplink::Transport> make_transport(const uplink::FileUplinkOptions& options,
                                                    uplink::TransportHandlers handlers);
  std::unique_ptr<uplink::Transport> make_sparkplug_node(uplink::MqttUplinkOptions options,
                                                         uplink::TransportHandlers handlers);

  const Parts parts_;
  std::map<std::string, std::uint64_t> accepted_;                           // by driver
  std::map<std::pair<std::string, Stream>, buffer::StoredCursor> cursors_;  // by uplink
  std::map<std::string, std::uint64_t> nodes_;                              // Sparkplug nodes of this start, by uplink
};

}  // namespace tidegate::daemon
