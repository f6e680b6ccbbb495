"""Reads a topic of Kafka from its beginning to its end, what is committed alone, by librdkafka (there is no Python package of it in Debian 12)."""
import ctypes

CONSUMER, BEGINNING, END_OF_PARTITION = 1, -2, -191
LIBRARY = "librdkafka.so.1"


class Message(ctypes.Structure):
    """rd_kafka_message_t"""
    _fields_ = [("error", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32), ("payload", ctypes.c_void_p),
                ("length", ctypes.c_size_t), ("key", ctypes.c_void_p), ("key_length", ctypes.c_size_t), ("offset", ctypes.c_int64),
                ("private", ctypes.c_void_p)]


def load():
    library = ctypes.CDLL(LIBRARY)
    for name, result, *arguments in (
            ("rd_kafka_conf_new", ctypes.c_void_p),
            ("rd_kafka_conf_set", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t),
            ("rd_kafka_new", ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t),
            ("rd_kafka_topic_partition_list_new", ctypes.c_void_p, ctypes.c_int),
            ("rd_kafka_topic_partition_list_add", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32),
            ("rd_kafka_topic_partition_list_set_offset", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int64),
            ("rd_kafka_topic_partition_list_destroy", None, ctypes.c_void_p),
            ("rd_kafka_assign", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
            ("rd_kafka_consumer_poll", ctypes.POINTER(Message), ctypes.c_void_p, ctypes.c_int),
            ("rd_kafka_message_destroy", None, ctypes.POINTER(Message)),
            ("rd_kafka_consumer_close", ctypes.c_int, ctypes.c_void_p),
            ("rd_kafka_destroy", None, ctypes.c_void_p)):
        function = getattr(library, name)
        function.restype, function.argtypes = result, list(arguments)
    return library


def read(port, topic, partitions, patience_ms=60000):
    """Yields the value of each message, as bytes. Raises RuntimeError when the end is not reached."""
    library, problem = load(), ctypes.create_string_buffer(512)
    settings = library.rd_kafka_conf_new()
    for key, value in (("bootstrap.servers", f"127.0.0.1:{port}"), ("group.id", "soak"), ("isolation.level", "read_committed"),
                       ("enable.auto.commit", "false"), ("enable.partition.eof", "true")):
        if library.rd_kafka_conf_set(settings, key.encode(), value.encode(), problem, len(problem)) != 0:
            raise RuntimeError(problem.value.decode())
    consumer = library.rd_kafka_new(CONSUMER, settings, problem, len(problem))
    if not consumer:
        raise RuntimeError(problem.value.decode())
    wanted = library.rd_kafka_topic_partition_list_new(partitions)
    for partition in range(partitions):
        library.rd_kafka_topic_partition_list_add(wanted, topic.encode(), partition)
        library.rd_kafka_topic_partition_list_set_offset(wanted, topic.encode(), partition, BEGINNING)
    library.rd_kafka_assign(consumer, wanted)
    library.rd_kafka_topic_partition_list_destroy(wanted)
    try:
        yield from messages(library, consumer, topic, partitions, patience_ms)
    finally:
        library.rd_kafka_consumer_close(consumer)
        library.rd_kafka_destroy(consumer)


def messages(library, consumer, topic, partitions, patience_ms):
    open_partitions = set(range(partitions))
    while open_partitions:
        got = library.rd_kafka_consumer_poll(consumer, patience_ms)
        if not got:
            raise RuntimeError(f"Kafka says nothing of {topic}: partitions {sorted(open_partitions)} are not at their end")
        error, partition = got.contents.error, got.contents.partition
        value = ctypes.string_at(got.contents.payload, got.contents.length) if error == 0 else b""
        library.rd_kafka_message_destroy(got)
        if error == END_OF_PARTITION:
            open_partitions.discard(partition)
        elif error != 0:
            raise RuntimeError(f"Kafka answers for {topic} with error {error}")
        else:
            yield value
