#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mqtt/client.h"

namespace tidegate::mqtt {

/// What a broker said to our subscriptions that is not as we asked; mostly nothing.
struct SubscribeAnswer {
  std::vector<std::string> refused;   // filters
  std::vector<std::string> unshared;  // that are shared, at a broker that shares none
  std::vector<std::string> lowered;   // that got less than the QoS asked for

  /// The code of a SUBACK for one of them: a QoS, or from 0x80 on a refusal.
  void note(const std::string& filter, int asked, int code);
};

/// The state of a link that is up and has this answer, in words; what is wrong with it is logged.
LinkState explain(const SubscribeAnswer& answer, const std::string& broker_uri);

}  // namespace tidegate::mqtt
