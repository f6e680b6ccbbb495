#pragma once

#include <librdkafka/rdkafka.h>

#include "core/error.h"

// Every function of librdkafka that is used, without "rd_kafka_".
#define TIDEGATE_KAFKA_FUNCTIONS(use)                                                                              \
  use(conf_new) use(conf_destroy) use(conf_set) use(conf_set_events) use(conf_set_socket_cb) use(new) use(destroy) \
      use(set_log_queue) use(fatal_error) use(err2str) use(topic_new) use(topic_destroy) use(queue_get_main)       \
          use(queue_destroy) use(queue_io_event_enable) use(queue_poll) use(event_type) use(event_destroy)         \
              use(event_error) use(event_error_string) use(event_log) use(event_message_next) use(metadata)        \
                  use(metadata_destroy) use(headers_new) use(headers_copy) use(headers_destroy) use(header_add)    \
                      use(produceva) use(error_code) use(error_destroy) use(error_string) use(error_is_retriable)  \
                          use(init_transactions) use(begin_transaction) use(commit_transaction)                    \
                              use(topic_partition_list_new) use(topic_partition_list_add)                          \
                                  use(topic_partition_list_destroy) use(assign) use(poll_set_consumer)             \
                                      use(consumer_poll) use(message_destroy) use(query_watermark_offsets)         \
                                          use(CreateTopics) use(NewTopic_new) use(NewTopic_set_config)             \
                                              use(NewTopic_destroy) use(AdminOptions_new)                          \
                                                  use(AdminOptions_set_request_timeout) use(AdminOptions_destroy)  \
                                                      use(queue_new) use(event_CreateTopics_result)                \
                                                          use(CreateTopics_result_topics) use(topic_result_error)  \
                                                              use(topic_result_error_string)                       \
                                                                  use(oauthbearer_set_token) use(conf_set_opaque)  \
                                                                      use(conf_set_error_cb)

namespace tidegate::uplink {

/// librdkafka's functions, looked up in the library of the system when a configuration asks for it (docs/adr/0018).
/// Nothing else of the library may be called, nor an inline function of its header that calls one.
struct KafkaLibrary {
  // A function has the name that the library gives it: `new` is none for a member.
#define TIDEGATE_KAFKA_MEMBER(name) decltype(&::rd_kafka_##name) name##_ = nullptr;
  TIDEGATE_KAFKA_FUNCTIONS(TIDEGATE_KAFKA_MEMBER)
#undef TIDEGATE_KAFKA_MEMBER

  /// Error `not_found` names the package that is missing.
  static Result<KafkaLibrary> load();
};

}  // namespace tidegate::uplink
