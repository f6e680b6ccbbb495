#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mqtt/client.h"
#include "uplink/transport.h"

namespace tidegate::uplink {

/// What makes the connection; mqtt::make_client, or a test's own.
using MqttClientFactory = std::function<std::unique_ptr<mqtt::Client>(
    mqtt::BrokerOptions, std::vector<mqtt::Subscription>, mqtt::ClientHandlers)>;

std::unique_ptr<Transport> make_mqtt_transport_over(const MqttClientFactory& make_client, MqttUplinkOptions options,
                                                    std::string gateway, TransportHandlers handlers);

}  // namespace tidegate::uplink
