#include "daemon/part_maker.h"

#include <algorithm>
#include <random>
#include <variant>

#include "drivers/modbus/modbus_driver.h"
#include "drivers/mqtt/mqtt_driver.h"
#include "drivers/mqtt_listener/mqtt_listener.h"
#include "drivers/mqtt_subscriber/mqtt_subscriber.h"
#include "drivers/simulator/simulator_driver.h"
#include "uplink/transport.h"

namespace tidegate::daemon {
namespace {

using MadeDriver = Result<std::unique_ptr<drivers::Driver>>;

constexpr std::string_view kAcceptedPrefix = "accepted/";  // of a counter of the checkpoint

MadeDriver make_driver(const drivers::MqttDriverOptions& options, drivers::DriverContext context) {
  return options.ack == drivers::MessageAck::durable ? drivers::make_mqtt_subscriber(options, std::move(context))
                                                     : drivers::make_mqtt_driver(options, std::move(context));
}
MadeDriver make_driver(const drivers::MqttListenerOptions& options, drivers::DriverContext context) {
  return drivers::make_mqtt_listener(options, std::move(context));
}
MadeDriver make_driver(const drivers::ModbusBusOptions& options, drivers::DriverContext context) {
  return drivers::make_modbus_driver(options, std::move(context));
}
MadeDriver make_driver(const drivers::SimulatorOptions& options, drivers::DriverContext context) {
  return drivers::make_simulator_driver(options, std::move(context));
}

// The bdSeq that a Sparkplug node begins with: from there it counts its connections. The last one of the node before
// it, of this start or the one before, has another number unless it had as many connections as lie between two of
// these.
std::uint64_t first_session(const StartMarks& marks, std::uint64_t nodes_before) {
  constexpr std::uint64_t kStartsApart = 101;
  constexpr std::uint64_t kNodesApart = 37;
  const auto& starts = marks.history.starts;
  const std::uint64_t first =
      starts.empty() ? std::random_device()() : uplink::number_of_start(starts.back()) * kStartsApart;
  return first + nodes_before * kNodesApart;
}

}  // namespace

PartMaker::PartMaker(Parts parts, const buffer::Checkpoint& saved) : parts_(std::move(parts)) {
  for (const auto& [name, count] : saved.counters) {
    if (name.starts_with(kAcceptedPrefix)) accepted_[name.substr(kAcceptedPrefix.size())] = count;
  }
  for (const auto& cursor : saved.cursors) cursors_[{cursor.uplink, cursor.stream}] = cursor;
}

MadeDriver PartMaker::make(const DriverSettings& settings) const {
  return std::visit([this](const auto* options) { return make_driver(*options, parts_.driver_context()); }, settings);
}

std::unique_ptr<UplinkRunner> PartMaker::make(const UplinkSettings& settings) {
  auto uplink = std::visit(
      [this](const auto* options) {
        return std::make_unique<UplinkRunner>(options->forwarder, parts_.uplinks,
                                              [this, options](uplink::TransportHandlers handlers) {
                                                return make_transport(*options, std::move(handlers));
                                              });
      },
      settings);
  const bool has_no_link = std::holds_alternative<const uplink::FileUplinkOptions*>(settings) ||
                           std::holds_alternative<const uplink::HttpUplinkOptions*>(settings);
  if (has_no_link) uplink->prove_by_batch();
  for (const Stream stream : uplink->forwarder().options().streams) {
    const auto cursor = cursors_.find({uplink->name(), stream});
    if (cursor != cursors_.end()) uplink->restore(cursor->second);
  }
  return uplink;
}

std::uint64_t PartMaker::accepted(const std::string& driver) const {
  const auto found = accepted_.find(driver);
  return found == accepted_.end() ? 0 : found->second;
}

void PartMaker::remember(const UplinkRunner& uplink) {
  for (const auto& cursor : uplink.cursors()) cursors_[{cursor.uplink, cursor.stream}] = cursor;
}

std::unique_ptr<uplink::Transport> PartMaker::make_transport(const uplink::MqttUplinkOptions& options,
                                                             uplink::TransportHandlers handlers) {
  if (options.format == uplink::MqttFormat::sparkplug) return make_sparkplug_node(options, std::move(handlers));
  return uplink::make_mqtt_transport(options, parts_.uplinks.gateway, std::move(handlers));
}

std::unique_ptr<uplink::Transport> PartMaker::make_transport(const uplink::KafkaUplinkOptions& options,
                                                             uplink::TransportHandlers handlers) {
  if (!options.exactly_once) {
    return uplink::make_kafka_transport(options, parts_.uplinks.gateway, std::move(handlers));
  }
  return uplink::make_kafka_exactly_once_transport(options, parts_.uplinks.gateway, parts_.marks->history,
                                                   std::move(handlers));
}

std::unique_ptr<uplink::Transport> PartMaker::make_transport(const uplink::PostgresqlUplinkOptions& options,
                                                             uplink::TransportHandlers handlers) {
  return uplink::make_postgresql_transport(options, parts_.uplinks.gateway, parts_.marks->history, std::move(handlers));
}

std::unique_ptr<uplink::Transport> PartMaker::make_transport(const uplink::HttpUplinkOptions& options,
                                                             uplink::TransportHandlers handlers) {
  return uplink::make_http_transport(options, parts_.uplinks.gateway, std::move(handlers));
}

std::unique_ptr<uplink::Transport> PartMaker::make_transport(const uplink::FileUplinkOptions& options,
                                                             uplink::TransportHandlers handlers) {
  return uplink::make_file_transport(options, parts_.uplinks.gateway, std::move(handlers));
}

std::unique_ptr<uplink::Transport> PartMaker::make_sparkplug_node(uplink::MqttUplinkOptions options,
                                                                  uplink::TransportHandlers handlers) {
  constexpr unsigned kAliasBits = 20;  // of one node: as many as there are tags
  const std::uint64_t session = first_session(*parts_.marks, nodes_[options.forwarder.name]++);
  if (options.sparkplug.commands) {
    TagWriter& writer = parts_.tag_writer();
    options.sparkplug.writable = writer.writable();
    options.sparkplug.first_alias = session << kAliasBits;
    handlers.write = writer.handler(parts_.post);
  }
  return uplink::make_sparkplug_transport(std::move(options), parts_.uplinks.gateway, session, std::move(handlers));
}

}  // namespace tidegate::daemon
