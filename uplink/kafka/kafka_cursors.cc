#include "uplink/kafka/kafka_cursors.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "core/clock.h"
#include "uplink/kafka/kafka_conf.h"
#include "uplink/kafka/kafka_names.h"
#include "uplink/kafka/kafka_troubles.h"

namespace tidegate::uplink {
namespace {

using std::chrono::milliseconds;

// A cursor is written with every transaction, so the newest one is near the end: first so far is gone back, then more.
constexpr std::int64_t kFirstLook = 1000;
constexpr std::int64_t kFurther = 16;
constexpr milliseconds kPollFor{200};
constexpr Duration kPatience = std::chrono::seconds(2);  // until it is worth a word
constexpr std::int32_t kPartition = 0;
// A file of the topic is only compacted when the next one is begun.
constexpr std::array<std::pair<const char*, const char*>, 4> kTopicSettings{{{"cleanup.policy", "compact"},
                                                                             {"segment.bytes", "1048576"},
                                                                             {"segment.ms", "3600000"},
                                                                             {"min.cleanable.dirty.ratio", "0.1"}}};

class CursorReader {
 public:
  CursorReader(const KafkaAccess& access, std::string topic, std::string key, const KafkaCursorWait& wait)
      : access_(access), library_(access.library), topic_(std::move(topic)), key_(std::move(key)), wait_(wait) {}
  CursorReader(const CursorReader&) = delete;
  CursorReader& operator=(const CursorReader&) = delete;
  ~CursorReader() {
    if (handle_ != nullptr) library_.topic_destroy_(handle_);
    for (rd_kafka_t* const one : {consumer_, asker_}) {
      if (one != nullptr) library_.destroy_(one);
    }
  }

  Result<void> open() {
    if (auto made = make(KafkaIsolation::read_committed, consumer_); !made) return made;
    if (auto made = make(KafkaIsolation::read_uncommitted, asker_); !made) return made;
    library_.poll_set_consumer_(consumer_);
    handle_ = library_.topic_new_(consumer_, topic_.c_str(), nullptr);
    if (handle_ == nullptr) return fail(ErrorCode::invalid, "librdkafka does not take the topic " + topic_);
    return {};
  }

  Result<std::optional<TargetCursor>> read() {
    const auto found = find_partition();
    if (!found) return tl::unexpected(found.error());
    if (!*found) {
      if (auto made = make_topic(); !made) return tl::unexpected(made.error());
      return std::nullopt;
    }
    Partition partition = **found;
    for (std::int64_t look = kFirstLook;; look *= kFurther) {
      partition.from = std::max(partition.oldest, partition.end - look);
      if (auto passed = read_through(partition); !passed) return tl::unexpected(passed.error());
      if (!newest_.empty()) return parsed();
      if (partition.from == partition.oldest) return std::nullopt;
    }
  }

 private:
  struct Partition {
    std::int64_t oldest = 0;
    std::int64_t end = 0;   // when the reading began
    std::int64_t from = 0;  // this look
    bool is_read = false;
    std::optional<std::int64_t> committed{};  // up to there, when the reading came to it
  };

  Result<void> make(KafkaIsolation isolation, rd_kafka_t*& into) {
    const auto conf = kafka_reader_conf(library_, access_.options, access_.gateway, isolation);
    if (!conf) return tl::unexpected(conf.error());
    library_.conf_set_opaque_(*conf, &access_.tokens);
    library_.conf_set_error_cb_(*conf, on_problem);
    std::array<char, 512> problem{};
    into = library_.new_(RD_KAFKA_CONSUMER, *conf, problem.data(), problem.size());
    if (into != nullptr) {
      hand_over_tokens();
      return {};
    }
    library_.conf_destroy_(*conf);
    return fail(ErrorCode::invalid, "librdkafka makes no consumer: " + kafka_words(problem.data()));
  }

  // The brokers may end a connection with its token, and a wait lasts longer than some.
  void hand_over_tokens() {
    if (consumer_ != nullptr) access_.tokens.hand_over(library_, consumer_, consumer_token_);
    if (asker_ != nullptr) access_.tokens.hand_over(library_, asker_, asker_token_);
  }

