#pragma once

// The table `subscribe` of drivers that take MQTT messages.

#include <string>
#include <utility>

#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "drivers/mqtt/options.h"

namespace tidegate::daemon {

/// Everything of the section but its name and where its values go.
void fill_subscribe_keys(Section& section);

/// `[[...subscribe]]` of an owner with a member `subscribe`.
template <class Owner>
Section subscribe_keys(std::string doc) {
  Section section = rows::list<Owner>("subscribe", &Owner::subscribe, std::move(doc));
  fill_subscribe_keys(section);
  return section;
}

/// Claims the tags that a subscription makes, as far as they are known beforehand.
void note_subscribed_tags(const std::string& driver, const drivers::MqttSubscribeOptions& subscribe,
                          const Scope& scope);

/// That what a driver with ack = "durable" waits for comes about.
void check_sync_beside_durable(const Scope& scope);

}  // namespace tidegate::daemon
