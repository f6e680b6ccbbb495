#pragma once

// Rows that several sections share.

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "daemon/config/rows.h"
#include "daemon/config/scope.h"
#include "daemon/config/tls_rows.h"
#include "daemon/config/values.h"
#include "mqtt/broker_options.h"

namespace tidegate::daemon {

/// How to reach a broker, for an owner with a member `broker`.
template <class Owner>
std::vector<Key> broker_keys(const std::string& client_id_default) {
  using namespace rows;
  using namespace std::chrono_literals;
  using mqtt::BrokerOptions;
  const auto of = [](auto member) {
    return [member](Owner & owner) -> auto& { return owner.broker.*member; };
  };
  return {
      parsed<Owner>("broker",
                    [](const std::string& text, Owner& owner) { return parse_broker_uri(text, owner.broker); })
          .required()
          .must_be("\"mqtt://HOST[:PORT]\" or \"mqtts://HOST[:PORT]\"")
          .example("\"mqtt://127.0.0.1:1883\"")
          .says("The broker; `mqtts` is MQTT over TLS. The port is 1883, with TLS 8883, when none is given."),
      text<Owner>("client_id", of(&BrokerOptions::client_id))
          .by_default_is(client_id_default)
          .example("\"tidegate-plant-7\"")
          .says("What this connection is to the broker, which keeps its session under this name. Two connections to a "
                "broker need two names."),
      text<Owner>("username", of(&BrokerOptions::username)).example("\"gateway\"").says("Login."),
      secret<Owner>("password", of(&BrokerOptions::password))
          .example("{ file = \"secret\" }")
          .says("Password of the login."),
      duration<Owner>("keep_alive", of(&BrokerOptions::keep_alive), 5s, 65535s)
          .by_default("20s")
          .says("How long the connection may be silent. A dead one is found in about one and a half times that."),
      duration<Owner>("connect_timeout", of(&BrokerOptions::connect_timeout), 1s, 5min)
          .by_default("10s")
          .says("How long one try to connect may take."),
      duration<Owner>("reconnect_most", of(&BrokerOptions::reconnect_most), 1s, 1h)
          .by_default("60s")
          .says("The longest pause between two tries to connect; the pauses grow and are spread at random."),
  };
}

/// The version of MQTT, for an owner with a member `broker`. The caller says which one is the default, and why.
template <class Owner>
Key protocol_key() {
  using mqtt::ProtocolVersion;
  return rows::choice<Owner, ProtocolVersion>("protocol", [](Owner & owner) -> auto& { return owner.broker.protocol; },
                                              {{"5", ProtocolVersion::v5}, {"3.1.1", ProtocolVersion::v3_1_1}})
      .example("\"3.1.1\"");
}

/// The table `tls`, which fills in what `access` gives of the owner.
template <class Owner, class Access>
Section tls_keys(Access access, std::string doc) {
  using namespace rows;
  Section section = table<Owner>("tls", access, std::move(doc));
  section.keys = tls_rows("broker");
  return section;
}

/// The table `tls`, for an owner with a member `broker`.
template <class Owner>
Section tls_keys() {
  return tls_keys<Owner>(
      [](Owner & owner) -> auto& { return owner.broker.tls; },
      "How the broker is checked and how we show who we are; only with `mqtts://`.");
}

/// Checks over the keys of broker_keys and tls_keys, and the default of client_id.
void finish_broker(mqtt::BrokerOptions& broker, const std::string& default_client_id, const Scope& scope);

}  // namespace tidegate::daemon
