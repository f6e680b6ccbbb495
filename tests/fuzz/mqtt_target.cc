#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/latest_values.h"
#include "drivers/mqtt_listener/listener_core.h"
#include "mqtt/packet_decoder.h"
#include "mqtt/packet_encoder.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/targets.h"
#include "tests/support/manual_clock.h"

namespace tidegate::fuzz {
namespace {

using drivers::ListenerSession;
using mqtt::PacketType;
using mqtt::ProtocolVersion;

constexpr std::size_t kPacketBytesMax = 64 * 1024;
constexpr std::size_t kRoundBudget = 500;

/// Some topics, which change one after another.
class SomeTopics final : public drivers::LatestValues {
 public:
  std::size_t size() const override { return kTopics.size(); }
  std::uint64_t rounds() const override { return rounds_; }
  drivers::LatestTopic look(std::size_t index) const override { return {index != 2, changed_in_[index]}; }
  void append_topic(std::size_t index, std::string& out) const override { out += kTopics[index]; }
  void append_document(std::size_t index, std::string& out) override { out.append(1 + 60 * index, 'x'); }
  void on_changed(Changed) override {}

  IndexSet change() {
    const std::size_t index = rounds_++ % kTopics.size();
    changed_in_[index] = rounds_;
    IndexSet changed;
    changed.insert(index);
    return changed;
  }

 private:
  static constexpr std::array<std::string_view, 4> kTopics{"a/x", "a/y/z", "a/alarm", "b"};
  std::array<std::uint64_t, 4> changed_in_{};
  std::uint64_t rounds_ = 0;
};

// An id that the listener makes for a client is another one each time.
std::string without_assigned_id(std::string sent, const std::string& id) {
  const auto at = id.starts_with("tidegate-") ? sent.find(id) : std::string::npos;
  if (at != std::string::npos) sent.replace(at, id.size(), id.size(), 'x');
  return sent;
}

/// A listener without sockets, and what one connection to it came to.
class Listener {
 public:
  struct Outcome {
    std::string sent;  // to the client
    std::string end_reason;
    ProtocolVersion version = ProtocolVersion::v3_1_1;
    std::size_t readings = 0;
    bool operator==(const Outcome&) const = default;
  };

  Listener() {
    options_.name = "direct";
    options_.limits.packet_bytes_max = kPacketBytesMax;
    options_.rights = {{"", {"a/#"}}};
    options_.watch = {{"", {"a/#"}}};
    drivers::MqttDriverOptions messages;
    messages.name = options_.name;
    messages.automatic_tags_max = 100;
    messages.subscribe.resize(1);
    messages.subscribe[0].topic = "{device}/{tag...}";
    messages.subscribe[0].payload = drivers::PayloadFormat::text;
    auto decoder = drivers::MessageDecoder::make(messages, tags_);
    check(decoder.has_value(), "the subscription is right");
    core_ = std::make_unique<drivers::ListenerCore>(options_, std::move(*decoder), nullptr, clock_, [] {});
    core_->use_latest(latest_);
  }

  /// The stream in pieces of `piece` bytes; what was taken becomes durable each `turn` bytes.
  Outcome serve(std::string_view stream, std::size_t turn, std::size_t piece) {
    Outcome outcome;
    ListenerSession session(*core_, options_.limits, clock_.boot_now());
    std::string held;
    for (std::size_t at = 0; at < stream.size() && !session.is_over();) {
      const std::string_view part = stream.substr(at, std::min(piece, turn - at % turn));
      at += part.size();
      held.append(part);
      receive(session, held);
      if (at % turn != 0 && at != stream.size()) continue;
      outcome.readings += store(session);
      receive(session, held);  // what was held back
    }
    outcome.readings += store(session);
    outcome.sent = without_assigned_id(session.out(), session.client_id());
    outcome.end_reason = session.end_reason();
    outcome.version = session.version();
    core_->gone(session);
    return outcome;
  }

 private:
  void receive(ListenerSession& session, std::string& held) {
    const std::size_t used = session.receive(held, clock_.boot_now());
    check(used <= held.size(), "no more is taken than there is");
    held.erase(0, used);
    check(held.size() <= kPacketBytesMax || session.is_over() || !session.wants_input(),
          "who waits for more of a packet holds no more than one");
  }
  std::size_t store(ListenerSession& session) {
    drivers::Intake intake;
    core_->collect(intake);
    core_->settled();
    core_->durable(++settles_);
    session.release(core_->safe());
    show(session);
    return intake.readings.size();
  }
  // A round, as the listener's own.
  void show(ListenerSession& session) {
    const IndexSet changed = latest_.change();
    if (session.subscriber() == nullptr) return;
    session.subscriber()->note_changed(changed);
    std::size_t budget = kRoundBudget;
    if (session.wants_to_send()) session.subscriber()->fill(session.out(), budget);
    check(budget == 0 || !session.wants_to_send(), "what can be sent is sent");
  }