  // Of the consumer, while it is polled. What is wrong is told by whoever waits for it.
  static void on_problem(rd_kafka_t* /*client*/, int error, const char* /*text*/, void* tokens) {
    if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION) static_cast<KafkaTokens*>(tokens)->on_refused();
  }

  Error failure(const std::string& step, rd_kafka_resp_err_t error) const {
    return {ErrorCode::retry, "the topic of cursors " + topic_ + ": " + step + ": " + library_.err2str_(error)};
  }
  Error too_late(const std::string& step) const { return failure(step, RD_KAFKA_RESP_ERR__TIMED_OUT); }

  bool is_over() const { return wait_.is_over() || clock_.boot_now() >= began_ + wait_.most; }
  int milliseconds_left() const {
    const auto left = std::chrono::ceil<milliseconds>(began_ + wait_.most - clock_.boot_now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 1, 5000));
  }

  static std::string held_up(const Partition& partition) {
    if (!partition.committed) return "";
    return ": a transaction of another producer is open at offset " + std::to_string(*partition.committed) + " of " +
           std::to_string(partition.end) + ", and what is behind it can only be read when it ends or runs out";
  }

  // Nothing when there is no such topic. A consumer asks without making one.
  Result<std::optional<Partition>> find_partition() {
    const rd_kafka_metadata_t* found = nullptr;
    const auto error = library_.metadata_(consumer_, 0, handle_, &found, milliseconds_left());
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(failure("asking for it", error));
    const std::unique_ptr<const rd_kafka_metadata_t, decltype(library_.metadata_destroy_)> held(
        found, library_.metadata_destroy_);
    const auto topic_error = found->topic_cnt == 0 ? RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE : found->topics[0].err;
    if (topic_error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return std::nullopt;
    if (topic_error != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(failure("asking for it", topic_error));
    // Which of several cursors is the newest would not be known.
    if (const int count = found->topics[0].partition_cnt; count != 1) {
      return fail(ErrorCode::invalid, "the topic of cursors " + topic_ + " has " + std::to_string(count) +
                                          " partitions and needs one: name another as cursor_topic");
    }
    Partition one;
    const auto asked = library_.query_watermark_offsets_(asker_, topic_.c_str(), kPartition, &one.oldest, &one.end,
                                                         milliseconds_left());
    if (asked != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(failure("asking where it ends", asked));
    return one;
  }

  Result<void> read_through(Partition& partition) {
    partition.is_read = partition.from == partition.end;
    rd_kafka_topic_partition_list_t* const list = library_.topic_partition_list_new_(1);
    library_.topic_partition_list_add_(list, topic_.c_str(), kPartition)->offset = partition.from;
    const auto assigned = library_.assign_(consumer_, list);
    library_.topic_partition_list_destroy_(list);
    if (assigned != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(failure("reading", assigned));
    while (!partition.is_read) {
      if (is_over()) return tl::unexpected(too_late("reading to its end" + held_up(partition)));
      if (partition.committed && clock_.boot_now() >= began_ + kPatience) {
        wait_.tell("the topic of cursors " + topic_ + " is not read to its end yet" + held_up(partition));
      }
      hand_over_tokens();
      rd_kafka_message_t* const message = library_.consumer_poll_(consumer_, kPollFor.count());
      if (message == nullptr) continue;
      const auto error = take(*message, partition);
      library_.message_destroy_(message);
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return tl::unexpected(failure("reading", error));
    }
    library_.assign_(consumer_, nullptr);
    return {};
  }

  // The end is told again each time that it is reached: behind a transaction that has ended in the meantime.
  rd_kafka_resp_err_t take(const rd_kafka_message_t& message, Partition& partition) {
    if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      partition.is_read = message.offset >= partition.end;
      partition.committed = message.offset;
      return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) return message.err;
    if (message.offset >= partition.committed.value_or(0))
      partition.committed.reset();  // what was open there has ended
    if (message.offset + 1 >= partition.end) partition.is_read = true;
    const std::string_view key(static_cast<const char*>(message.key), message.key_len);
    if (key == key_) newest_.assign(static_cast<const char*>(message.payload), message.len);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }

  Result<std::optional<TargetCursor>> parsed() const {
    auto cursor = parse_target_cursor(newest_);
    if (cursor) return std::optional(std::move(*cursor));
    return fail(ErrorCode::invalid,
                "the topic of cursors " + topic_ + ": what stands there for " + key_ + " " + cursor.error().message);
  }

  Result<void> make_topic() {
    std::array<char, 256> problem{};
    rd_kafka_NewTopic_t* topic = library_.NewTopic_new_(topic_.c_str(), 1, -1, problem.data(), problem.size());
    if (topic == nullptr) return fail(ErrorCode::invalid, topic_ + ": " + kafka_words(problem.data()));
    for (const auto& [name, value] : kTopicSettings) (void)library_.NewTopic_set_config_(topic, name, value);
    rd_kafka_AdminOptions_t* const wishes = library_.AdminOptions_new_(consumer_, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    library_.AdminOptions_set_request_timeout_(wishes, milliseconds_left(), nullptr, 0);
    rd_kafka_queue_t* const answers = library_.queue_new_(consumer_);
    library_.CreateTopics_(consumer_, &topic, 1, wishes, answers);
    auto made = await_topic(answers);
    library_.queue_destroy_(answers);
    library_.AdminOptions_destroy_(wishes);
    library_.NewTopic_destroy_(topic);
    return made;
  }

  Result<void> await_topic(rd_kafka_queue_t* answers) {
    while (!is_over()) {
      rd_kafka_event_t* const answer = library_.queue_poll_(answers, kPollFor.count());
      if (answer == nullptr) continue;
      const std::string said = complaint_of(answer);
      library_.event_destroy_(answer);
      if (said.empty()) return {};
      return fail(ErrorCode::retry, "there is no topic of cursors " + topic_ + ", and it cannot be made: " + said +
                                        "; make it with cleanup.policy=compact and one partition");
    }
    return tl::unexpected(too_late("making it"));
  }

  std::string complaint_of(rd_kafka_event_t* answer) const {
    if (library_.event_error_(answer) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* const text = library_.event_error_string_(answer);
      return text == nullptr ? library_.err2str_(library_.event_error_(answer)) : access_.tokens.words(text);
    }
    const rd_kafka_CreateTopics_result_t* const result = library_.event_CreateTopics_result_(answer);
    if (result == nullptr) return "";
    std::size_t count = 0;
    const rd_kafka_topic_result_t** const topics = library_.CreateTopics_result_topics_(result, &count);
    if (count == 0) return "";
    const auto error = library_.topic_result_error_(topics[0]);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return "";
    const char* const text = library_.topic_result_error_string_(topics[0]);
    return text == nullptr ? library_.err2str_(error) : access_.tokens.words(text);
  }

  const KafkaAccess& access_;
  const KafkaLibrary& library_;
  const std::string topic_;
  const std::string key_;
  const SystemClock clock_;
  const KafkaCursorWait& wait_;
  const BootTime began_ = clock_.boot_now();
  rd_kafka_t* consumer_ = nullptr;
  rd_kafka_t* asker_ = nullptr;  // where the topic ends, whatever is committed of it
  std::uint64_t consumer_token_ = 0;
  std::uint64_t asker_token_ = 0;
  rd_kafka_topic_t* handle_ = nullptr;
  std::string newest_;  // of our key, so far
};

}  // namespace

Result<std::optional<TargetCursor>> read_kafka_cursor(const KafkaAccess& access, const KafkaCursorWait& wait) {
  const auto topic = kafka_cursor_topic(access.options.cursor_topic, access.gateway);
  if (!topic) return tl::unexpected(topic.error());
  CursorReader reader(access, *topic, kafka_transactional_id(access.gateway, access.options.forwarder.name), wait);
  if (auto opened = reader.open(); !opened) return tl::unexpected(opened.error());
  return reader.read();
}

}  // namespace tidegate::uplink
