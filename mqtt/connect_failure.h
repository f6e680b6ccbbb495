#pragma once

#include <string>

#include "mqtt/client.h"
#include "mqtt/packet.h"

namespace tidegate::mqtt {

class TlsChannel;

/// What is known about a connection that did not come about.
struct ConnectFailure {
  int code = 0;               // 1 to 5: the broker's return code of MQTT 3.1.1, section 3.2.2.3
  std::string message;        // what the network said
  std::string tls_complaint;  // what OpenSSL said; what the broker complains of begins with "broker: "
  bool is_end = false;        // the broker has ended the connection, in order and without a word
  bool is_after_tls = false;  // the handshake was through
};

/// That of a TLS connection that has failed with `problem`.
ConnectFailure failure_of_tls(const TlsChannel& tls, const std::string& problem);

/// The failure as a state of the link, in words, with what to check. Secrets do not appear.
LinkState explain(const ConnectFailure& failure, const BrokerOptions& broker);

/// What a CONNACK refuses with, likewise.
LinkState explain(const ConnackPacket& refusal, const BrokerOptions& broker);

/// What a broker of MQTT 5 ends a connection with.
LinkState explain(const DisconnectPacket& end, const BrokerOptions& broker);

/// Whether trying again soon is pointless, because somebody has to change something first.
bool needs_a_person(LinkProblem problem);

/// What keeps these options from being used at all, in words: files that cannot be read. Empty when nothing does.
std::string unusable_files(const BrokerOptions& broker);

}  // namespace tidegate::mqtt
