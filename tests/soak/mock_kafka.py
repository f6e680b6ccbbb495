"""The mock cluster of librdkafka, as tests/support/kafka_cluster.h has it for C++: one broker, which other processes can reach."""
import ctypes

PRODUCER = 0
PRODUCE, END_TRANSACTION = 0, 26  # ApiKey
NOT_AUTHORIZED_FOR_TOPIC, NOT_AUTHORIZED_FOR_TRANSACTION = 29, 53  # errors of the protocol
WORDS = 512


def library():
    loaded = ctypes.CDLL("librdkafka.so.1")
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    for name, result, arguments in (
            ("rd_kafka_conf_new", pointer, []), ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
            ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
            ("rd_kafka_mock_cluster_new", pointer, [pointer, number]), ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
            ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
            ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]), ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
            ("rd_kafka_mock_push_request_errors_array", None, [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number)])):
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


class MockKafka:
    def __init__(self, topics):
        """`topics`: name and number of partitions."""
        self.library, words = library(), ctypes.create_string_buffer(WORDS)
        settings = self.library.rd_kafka_conf_new()
        self.library.rd_kafka_conf_set(settings, b"log_level", b"0", words, WORDS)
        self.cluster = self.library.rd_kafka_mock_cluster_new(self.library.rd_kafka_new(PRODUCER, settings, words, WORDS), 1)
        self.address = self.library.rd_kafka_mock_cluster_bootstraps(self.cluster).decode()
        for name, partitions in topics.items():
            self.library.rd_kafka_mock_topic_create(self.cluster, name.encode(), partitions, 1)

    def cut(self):
        """Ends the connections, and takes new ones at once."""
        self.library.rd_kafka_mock_broker_set_down(self.cluster, 1)
        self.library.rd_kafka_mock_broker_set_up(self.cluster, 1)

    def refuse(self, request, error):
        """The next one of this kind."""
        self.library.rd_kafka_mock_push_request_errors_array(self.cluster, request, 1, (ctypes.c_int * 1)(error))
