#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/tag_write.h"
#include "uplink/forwarder.h"
#include "uplink/http_options.h"
#include "uplink/options.h"
#include "uplink/postgresql_options.h"
#include "uplink/target_cursor.h"

namespace tidegate::uplink {

/// What a transport reports. Called on any thread: the daemon posts it to the core.
struct TransportHandlers {
  /// Whether the target has the batch; false where that is not known either. Then it is sent again.
  std::function<void(std::uint64_t batch_id, bool ok)> done;
  /// Whether batches are taken at all; `detail` says why not, and is empty when they are. Going down makes all that is
  /// on its way unknown: it goes out again when the link is up, and what is reported of it later counts only as an
  /// acknowledgement. The same may be told more than once.
  std::function<void(bool up, std::string detail)> link;
  /// The link stands, and yet batches fail: why, or empty when they do not fail any more. They are sent all the same,
  /// after growing pauses, because only that shows when it is over. What a batch is refused for that it holds is none:
  /// `failed` says it.
  std::function<void(std::string reason)> trouble{};
  /// In place of done(id, false), where more is known of the failure.
  std::function<void(std::uint64_t batch_id, BatchFailure how)> failed{};
  /// How far the target is by its own word, before the link to it comes up.
  std::function<void(TargetCursor cursor)> placed{};
  /// The target wants a tag to have a value. Whoever is told checks and records it.
  std::function<void(TagWrite write)> write{};
};

/// Carries batches to one target. Calls come from the core thread and never block on network or disk, but for stop():
/// that comes from any thread, and the core makes no other call then.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Result<void> start() = 0;
  /// Gives what is in flight `grace` to be acknowledged, then ends.
  virtual void stop(Duration grace) = 0;
  /// `done` or `failed` reports the batch exactly once.
  virtual void send(const OutgoingBatch& batch) = 0;
};

std::unique_ptr<Transport> make_mqtt_transport(MqttUplinkOptions options, std::string gateway,
                                               TransportHandlers handlers);

/// Is a Sparkplug B edge node, and reports a batch when all of its messages are acknowledged (docs/sparkplug.md). A
/// thread of its own makes the messages. `first_session` is the bdSeq of the first connection, modulo 256: other than
/// that of the last connection before this start, as far as can be.
std::unique_ptr<Transport> make_sparkplug_transport(MqttUplinkOptions options, std::string gateway,
                                                    std::uint64_t first_session, TransportHandlers handlers);

/// Appends each batch's records as NDJSON, one object a record with stream, epoch and seq, and reports it when the file
/// is synced. A thread of its own writes.
std::unique_ptr<Transport> make_file_transport(FileUplinkOptions options, std::string gateway,
                                               TransportHandlers handlers);

/// Sends each batch as a request of its own, several at a time, and reports it by the answer. A thread of its own works
/// on the requests; libcurl is loaded at the start.
std::unique_ptr<Transport> make_http_transport(HttpUplinkOptions options, std::string gateway,
                                               TransportHandlers handlers);

/// Produces a message a record to Kafka, with librdkafka, and reports a batch when all of its messages are acknowledged
/// by all replicas in sync. A thread of its own produces; the library has several more. Error of start(): the library
/// is not there, or refuses the options.
std::unique_ptr<Transport> make_kafka_transport(KafkaUplinkOptions options, std::string gateway,
                                                TransportHandlers handlers);

/// The same in transactions, each of which has with its records the cursor behind them, in a topic of its own. That is
/// read back whenever the link comes up, and says where to go on: a consumer that reads what is committed gets each
/// record once. A second process of the same gateway and uplink ends the work of this one, which stays down then.
std::unique_ptr<Transport> make_kafka_exactly_once_transport(KafkaUplinkOptions options, std::string gateway,
                                                             LogHistory history, TransportHandlers handlers);

/// Copies records into tables of PostgreSQL through libpq, in transactions, each of which has with its records the
/// cursor behind them, in a table of its own. That is read back whenever the link comes up, and says where to go on: a
/// record is there once. A second process of the same gateway and uplink ends the work of this one, which stays down
/// then. A thread of its own works at the connection. Error of start(): the library is not there, or a name is none.
std::unique_ptr<Transport> make_postgresql_transport(PostgresqlUplinkOptions options, std::string gateway,
                                                     LogHistory history, TransportHandlers handlers);

}  // namespace tidegate::uplink