  testing::ManualClock clock_;
  TagRegistry tags_;
  SomeTopics latest_;
  drivers::MqttListenerOptions options_;
  std::unique_ptr<drivers::ListenerCore> core_;
  std::uint64_t settles_ = 0;
};

// A client that reads what we send finds packets in it, all of them whole and of a kind that a server sends.
void check_sent(std::string_view sent, ProtocolVersion version) {
  while (!sent.empty()) {
    const auto packet = mqtt::cut_packet(sent, kPacketBytesMax);
    check(packet && *packet, "what is sent is whole packets");
    const mqtt::RawPacket& raw = **packet;
    const auto is_ack = raw.type >= PacketType::puback && raw.type <= PacketType::pubcomp;
    const bool is_right = raw.type == PacketType::connack      ? mqtt::decode_connack(raw, version).has_value()
                          : is_ack                             ? mqtt::decode_ack(raw, version).has_value()
                          : raw.type == PacketType::publish    ? mqtt::decode_publish(raw, version).has_value()
                          : raw.type == PacketType::suback     ? mqtt::decode_suback(raw, version).has_value()
                          : raw.type == PacketType::unsuback   ? mqtt::decode_suback(raw, version).has_value()
                          : raw.type == PacketType::disconnect ? mqtt::decode_disconnect(raw, version).has_value()
                                                               : raw.type == PacketType::pingresp && raw.body.empty();
    check(is_right, "what is sent can be read");
    sent.remove_prefix(raw.bytes);
  }
}

void serve_stream(std::string_view stream, std::size_t turn) {
  Listener in_one;
  const auto whole = in_one.serve(stream, turn, turn);
  Listener in_bytes;
  check(in_bytes.serve(stream, turn, 1) == whole, "how a stream is cut changes nothing");
  check_sent(whole.sent, whole.version);
  // The client comes again, to the session that it left.
  in_one.serve(stream, turn, turn);
}

// Packets with a right length, of pieces of the input: header, length, so many bytes.
std::string framed(std::string_view input) {
  std::string stream;
  while (input.size() >= 2) {
    const std::size_t bytes = std::min<std::size_t>(static_cast<std::uint8_t>(input[1]), input.size() - 2);
    stream.push_back(input[0]);
    if (bytes >= 0x80) stream.push_back(static_cast<char>(bytes | 0x80));
    stream.push_back(static_cast<char>(bytes >= 0x80 ? bytes >> 7U : bytes));
    stream.append(input.substr(2, bytes));
    input.remove_prefix(2 + bytes);
  }
  return stream;
}

template <class Packet>
void encode_packet(const mqtt::RawPacket& raw, const Packet& packet, ProtocolVersion version, std::string& out) {
  if constexpr (std::is_same_v<Packet, mqtt::ConnectPacket>) {
    mqtt::encode(packet, out);
  } else if constexpr (std::is_same_v<Packet, mqtt::AckPacket> || std::is_same_v<Packet, mqtt::SubackPacket>) {
    mqtt::encode(raw.type, packet, version, out);
  } else {
    mqtt::encode(packet, version, out);
  }
}

// What is read and written is read again as the same.
template <class Decode>
void check_round_trip(const mqtt::RawPacket& raw, ProtocolVersion version, const Decode& decode) {
  const auto packet = decode(raw);
  if (!packet) return;
  std::string once;
  encode_packet(raw, *packet, version, once);
  const auto cut = mqtt::cut_packet(once, once.size());
  check(cut && *cut && (*cut)->bytes == once.size(), "what is written is one packet");
  const auto again = decode(**cut);
  check(again.has_value(), "what is written can be read");
  std::string twice;
  encode_packet(raw, *again, version, twice);
  check(once == twice, "what is read was written");
}

void decode_body(const mqtt::RawPacket& raw, ProtocolVersion version) {
  const auto round_trip = [&](auto decode) {
    check_round_trip(raw, version, [&](const mqtt::RawPacket& packet) { return decode(packet, version); });
  };
  switch (raw.type) {
    case PacketType::connect:
      return check_round_trip(raw, version, mqtt::decode_connect);
    case PacketType::connack:
      return round_trip(mqtt::decode_connack);
    case PacketType::publish:
      return round_trip(mqtt::decode_publish);
    case PacketType::puback:
    case PacketType::pubrec:
    case PacketType::pubrel:
    case PacketType::pubcomp:
      return round_trip(mqtt::decode_ack);
    case PacketType::subscribe:
      return round_trip(mqtt::decode_subscribe);
    case PacketType::unsubscribe:
      return round_trip(mqtt::decode_unsubscribe);
    case PacketType::suback:
    case PacketType::unsuback:
      return round_trip(mqtt::decode_suback);
    case PacketType::disconnect:
      return round_trip(mqtt::decode_disconnect);
    default:
      (void)mqtt::decode_empty(raw);
  }
}

}  // namespace

void read_mqtt(std::span<const std::uint8_t> input) {
  if (input.size() < 2) return;
  const std::string_view content(reinterpret_cast<const char*>(input.data()) + 2, input.size() - 2);
  const std::size_t turn = 1 + std::size_t{input[1]} * 8;
  const auto version = input[1] % 2 == 0 ? ProtocolVersion::v3_1_1 : ProtocolVersion::v5;
  switch (input.front() % 3) {
    case 0:
      return serve_stream(content, turn);
    case 1:
      return serve_stream(framed(content), turn);
    default:
      if (content.empty()) return;
      const std::string packet = framed(content);
      const auto raw = mqtt::cut_packet(packet, kPacketBytesMax);
      if (raw && *raw) decode_body(**raw, version);
  }
}

}  // namespace tidegate::fuzz
