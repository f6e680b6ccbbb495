#pragma once

#include <cstdint>
#include <string>

#include "mqtt/client.h"
#include "uplink/forwarder.h"

namespace tidegate::uplink {

/// What it means for a batch that a broker of MQTT 5 has refused.
struct MqttVerdict {
  BatchFailure failure;
  std::string trouble;  // in words, with what to do; empty where the failure says it, or nobody needs to do anything
};

/// A packet that is too large asks for smaller batches; that of one record, and a payload that the broker finds wrong,
/// are refusals of what is in the batch. All else is tried again, with pauses that grow, and told meanwhile. `records`
/// are the batch's.
MqttVerdict judge(const mqtt::PublishRefusal& refusal, const std::string& topic, std::uint32_t records);

}  // namespace tidegate::uplink
