#include "tests/daemon/model_sensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "mqtt/packet_encoder.h"

namespace tidegate::testing {
namespace {

constexpr std::size_t kFlightsMax = 40;
constexpr std::uint16_t kPacketIds = 50;  // so few that they are soon used again
constexpr std::uint32_t kExpirySeconds = 3600;

}  // namespace

ModelSensor::ModelSensor(std::string name, bool is_v5) : name_(std::move(name)), is_v5_(is_v5) {}

mqtt::ProtocolVersion ModelSensor::version() const {
  return is_v5_ ? mqtt::ProtocolVersion::v5 : mqtt::ProtocolVersion::v3_1_1;
}

void ModelSensor::connect(drivers::ListenerCore& core, const drivers::ListenerLimits& limits, BootTime now) {
  session_ = std::make_unique<drivers::ListenerSession>(core, limits, now);
  unheard_.clear();
  mqtt::ConnectPacket connect;
  connect.version = version();
  connect.client_id = name_;
  connect.clean_start = false;
  if (is_v5_) connect.properties.set(mqtt::PropertyId::session_expiry_interval, kExpirySeconds);
  std::string bytes;
  mqtt::encode(connect, bytes);
  receive(bytes, now);
  const auto packet = mqtt::cut_packet(session_->out(), 1024);
  ASSERT_TRUE(packet && *packet && (*packet)->type == mqtt::PacketType::connack) << name_;
  const auto connack = mqtt::decode_connack(**packet, version());
  ASSERT_TRUE(connack && connack->reason == mqtt::ReasonCode::success) << name_;
  const bool session_present = connack->session_present;
  session_->out().erase(0, (*packet)->bytes);
  // To a listener that does not know the session, what it has not acknowledged is published anew.
  if (!session_present) std::erase_if(flights_, [](const Flight& flight) { return flight.received; });
  for (const Flight& flight : flights_) send(flight, session_present, now);
}

void ModelSensor::lose_connection(drivers::ListenerCore* core) {
  if (session_ && core != nullptr) core->gone(*session_);
  session_.reset();
}

void ModelSensor::publish(std::uint64_t number, int qos, BootTime now) {
  if (flights_.size() >= kFlightsMax) return;
  sent_[number].qos = qos;
  flights_.push_back({free_packet_id(), number, false});
  send(flights_.back(), false, now);
}

void ModelSensor::hear(drivers::Ticket safe, BootTime now) {
  session_->release(safe);
  receive({}, now);
  std::string out = std::exchange(session_->out(), {});
  for (std::string_view rest = out; !rest.empty();) {
    const auto packet = mqtt::cut_packet(rest, 1024);
    ASSERT_TRUE(packet && *packet) << name_ << ": the listener sends no whole packet";
    rest.remove_prefix((*packet)->bytes);
    take(**packet, now);
  }
  ASSERT_FALSE(session_->is_over()) << name_ << ": " << session_->end_reason();
}

void ModelSensor::note_power_cut() {
  for (const Flight& flight : flights_) {
    Sent& sent = sent_[flight.number];
    sent.open_at_power_cut = sent.open_at_power_cut || !sent.acknowledged;
  }
}

void ModelSensor::send(const Flight& flight, bool is_repeat, BootTime now) {
  std::string bytes;
  if (flight.received) {
    mqtt::encode(mqtt::PacketType::pubrel, mqtt::AckPacket{flight.packet_id, mqtt::ReasonCode::success, {}}, version(),
                 bytes);
    return receive(bytes, now);
  }
  const std::string topic = name_ + "/x";
  const std::string payload = std::to_string(flight.number);
  mqtt::PublishPacket publish;
  publish.topic = topic;
  publish.payload = payload;
  publish.qos = static_cast<std::uint8_t>(sent_[flight.number].qos);
  publish.packet_id = flight.packet_id;
  publish.duplicate = is_repeat;
  mqtt::encode(publish, version(), bytes);
  receive(bytes, now);
}

void ModelSensor::take(const mqtt::RawPacket& packet, BootTime now) {
  const auto answer = mqtt::decode_ack(packet, version());
  ASSERT_TRUE(answer) << name_;
  Flight* const flight = find(answer->packet_id);
  ASSERT_NE(flight, nullptr) << name_ << ": an answer to packet " << answer->packet_id << ", which is not in flight";
  // An id whose PUBCOMP was lost with a connection is not known any more when its PUBREL comes again.
  const bool was_released = packet.type == mqtt::PacketType::pubcomp && flight->received &&
                            answer->reason == mqtt::ReasonCode::packet_identifier_not_found;
  ASSERT_TRUE(answer->reason == mqtt::ReasonCode::success || was_released) << name_ << ": packet " << answer->packet_id;
  sent_[flight->number].acknowledged = true;
  if (packet.type == mqtt::PacketType::pubrec) {
    flight->received = true;
    return send(*flight, false, now);
  }
  flights_.erase(flights_.begin() + (flight - &flights_.front()));
}

void ModelSensor::receive(const std::string& bytes, BootTime now) {
  unheard_ += bytes;
  unheard_.erase(0, session_->receive(unheard_, now));
}

ModelSensor::Flight* ModelSensor::find(std::uint16_t packet_id) {
  const auto found =
      std::find_if(flights_.begin(), flights_.end(), [&](const Flight& one) { return one.packet_id == packet_id; });
  return found == flights_.end() ? nullptr : &*found;
}

std::uint16_t ModelSensor::free_packet_id() {
  do last_packet_id_ = static_cast<std::uint16_t>(last_packet_id_ % kPacketIds + 1);
  while (find(last_packet_id_) != nullptr);
  return last_packet_id_;
}

}  // namespace tidegate::testing
