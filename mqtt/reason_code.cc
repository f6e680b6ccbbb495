#include "mqtt/reason_code.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tidegate::mqtt {
namespace {

using Named = std::pair<ReasonCode, const char*>;

constexpr std::array kNames{
    Named{ReasonCode::success, "success"},
    Named{ReasonCode::granted_qos_1, "granted QoS 1"},
    Named{ReasonCode::granted_qos_2, "granted QoS 2"},
    Named{ReasonCode::disconnect_with_will, "disconnect with will message"},
    Named{ReasonCode::no_matching_subscribers, "no matching subscribers"},
    Named{ReasonCode::no_subscription_existed, "no subscription existed"},
    Named{ReasonCode::continue_authentication, "continue authentication"},
    Named{ReasonCode::reauthenticate, "re-authenticate"},
    Named{ReasonCode::unspecified_error, "unspecified error"},
    Named{ReasonCode::malformed_packet, "malformed packet"},
    Named{ReasonCode::protocol_error, "protocol error"},
    Named{ReasonCode::implementation_specific_error, "implementation specific error"},
    Named{ReasonCode::unsupported_protocol_version, "unsupported protocol version"},
    Named{ReasonCode::client_identifier_not_valid, "client identifier not valid"},
    Named{ReasonCode::bad_user_name_or_password, "bad user name or password"},
    Named{ReasonCode::not_authorized, "not authorized"},
    Named{ReasonCode::server_unavailable, "server unavailable"},
    Named{ReasonCode::server_busy, "server busy"},
    Named{ReasonCode::banned, "banned"},
    Named{ReasonCode::server_shutting_down, "server shutting down"},
    Named{ReasonCode::bad_authentication_method, "bad authentication method"},
    Named{ReasonCode::keep_alive_timeout, "keep alive timeout"},
    Named{ReasonCode::session_taken_over, "session taken over"},
    Named{ReasonCode::topic_filter_invalid, "topic filter invalid"},
    Named{ReasonCode::topic_name_invalid, "topic name invalid"},
    Named{ReasonCode::packet_identifier_in_use, "packet identifier in use"},
    Named{ReasonCode::packet_identifier_not_found, "packet identifier not found"},
    Named{ReasonCode::receive_maximum_exceeded, "receive maximum exceeded"},
    Named{ReasonCode::topic_alias_invalid, "topic alias invalid"},
    Named{ReasonCode::packet_too_large, "packet too large"},
    Named{ReasonCode::message_rate_too_high, "message rate too high"},
    Named{ReasonCode::quota_exceeded, "quota exceeded"},
    Named{ReasonCode::administrative_action, "administrative action"},
    Named{ReasonCode::payload_format_invalid, "payload format invalid"},
    Named{ReasonCode::retain_not_supported, "retain not supported"},
    Named{ReasonCode::qos_not_supported, "QoS not supported"},
    Named{ReasonCode::use_another_server, "use another server"},
    Named{ReasonCode::server_moved, "server moved"},
    Named{ReasonCode::shared_subscriptions_not_supported, "shared subscriptions not supported"},
    Named{ReasonCode::connection_rate_exceeded, "connection rate exceeded"},
    Named{ReasonCode::maximum_connect_time, "maximum connect time"},
    Named{ReasonCode::subscription_identifiers_not_supported, "subscription identifiers not supported"},
    Named{ReasonCode::wildcard_subscriptions_not_supported, "wildcard subscriptions not supported"},
};

}  // namespace

const char* to_string(ReasonCode reason) {
  const auto* const found =
      std::find_if(kNames.begin(), kNames.end(), [reason](const Named& named) { return named.first == reason; });
  return found == kNames.end() ? "unknown reason" : found->second;
}

std::uint8_t connack_code_v3(ReasonCode reason) {
  switch (reason) {
    case ReasonCode::success:
      return 0;
    case ReasonCode::unsupported_protocol_version:
      return 1;
    case ReasonCode::client_identifier_not_valid:
      return 2;
    case ReasonCode::bad_user_name_or_password:
    case ReasonCode::bad_authentication_method:
      return 4;
    case ReasonCode::not_authorized:
    case ReasonCode::banned:
      return 5;
    default:
      return 3;  // server unavailable
  }
}

ReasonCode connack_reason_of_v3(std::uint8_t code) {
  switch (code) {
    case 0:
      return ReasonCode::success;
    case 1:
      return ReasonCode::unsupported_protocol_version;
    case 2:
      return ReasonCode::client_identifier_not_valid;
    case 3:
      return ReasonCode::server_unavailable;
    case 4:
      return ReasonCode::bad_user_name_or_password;
    case 5:
      return ReasonCode::not_authorized;
    default:
      return ReasonCode::unspecified_error;
  }
}

}  // namespace tidegate::mqtt
