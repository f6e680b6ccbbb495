#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "uplink/mqtt_transport.h"
#include "uplink/transport.h"

namespace tidegate::uplink {

/// make_sparkplug_transport() over a connection of another make.
std::unique_ptr<Transport> make_sparkplug_transport_over(const MqttClientFactory& make_client,
                                                         MqttUplinkOptions options, std::string gateway,
                                                         std::uint64_t first_session, TransportHandlers handlers);

}  // namespace tidegate::uplink
