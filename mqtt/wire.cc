#include "mqtt/wire.h"

#include <array>
#include <cassert>

#include "core/text.h"

namespace tidegate::mqtt {
namespace {

enum class PropertyType : std::uint8_t { none, byte, flag, two_bytes, four_bytes, variable, text, binary, pair };

struct PropertyRow {
  PropertyId id;
  PropertyType type;
  std::uint16_t places;
};

constexpr std::uint16_t in(PropertyPlace place) { return static_cast<std::uint16_t>(place); }
template <class... Places>
constexpr std::uint16_t in(PropertyPlace first, Places... others) {
  return static_cast<std::uint16_t>(in(first) | in(others...));
}

constexpr auto kConnect = PropertyPlace::connect;
constexpr auto kConnack = PropertyPlace::connack;
constexpr auto kPublish = PropertyPlace::publish;
constexpr auto kAck = PropertyPlace::ack;
constexpr auto kSubscribe = PropertyPlace::subscribe;
constexpr auto kSuback = PropertyPlace::suback;
constexpr auto kUnsubscribe = PropertyPlace::unsubscribe;
constexpr auto kDisconnect = PropertyPlace::disconnect;
constexpr auto kWill = PropertyPlace::will;

// Table 2-4 of the specification.
constexpr std::array kRows{
    PropertyRow{PropertyId::payload_format_indicator, PropertyType::flag, in(kPublish, kWill)},
    PropertyRow{PropertyId::message_expiry_interval, PropertyType::four_bytes, in(kPublish, kWill)},
    PropertyRow{PropertyId::content_type, PropertyType::text, in(kPublish, kWill)},
    PropertyRow{PropertyId::response_topic, PropertyType::text, in(kPublish, kWill)},
    PropertyRow{PropertyId::correlation_data, PropertyType::binary, in(kPublish, kWill)},
    PropertyRow{PropertyId::subscription_identifier, PropertyType::variable, in(kPublish, kSubscribe)},
    PropertyRow{PropertyId::session_expiry_interval, PropertyType::four_bytes, in(kConnect, kConnack, kDisconnect)},
    PropertyRow{PropertyId::assigned_client_identifier, PropertyType::text, in(kConnack)},
    PropertyRow{PropertyId::server_keep_alive, PropertyType::two_bytes, in(kConnack)},
    PropertyRow{PropertyId::authentication_method, PropertyType::text, in(kConnect, kConnack)},
    PropertyRow{PropertyId::authentication_data, PropertyType::binary, in(kConnect, kConnack)},
    PropertyRow{PropertyId::request_problem_information, PropertyType::flag, in(kConnect)},
    PropertyRow{PropertyId::will_delay_interval, PropertyType::four_bytes, in(kWill)},
    PropertyRow{PropertyId::request_response_information, PropertyType::flag, in(kConnect)},
    PropertyRow{PropertyId::response_information, PropertyType::text, in(kConnack)},
    PropertyRow{PropertyId::server_reference, PropertyType::text, in(kConnack, kDisconnect)},
    PropertyRow{PropertyId::reason_string, PropertyType::text, in(kConnack, kAck, kSuback, kDisconnect)},
    PropertyRow{PropertyId::receive_maximum, PropertyType::two_bytes, in(kConnect, kConnack)},
    PropertyRow{PropertyId::topic_alias_maximum, PropertyType::two_bytes, in(kConnect, kConnack)},
    PropertyRow{PropertyId::topic_alias, PropertyType::two_bytes, in(kPublish)},
    PropertyRow{PropertyId::maximum_qos, PropertyType::flag, in(kConnack)},
    PropertyRow{PropertyId::retain_available, PropertyType::flag, in(kConnack)},
    PropertyRow{PropertyId::user_property, PropertyType::pair,
                in(kConnect, kConnack, kPublish, kAck, kSubscribe, kSuback, kUnsubscribe, kDisconnect, kWill)},
    PropertyRow{PropertyId::maximum_packet_size, PropertyType::four_bytes, in(kConnect, kConnack)},
    PropertyRow{PropertyId::wildcard_subscription_available, PropertyType::flag, in(kConnack)},
    PropertyRow{PropertyId::subscription_identifier_available, PropertyType::flag, in(kConnack)},
    PropertyRow{PropertyId::shared_subscription_available, PropertyType::flag, in(kConnack)},
};

const PropertyRow* find_row(std::uint32_t id) {
  for (const PropertyRow& row : kRows) {
    if (static_cast<std::uint32_t>(row.id) == id) return &row;
  }
  return nullptr;
}

// Zero has no meaning for these.
bool must_not_be_zero(PropertyId id) {
  return id == PropertyId::receive_maximum || id == PropertyId::maximum_packet_size || id == PropertyId::topic_alias ||
         id == PropertyId::subscription_identifier;
}

std::uint32_t read_number(WireReader& reader, PropertyType type) {
  switch (type) {
    case PropertyType::byte:
    case PropertyType::flag:
      return reader.byte();
    case PropertyType::two_bytes:
      return reader.two_bytes();
    case PropertyType::four_bytes:
      return reader.four_bytes();
    default:
      return reader.variable();
  }
}

void read_property(WireReader& reader, const PropertyRow& row, bool may_repeat, Properties& properties) {
  if (row.type == PropertyType::pair) {
    (void)reader.text();
    (void)reader.text();
    return;
  }
  if (properties.has(row.id) && !may_repeat) return reader.fail("a property stands twice");
  if (row.type == PropertyType::text) return properties.set(row.id, reader.text());
  if (row.type == PropertyType::binary) return properties.set(row.id, reader.binary());
  const std::uint32_t number = read_number(reader, row.type);
  if (row.type == PropertyType::flag && number > 1) return reader.fail("a property that is 0 or 1 is neither");
  if (number == 0 && must_not_be_zero(row.id)) return reader.fail("a property is 0 that must not be");
  properties.set(row.id, number);
}

std::size_t bytes_of(const PropertyRow& row, const Properties& properties) {
  switch (row.type) {
    case PropertyType::byte:
    case PropertyType::flag:
      return 2;
    case PropertyType::two_bytes:
      return 3;
    case PropertyType::four_bytes:
      return 5;
    case PropertyType::variable:
      return 1 + variable_bytes(properties.number(row.id, 0));
    case PropertyType::text:
    case PropertyType::binary:
      return 3 + properties.text(row.id).size();
    default:
      return 0;
  }
}

std::size_t body_bytes(const Properties& properties) {
  std::size_t bytes = 0;
  for (const PropertyRow& row : kRows) bytes += properties.has(row.id) ? bytes_of(row, properties) : 0;
  for (const auto& [name, value] : properties.user()) bytes += 5 + name.size() + value.size();
  return bytes;
}

}  // namespace

std::uint8_t WireReader::byte() {
  const std::string_view data = take(1);
  return data.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(data[0]);
}

std::uint16_t WireReader::two_bytes() {
  const std::string_view data = take(2);
  if (data.empty()) return 0;
  return static_cast<std::uint16_t>(static_cast<std::uint8_t>(data[0]) << 8U | static_cast<std::uint8_t>(data[1]));
}

std::uint32_t WireReader::four_bytes() {
  const std::uint32_t high = two_bytes();
  return high << 16U | two_bytes();
}

std::uint32_t WireReader::variable() {
  std::uint32_t value = 0;
  for (unsigned shift = 0; shift < 28; shift += 7) {
    const std::uint32_t part = byte();
    value |= (part & 0x7fU) << shift;
    if (part < 0x80) {
      if (part == 0 && shift > 0) fail("a variable byte integer is longer than it has to be");
      return value;
    }
  }
  fail("a variable byte integer has more than four bytes");
  return 0;
}

std::string_view WireReader::take(std::size_t count) {
  if (count > rest_.size()) {
    fail("the packet ends too early");
    return {};
  }
  const std::string_view data = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return data;
}

std::string_view WireReader::binary() {
  const std::size_t length = two_bytes();
  return take(length);
}

std::string_view WireReader::text() {
  const std::string_view data = binary();
  if (data.find('\0') != std::string_view::npos || !is_valid_utf8(data)) {
    fail("a text is not UTF-8, or has a U+0000 in it");
    return {};
  }
  return data;
}

std::string_view WireReader::rest() { return take(rest_.size()); }

void WireWriter::two_bytes(std::uint16_t value) {
  byte(static_cast<std::uint8_t>(value >> 8U));
  byte(static_cast<std::uint8_t>(value));
}

void WireWriter::four_bytes(std::uint32_t value) {
  two_bytes(static_cast<std::uint16_t>(value >> 16U));
  two_bytes(static_cast<std::uint16_t>(value));
}

void WireWriter::variable(std::uint32_t value) {
  assert(value <= kVariableMax);
  for (; value >= 0x80; value >>= 7U) byte(static_cast<std::uint8_t>(value | 0x80U));
  byte(static_cast<std::uint8_t>(value));
}

void WireWriter::binary(std::string_view data) {
  assert(data.size() <= kTextBytesMax);
  two_bytes(static_cast<std::uint16_t>(data.size()));
  bytes(data);
}

std::size_t variable_bytes(std::uint32_t value) {
  return value < 0x80U ? 1 : value < 0x4000U ? 2 : value < 0x20'0000U ? 3 : 4;
}

Properties read_properties(WireReader& reader, PropertyPlace place) {
  Properties properties;
  const std::uint32_t length = reader.variable();
  WireReader block(reader.take(length));
  const bool may_repeat = place == PropertyPlace::publish;  // subscription identifiers
  while (reader.ok() && block.ok() && !block.at_end()) {
    const PropertyRow* const row = find_row(block.variable());
    if (row == nullptr) {
      block.fail("a property is unknown");
    } else if ((row->places & in(place)) == 0) {
      block.fail("a property stands in a packet where it may not");
    } else {
      read_property(block, *row, may_repeat && row->id == PropertyId::subscription_identifier, properties);
    }
  }
  if (!block.ok()) reader.fail(block.problem());
  return properties;
}

void write_properties(WireWriter& writer, const Properties& properties) {
  writer.variable(static_cast<std::uint32_t>(body_bytes(properties)));
  for (const PropertyRow& row : kRows) {
    if (!properties.has(row.id)) continue;
    writer.byte(static_cast<std::uint8_t>(row.id));
    const std::uint32_t number = properties.number(row.id, 0);
    switch (row.type) {
      case PropertyType::text:
      case PropertyType::binary:
        writer.binary(properties.text(row.id));
        break;
      case PropertyType::two_bytes:
        writer.two_bytes(static_cast<std::uint16_t>(number));
        break;
      case PropertyType::four_bytes:
        writer.four_bytes(number);
        break;
      case PropertyType::variable:
        writer.variable(number);
        break;
      default:
        writer.byte(static_cast<std::uint8_t>(number));
    }
  }
  for (const auto& [name, value] : properties.user()) {
    writer.byte(static_cast<std::uint8_t>(PropertyId::user_property));
    writer.binary(name);
    writer.binary(value);
  }
}

std::size_t properties_bytes(const Properties& properties) {
  const std::size_t body = body_bytes(properties);
  return variable_bytes(static_cast<std::uint32_t>(body)) + body;
}

}  // namespace tidegate::mqtt
