#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace tidegate::mqtt {

/// Properties of MQTT 5 (section 2.2.2.2), by the identifier that stands in the packet.
enum class PropertyId : std::uint8_t {
  payload_format_indicator = 0x01,
  message_expiry_interval = 0x02,
  content_type = 0x03,
  response_topic = 0x08,
  correlation_data = 0x09,
  subscription_identifier = 0x0b,
  session_expiry_interval = 0x11,
  assigned_client_identifier = 0x12,
  server_keep_alive = 0x13,
  authentication_method = 0x15,
  authentication_data = 0x16,
  request_problem_information = 0x17,
  will_delay_interval = 0x18,
  request_response_information = 0x19,
  response_information = 0x1a,
  server_reference = 0x1c,
  reason_string = 0x1f,
  receive_maximum = 0x21,
  topic_alias_maximum = 0x22,
  topic_alias = 0x23,
  maximum_qos = 0x24,
  retain_available = 0x25,
  user_property = 0x26,
  maximum_packet_size = 0x27,
  wildcard_subscription_available = 0x28,
  subscription_identifier_available = 0x29,
  shared_subscription_available = 0x2a,
};

/// Name and value.
using UserProperty = std::pair<std::string_view, std::string_view>;

/// The properties of one packet. A number that is not there reads as what the caller says; texts point into the packet.
/// User properties of what is read are checked and not kept; of several subscription identifiers the last one counts.
class Properties {
 public:
  bool empty() const { return present_.none() && user_.empty(); }
  bool has(PropertyId id) const { return present_[index(id)]; }
  std::uint32_t number(PropertyId id, std::uint32_t otherwise) const {
    return has(id) ? numbers_[index(id)] : otherwise;
  }
  std::string_view text(PropertyId id) const;

  void set(PropertyId id, std::uint32_t number);
  /// `text` outlives this.
  void set(PropertyId id, std::string_view text);

  /// Of what is written. What `user` points to outlives this.
  void set_user(std::span<const UserProperty> user) { user_ = user; }
  std::span<const UserProperty> user() const { return user_; }

 private:
  static constexpr std::size_t kIdsMax = 0x2b;
  static constexpr std::size_t kTexts = 9;
  static constexpr std::size_t index(PropertyId id) { return static_cast<std::size_t>(id); }

  std::bitset<kIdsMax> present_;
  std::array<std::uint32_t, kIdsMax> numbers_{};  // of a text: its place in texts_
  std::array<std::string_view, kTexts> texts_{};
  std::uint8_t text_count_ = 0;
  std::span<const UserProperty> user_;
};

}  // namespace tidegate::mqtt
