#pragma once

#include <librdkafka/rdkafka.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "core/record.h"
#include "core/time.h"
#include "uplink/transport.h"

namespace tidegate::uplink {

/// Tells whether a Kafka uplink works from what its producer reports. The library has no word for "connected", and
/// names brokers that it has lost also when others do the work: so a doubt is settled by asking the cluster something.
/// The link comes up when a broker has answered for the first time; what is wrong later is trouble, because the library
/// keeps what is on its way and goes on with it, without a repeat. Passive; one thread.
class KafkaWatch {
 public:
  /// What is to be told of an outage; it may be another at any time.
  using Explain = std::function<std::string(const std::string& outage, bool may_be_of_login)>;

  explicit KafkaWatch(const TransportHandlers& handlers, Explain explain = {})
      : handlers_(&handlers), explain_(std::move(explain)) {}

  /// Something about a connection: there is a doubt now.
  void on_problem(rd_kafka_resp_err_t error, const std::string& text);
  /// No producer can be had, or its end was not by a record.
  void on_outage(std::string reason);
  void on_delivered(Stream stream);
  void on_refused(Stream stream, std::string reason);
  /// The oldest batch is on its way since then; nothing: none is.
  void on_waiting(BootTime now, std::optional<BootTime> since);

  /// When the cluster has to be asked.
  bool wants_probe(BootTime now) const { return is_doubtful_ && now >= probe_at_; }
  bool is_doubtful() const { return is_doubtful_; }
  void on_answer(BootTime now, const std::string& topic_trouble);
  void on_no_answer(BootTime now, rd_kafka_resp_err_t error, const std::string& text);

  /// Reports what has changed.
  void tell();

 private:
  std::string trouble() const;

  const TransportHandlers* handlers_;
  const Explain explain_;
  bool is_linked_ = false;
  bool is_doubtful_ = true;
  BootTime probe_at_{};
  BootTime connected_at_{};
  std::string last_problem_;
  rd_kafka_resp_err_t last_error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string outage_;
  bool is_outage_of_login_ = false;  // or may be
  std::string topic_trouble_;
  std::string stall_;
  std::optional<BootTime> topic_trouble_since_;
  std::array<std::string, kStreamCount> refusals_;
  std::string told_;
  bool is_link_told_ = false;
};

}  // namespace tidegate::uplink
