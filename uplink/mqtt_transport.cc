#include "uplink/mqtt_transport.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/clock.h"
#include "core/text.h"
#include "uplink/batch_labels.h"
#include "uplink/influx_lines.h"
#include "uplink/mqtt_verdict.h"
#include "uplink/placeholders.h"
#include "uplink/stream_troubles.h"

namespace tidegate::uplink {
namespace {

// A batch that the client has not reported yet.
struct OpenBatch {
  Stream stream = Stream::readings;
  Lane lane = Lane::live;
  std::uint32_t count = 0;
};

// By ticket: each is reported once, whatever the client does.
class OpenBatches {
 public:
  void add(const OutgoingBatch& batch) {
    const std::lock_guard lock(mutex_);
    open_[batch.id] = {batch.stream, batch.lane, batch.count};
  }
  std::optional<OpenBatch> remove(std::uint64_t ticket) {
    const std::lock_guard lock(mutex_);
    const auto found = open_.extract(ticket);
    if (open_.empty()) none_open_.notify_all();
    return found.empty() ? std::nullopt : std::optional(found.mapped());
  }
  void wait_for_none(Duration grace) {
    std::unique_lock lock(mutex_);
    none_open_.wait_for(lock, grace, [this] { return open_.empty(); });
  }
  std::unordered_map<std::uint64_t, OpenBatch> take_all() {
    const std::lock_guard lock(mutex_);
    return std::exchange(open_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_open_;
  std::unordered_map<std::uint64_t, OpenBatch> open_;
};

class MqttTransport final : public Transport {
 public:
  MqttTransport(const MqttClientFactory& make_client, MqttUplinkOptions options, std::string gateway,
                TransportHandlers handlers)
      : name_(std::move(options.forwarder.name)),
        topic_(std::move(options.topic)),
        gateway_(std::move(gateway)),
        is_v5_(options.broker.protocol == mqtt::ProtocolVersion::v5),
        handlers_(std::move(handlers)) {
    if (options.format == MqttFormat::influx) {
      influx_ = std::make_unique<InfluxLines>(gateway_, options.integers_as_floats);
    }
    mqtt::ClientHandlers of_client;
    of_client.published = [this](std::uint64_t ticket, bool ok) { report(ticket, ok); };
    of_client.refused = [this](std::uint64_t ticket, const mqtt::PublishRefusal& why) { report(ticket, why); };
    of_client.link = [this](const mqtt::LinkState& state) { handlers_.link(state.up, state.detail); };
    of_client.message = [](std::string_view, std::string_view, bool, bool) { return true; };
    // Nothing is sent again by the protocol, but by the forwarder: there is no session to be kept. With 3.1.1, which is
    // the default, it is kept all the same, so that installations go on as they were.
    if (is_v5_) options.broker.clean_session = true;
    client_ = make_client(std::move(options.broker), {}, std::move(of_client));
  }
  ~MqttTransport() override { stop(Duration::zero()); }

  Result<void> start() override {
    for (const Stream stream : kAllStreams) {
      for (const Lane lane : kAllLanes) {
        auto topic = make_topic(stream, lane);
        if (!topic) return tl::unexpected(topic.error());
        topic_of(stream, lane) = std::move(*topic);
      }
    }
    is_running_ = true;
    client_->start();
    return {};
  }

  void stop(Duration grace) override {
    if (!std::exchange(is_running_, false)) return;
    open_.wait_for_none(grace - std::min<Duration>(grace, kDisconnectGrace));
    client_->stop(kDisconnectGrace);  // of which half is for what is still open
    for (const auto& [ticket, batch] : open_.take_all()) handlers_.done(ticket, false);
  }

  void send(const OutgoingBatch& batch) override {
    if (!is_running_) return handlers_.done(batch.id, false);
    Result<std::string> payload = influx_ ? lines(batch) : Result<std::string>(*batch.payload);
    if (!payload) return refuse(batch.id, payload.error());
    if (payload->empty()) return handlers_.done(batch.id, true);  // the lines say nothing of it
    open_.add(batch);
    mqtt::Publication publication{batch.id, topic_of(batch.stream, batch.lane), std::move(*payload)};
    if (is_v5_) publication.properties = properties(batch);
    client_->publish(std::move(publication));
  }

 private:
  // Also with no grace for batches the connection is closed in order, so that the broker publishes no will.
  static constexpr Duration kDisconnectGrace = std::chrono::seconds(1);

  std::string& topic_of(Stream stream, Lane lane) {
    return topics_[static_cast<std::size_t>(stream)][static_cast<std::size_t>(lane)];
  }

  Result<std::string> make_topic(Stream stream, Lane lane) const {
    auto topic =
        fill_placeholders(topic_, {{"gateway", gateway_}, {"stream", to_string(stream)}, {"lane", to_string(lane)}});
    const bool is_legal = !topic || (!topic->empty() && topic->size() <= 65535 &&  //
                                     topic->find_first_of("+#") == std::string::npos);
    if (is_legal) return topic;
    return fail(ErrorCode::invalid,
                "topic \"" + clip(*topic) + "\" cannot be published to: it needs 1 to 65535 bytes without '+' and '#'");
  }

  Result<std::string> lines(const OutgoingBatch& batch) {
    std::string text;
    if (auto done = influx_->append(text, batch); !done) return tl::unexpected(done.error());
    influx_->say_left_out(name_, clock_.boot_now());
    return text;
  }

  mqtt::MessageProperties properties(const OutgoingBatch& batch) const {
    mqtt::MessageProperties said;
    said.content_type = influx_ ? kInfluxMediaType : kJsonMediaType;
    said.is_text = true;
    for (const auto& [name, value] : batch_labels(gateway_, batch)) said.user.emplace_back(name, value);
    return said;
  }

  // Another try makes no other lines of it.
  void refuse(std::uint64_t batch_id, const Error& why) {
    if (why.code != ErrorCode::give_up_item) return handlers_.done(batch_id, false);
    BatchFailure how;
    how.refusal = why.message;
    report_failure(batch_id, std::move(how));
  }

  void report_failure(std::uint64_t batch_id, BatchFailure how) {
    if (!handlers_.failed) return handlers_.done(batch_id, false);
    handlers_.failed(batch_id, std::move(how));
  }

  // Who hears that a batch is done has heard before whether there is trouble.
  void report(std::uint64_t ticket, bool ok) {
    const auto batch = open_.remove(ticket);
    if (!batch) return;
    if (ok) tell(batch->stream, "");
    handlers_.done(ticket, ok);
  }

  void report(std::uint64_t ticket, const mqtt::PublishRefusal& why) {
    const auto batch = open_.remove(ticket);
    if (!batch) return;
    MqttVerdict verdict = judge(why, topic_of(batch->stream, batch->lane), batch->count);
    // What was not even sent says nothing of what the broker refuses otherwise.
    if (why.reason != mqtt::ReasonCode::packet_too_large) tell(batch->stream, verdict.trouble);
    report_failure(ticket, std::move(verdict.failure));
  }

  void tell(Stream stream, const std::string& trouble) {
    auto news = troubles_.note(stream, trouble);
    if (news && handlers_.trouble) handlers_.trouble(std::move(*news));
  }

  const SystemClock clock_;
  const std::string name_;
  const std::string topic_;
  const std::string gateway_;
  const bool is_v5_;
  const TransportHandlers handlers_;
  std::array<std::array<std::string, std::size(kAllLanes)>, kStreamCount> topics_;
  std::unique_ptr<InfluxLines> influx_;  // of that format
  OpenBatches open_;
  StreamTroubles troubles_;  // the client's thread
  bool is_running_ = false;
  std::unique_ptr<mqtt::Client> client_;  // last: its handlers use the rest until it is gone
};

}  // namespace

std::unique_ptr<Transport> make_mqtt_transport_over(const MqttClientFactory& make_client, MqttUplinkOptions options,
                                                    std::string gateway, TransportHandlers handlers) {
  return std::make_unique<MqttTransport>(make_client, std::move(options), std::move(gateway), std::move(handlers));
}

std::unique_ptr<Transport> make_mqtt_transport(MqttUplinkOptions options, std::string gateway,
                                               TransportHandlers handlers) {
  return make_mqtt_transport_over(mqtt::make_client, std::move(options), std::move(gateway), std::move(handlers));
}

}  // namespace tidegate::uplink
